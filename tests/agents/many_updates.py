"""Many updates of ParPI and NBP over random transitions, at the ends of their settings' ranges: no NaN.

`python -m tests.agents.many_updates --updates 100000 [name…]`, names or beginnings of names of CASES, prints
a line for each case and exits with 1 if a metric or a variable of any was not finite.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import sys
import time

import numpy as np
import tensorflow as tf

from expol_tf.agents import (
    Acting,
    DensityRatioImprovement,
    DiscriminatorFit,
    FixedTemperature,
    LangevinParticles,
    LearnedTemperature,
    LogSumExpValue,
    MatchingImprovement,
    NbpAgent,
    ParpiAgent,
    Transitions,
)
from expol_tf.keras_api import keras
from expol_tf.networks import (
    CriticNetwork,
    DiscriminatorNetwork,
    GaussianActorNetwork,
    LogStd,
    NoisyActorNetwork,
)
from expol_tf.objectives import jsd, reverse_kl, wasserstein
from tests.agents import small_off_policy as small

BATCH = 32
CHUNK = 500


def networks(num_critics):
    keras.utils.set_random_seed(0)
    return CriticNetwork(small.OBSERVATION, small.ACTION, (16, 16), num_critics=num_critics)


def parpi(matching, step_size, num_steps, temperature, soft_value=None):
    critic = networks(2)
    actor = GaussianActorNetwork(
        small.OBSERVATION,
        small.ACTION,
        (16, 16),
        squash=True,
        activation="relu",
        log_std=LogStd(state_dependent=True),
    )
    matching = {"wd": wasserstein(0.0), "jsd": jsd(), "rkl": reverse_kl()}[matching]
    return ParpiAgent(
        *small.SPECS,
        actor,
        critic,
        soft_value=soft_value,
        improvement=MatchingImprovement(
            matching,
            LangevinParticles(num_steps, step_size),
            DiscriminatorFit(
                functools.partial(
                    DiscriminatorNetwork,
                    hidden_units=(16, 16),
                    spectral_normalization=matching.name == "wasserstein",
                )
            ),
            entropy_weight=0.1,
        ),
        temperature=FixedTemperature(1e-4) if temperature == "fixed" else LearnedTemperature(),
        acting=Acting(seed=0, jit_compile=False),
    )


def nbp(beta, dropout, rho):
    critic = networks(1)
    actor = NoisyActorNetwork(small.OBSERVATION, small.ACTION, (16, 16), dropout=dropout, initial_rho=rho)
    return NbpAgent(
        *small.SPECS,
        actor,
        critic,
        temperature=FixedTemperature(beta),
        improvement=DensityRatioImprovement(
            classifier=DiscriminatorFit(functools.partial(DiscriminatorNetwork, hidden_units=(16, 16)))
        ),
        acting=Acting(seed=0, jit_compile=False),
    )


CASES = {
    **{
        f"parpi_{matching}_{step_size:g}_{num_steps}_{temperature}": functools.partial(
            parpi, matching, step_size, num_steps, temperature
        )
        for matching, (step_size, num_steps), temperature in itertools.product(
            ("wd", "jsd", "rkl"), ((1e-5, 1), (1.0, 1), (1.0, 50)), ("fixed", "learned")
        )
    },
    **{
        f"parpi_sql_{matching}": functools.partial(
            parpi, matching, 1.0, 1, "fixed", LogSumExpValue(num_samples=20)
        )
        for matching in ("wd", "jsd", "rkl")
    },
    **{
        f"nbp_{beta:g}_{dropout:g}_{rho:g}": functools.partial(nbp, beta, dropout, rho)
        for beta, dropout, rho in itertools.product((0.0, 100.0), (0.0, 0.9), (-6.0, 2.0))
    },
}


def transitions(seed):
    """Random ones, of rewards of scale 10, of which one in twenty ends an episode."""
    seeds = tf.unstack(tf.random.experimental.stateless_split(seed, 5))
    scaled = tf.random.stateless_uniform([BATCH, 2], seeds[1], -1.0, 1.0)
    return Transitions(
        observation=tf.random.stateless_normal([BATCH, 3], seeds[0]),
        action=[0.0, 2.0] + [1.0, 2.0] * scaled,
        reward=10.0 * tf.random.stateless_normal([BATCH], seeds[2]),
        discount=tf.cast(tf.random.stateless_uniform([BATCH], seeds[3]) > 0.05, tf.float32),
        next_observation=tf.random.stateless_normal([BATCH, 3], seeds[4]),
    )


def run(name, updates):
    """Makes so many updates; returns what was not finite and after how many, or what the last one told."""
    agent = CASES[name]()

    @tf.function(autograph=False)
    def chunk(first):
        def step(i):
            agent.update(transitions(tf.stack([1, i])), tf.stack([2, i]))
            return (i + 1,)

        (last,) = tf.while_loop(lambda i: i < first + CHUNK - 1, step, [first], parallel_iterations=1)
        return agent.update(transitions(tf.stack([1, last])), tf.stack([2, last]))

    for first in range(0, updates, CHUNK):
        metrics = {key: float(value) for key, value in chunk(tf.constant(first)).items()}
        bad = [key for key, value in metrics.items() if not np.isfinite(value)]
        bad += [each.name for each in agent.variables if not np.all(np.isfinite(each.numpy()))]
        if bad:
            return False, f"after {first + CHUNK} updates not finite: {', '.join(bad)}"
    return True, ", ".join(f"{key} {value:.3g}" for key, value in metrics.items())


def main(arguments):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="cases, or beginnings of their names; all by default")
    parser.add_argument("--updates", type=int, default=100_000)
    given = parser.parse_args(arguments)
    failed = False
    for name in CASES:
        if given.names and not name.startswith(tuple(given.names)):
            continue
        start = time.monotonic()
        finite, told = run(name, given.updates)
        failed |= not finite
        seconds = time.monotonic() - start
        print(f"{'ok  ' if finite else 'FAIL'} {name} ({seconds:.0f} s): {told}", flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
