"""Measures what S²AC costs: updates by steps and particles, and an action beside SAC's.

    python benchmarks/stein.py --task=HalfCheetah-v5

Updates are those of `gin/s2ac.gin` on a fixed batch of random transitions, with L steps (M particles as in
the file), with M particles (L as there), and with other densities. The limit is the FLOPs of the matrix
products in an update's graph over the best rate of such products alone, measured before and after in
processes of their own (`arithmetic.py`). Actions are those that a policy takes for one observation in a
compiled call, as when testing. Everything takes turns in blocks; numbers are medians over the blocks.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import report
import tensorflow as tf
from arithmetic import graph_flops
from interference import Interference
from measuring import PROJECT
from tf_agents.specs import tensor_spec

from expol_tf.agents import (
    Acting,
    ActorCriticAgent,
    AmortizedPolicy,
    S2acAgent,
    SacAgent,
    SteinImprovement,
    Transitions,
)
from expol_tf.distributions import SteinSampler
from expol_tf.environments import load
from expol_tf.networks import CriticNetwork, GaussianActorNetwork, LogStd, SamplingActorNetwork
from expol_tf.runs.environment_record import describe_environment
from expol_tf.training import configure_devices

_LOG_STD_BOUNDS = (-2.302585, 0.0)


@dataclass
class Measured:
    """A compiled call, and the seconds that it took in each block."""

    name: str
    call: Callable[[], tf.Tensor]
    count: int
    flops: int | None = None
    seconds: list[float] = field(default_factory=list)

    def measure(self) -> None:
        """Calls it `count` times."""
        started = time.perf_counter()
        for _ in range(self.count):
            last = self.call()
        last.numpy()
        self.seconds.append((time.perf_counter() - started) / self.count)

    @property
    def milliseconds(self) -> float:
        """The median."""
        return 1e3 * statistics.median(self.seconds)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--task", default="HalfCheetah-v5", help="Gymnasium id")
    add("--batch_size", type=int, default=256)
    add("--num_particles", type=int, default=10, help="M, where the steps vary")
    add("--num_sampler_steps", type=int, default=3, help="L, where the particles vary")
    add("--particles", type=int, nargs="*", default=[5, 10, 20], help="M, where they vary")
    add("--steps", type=int, nargs="*", default=[0, 1, 3, 6], help="L, where they vary")
    add("--updates", type=int, default=10, help="of each block")
    add("--actions", type=int, default=200, help="of each block")
    add("--repeats", type=int, default=5, help="blocks of each")
    add("--batch_parts", type=int, default=2, help="of S2acAgent")
    add("--json_path", type=Path, help="write everything measured")
    return parser.parse_args()


def _make(cls: type, specs: Any, action_spec: Any, activation: str, **options: Any) -> ActorCriticAgent:
    log_std = LogStd(state_dependent=True)
    if cls is not SacAgent:
        log_std = LogStd(state_dependent=True, bounds=_LOG_STD_BOUNDS)
    actor = GaussianActorNetwork(
        specs.observation,
        action_spec,
        (256, 256),
        squash=True,
        activation="relu",
        log_std=log_std,
    )
    critic = CriticNetwork(specs.observation, action_spec, activation=activation)
    return cls(specs, action_spec, actor, critic, acting=Acting(seed=0, jit_compile=False), **options)


def _update(
    agent: ActorCriticAgent, batch: Transitions, name: str, count: int, whole: ActorCriticAgent
) -> Measured:
    """`whole` is the same agent with one part, whose graph shows its products: parts call a shared one."""

    def of(each: ActorCriticAgent) -> Any:
        number = tf.Variable(0)

        def update() -> tf.Tensor:
            return each.update(batch, tf.stack([0, number.assign_add(1)]))["critic_loss"]

        return tf.function(update, autograph=False).get_concrete_function()

    return Measured(name, of(agent), count, graph_flops(of(whole)))


def _action(policy: Any, observation: tf.Tensor, name: str, count: int) -> Measured:
    def act() -> tf.Tensor:
        return policy.act(observation)[0]

    return Measured(name, tf.function(act, autograph=False).get_concrete_function(), count)


def _best_rate(rows: int) -> float:
    """Returns FLOP/s of matrix products, the best of one chain a core, in a process of its own."""
    chains = len(os.sched_getaffinity(0))
    command = [sys.executable, str(PROJECT / "benchmarks" / "arithmetic.py")]
    output = subprocess.run(
        [*command, f"--chains={chains}", f"--rows={rows}"], check=True, capture_output=True, text=True
    ).stdout
    return max(json.loads(output.splitlines()[-1]).values())


def main() -> int:
    values = _arguments()
    configure_devices(inter_op_threads=0)
    env = load(values.task)
    specs = tensor_spec.from_spec(env.time_step_spec())
    action_spec = tensor_spec.from_spec(env.action_spec())
    size, action_size = specs.observation.shape[0], action_spec.shape[0]
    random = np.random.default_rng(0)

    def normal(*shape: int) -> tf.Tensor:
        return tf.constant(random.standard_normal(shape), tf.float32)

    n = values.batch_size
    batch = Transitions(
        normal(n, size), tf.tanh(normal(n, action_size)), normal(n), tf.ones(n), normal(n, size)
    )
    rows = n * values.num_particles
    before = _best_rate(rows)
    given = (values.num_sampler_steps, values.num_particles)
    pairs = [(steps, values.num_particles) for steps in values.steps]
    pairs += [(values.num_sampler_steps, particles) for particles in values.particles]
    updates: list[Measured] = []

    def measured(name: str, sampler: SteinSampler, score_reduction: str = "first") -> ActorCriticAgent:
        made = []
        for parts in (values.batch_parts, 1):
            improvement = SteinImprovement(sampler, score_reduction, batch_parts=parts)
            made.append(_make(S2acAgent, specs, action_spec, "elu", improvement=improvement))
        updates.append(_update(made[0], batch, name, values.updates, whole=made[1]))
        return made[0]

    for steps, particles in dict.fromkeys([*pairs, given]):
        sampler = SteinSampler(num_particles=particles, num_sampler_steps=steps)
        measured(f"S²AC, L {steps}, M {particles}", sampler)
    both = SteinSampler(num_particles=given[1], num_sampler_steps=given[0])
    agent = measured("the same, score of the minimum", both, "min")
    densities = {
        "the same, printed": dataclasses.replace(both, density_change="printed"),
        "the same, no limit of steps": dataclasses.replace(both, step_limit=None),
        "the same, gradient through ∇²ℓ": dataclasses.replace(both, curvature_gradient=True),
    }
    for name, sampler in densities.items():
        measured(name, sampler)
    sac = _make(SacAgent, specs, action_spec, "relu")
    improvement = SteinImprovement(both, amortized=AmortizedPolicy(SamplingActorNetwork))
    amortized = _make(S2acAgent, specs, action_spec, "elu", improvement=improvement)
    observation = normal(1, size)
    actions = [
        _action(sac.policy, observation, "SAC, greedy", values.actions),
        _action(sac.collect_policy, observation, "SAC, sampled", values.actions),
        _action(agent.policy, observation, "S²AC, best particle", values.actions),
        _action(amortized.collect_policy, observation, "S²AC, random particle", values.actions),
        _action(amortized.policy, observation, "S²AC, amortized", values.actions),
    ]
    others = []
    for each in updates + actions:
        each.call()
    for _ in range(values.repeats):
        for each in updates + actions:
            interference = Interference()
            each.measure()
            others.append(interference.cores())
    rate = max(before, _best_rate(rows))

    table = [["", "ms an update", "min – max", "updates/s", "GFLOP", "limit/s", "reached"]]
    for each in updates:
        assert each.flops is not None
        limit, speed = rate / each.flops, 1e3 / each.milliseconds
        spread = report.spread([1e3 * seconds for seconds in each.seconds], 1)
        cells = [each.name, f"{each.milliseconds:.1f}", spread, f"{speed:.1f}", f"{each.flops / 1e9:.2f}"]
        table.append([*cells, f"{limit:.1f}", f"{speed / limit:.0%}"])
    print("\n".join(report.table(table[0], table[1:])))
    print()
    named = {each.name: each for each in updates}
    default = named[f"S²AC, L {given[0]}, M {given[1]}"]
    for name in densities:
        # Blocks took turns, so that those of one round had the same company.
        ratios = [x / y for x, y in zip(named[name].seconds, default.seconds, strict=True)]
        print(
            f"{name}: {statistics.median(ratios):.2f} times the default ({report.spread(ratios, 2)}); "
            f"shortest blocks {min(named[name].seconds) / min(default.seconds):.2f}"
        )
    print()
    table = [["one observation", "ms an action", "min – max", "× SAC"]]
    baseline = {"S²AC, random particle": actions[1]}
    for each in actions:
        spread = report.spread([1e3 * seconds for seconds in each.seconds], 3)
        peer = baseline.get(each.name, actions[0])
        ratio = "" if each.name.startswith("SAC") else f"{each.milliseconds / peer.milliseconds:.2f}"
        table.append([each.name, f"{each.milliseconds:.3f}", spread, ratio])
    print("\n".join(report.table(table[0], table[1:])))
    print()
    print(f"best rate of matrix products: {rate / 1e9:.0f} GFLOP/s; batches of {n}, {values.task}")
    print(f"other processes used {report.spread(others, 2)} cores during blocks")
    print("\n".join([*report.quietness(others), *report.machine(describe_environment())]))
    if values.json_path:
        measured = {each.name: {"seconds": each.seconds, "flops": each.flops} for each in updates + actions}
        everything = {"measured": measured, "products_flops_per_s": rate, "others_cores": others}
        everything["record"] = describe_environment()
        path = Path(os.environ.get("BUILD_WORKING_DIRECTORY", ".")) / values.json_path.expanduser()
        path.write_text(json.dumps(everything, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
