"""The policies and algorithms of docs/matrix.md, small enough to train in a test."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import tensorflow as tf
from tf_agents.agents import tf_agent
from tf_agents.networks import network
from tf_agents.specs import tensor_spec
from tf_agents.trajectories import time_step as ts

from expol_tf.agents import (
    AcktrAgent,
    Acting,
    ClippedUpdate,
    CriticFit,
    DdpgAgent,
    DensityRatioImprovement,
    DeterministicImprovement,
    DiscriminatorFit,
    FixedTemperature,
    KroneckerUpdate,
    LangevinParticles,
    LogSumExpValue,
    MatchingImprovement,
    NbpAgent,
    ParpiAgent,
    PpoAgent,
    ReparameterizedImprovement,
    S2acAgent,
    SacAgent,
    SqlAgent,
    SteinImprovement,
    SvgdImprovement,
    TargetUpdate,
    TrpoAgent,
    TrustRegionUpdate,
)
from expol_tf.distributions import SteinSampler
from expol_tf.keras_api import keras
from expol_tf.networks import (
    CriticNetwork,
    DeterministicActorNetwork,
    DiscriminatorNetwork,
    FlowActorNetwork,
    GaussianActorNetwork,
    MixtureActorNetwork,
    NoisyActorNetwork,
    SamplingActorNetwork,
    SteinActorNetwork,
    ValueNetwork,
)
from expol_tf.objectives import jsd
from expol_tf.optimizers import Adam, Kfac, KfacRegression, MinibatchAdam, MinibatchRegression, TrustRegion
from tests.agents.autoregressive import IafActorNetwork, MafActorNetwork

_OBSERVATION = tensor_spec.TensorSpec([1], tf.float32, "observation")
_ACTION = tensor_spec.BoundedTensorSpec([2], tf.float32, -1.0, 1.0, "action")
_SPECS = ts.time_step_spec(_OBSERVATION), _ACTION
# The rewards' curvature is some hundreds; larger steps overshoot.
# Such short steps are never limited, and the limit's branch takes long to trace.
_SAMPLER = SteinSampler(num_particles=4, num_sampler_steps=2, step_size=1e-2, step_limit=None)
# α: the best policy's return is −α there, N(0, αΣ/2)'s.
_ALPHA = 1.0
_UNITS = (16,)
# Transitions of an on-policy iteration.
ROLLOUT = 256


def _gaussian(critic: network.Network | None, squash: bool) -> network.Network:
    return GaussianActorNetwork(_OBSERVATION, _ACTION, _UNITS, squash=squash)


def _mixture(critic: network.Network | None, squash: bool) -> network.Network:
    return MixtureActorNetwork(_OBSERVATION, _ACTION, hidden_units=_UNITS, squash=squash)


def _flow(critic: network.Network | None, squash: bool) -> network.Network:
    return FlowActorNetwork(_OBSERVATION, _ACTION, num_transformations=1, hidden_units=_UNITS, squash=squash)


def _maf(critic: network.Network | None, squash: bool) -> network.Network:
    return MafActorNetwork(_OBSERVATION, _ACTION, _UNITS, squash=squash)


def _iaf(critic: network.Network | None, squash: bool) -> network.Network:
    return IafActorNetwork(_OBSERVATION, _ACTION, _UNITS, squash=squash)


def _sampling(critic: network.Network | None, squash: bool) -> network.Network:
    return SamplingActorNetwork(_OBSERVATION, _ACTION, _UNITS)


def _noisy(critic: network.Network | None, squash: bool) -> network.Network:
    return NoisyActorNetwork(_OBSERVATION, _ACTION, _UNITS)


def _deterministic(critic: network.Network | None, squash: bool) -> network.Network:
    actor = DeterministicActorNetwork(_OBSERVATION, _ACTION, _UNITS)
    # It would start in the middle of the box, where the best action is.
    actor.trainable_variables[-1].assign([0.5, -0.5])
    return actor


def _stein(critic: network.Network | None, squash: bool) -> network.Network:
    initial, critic = _gaussian(None, squash=True), critic or _critic()
    return SteinActorNetwork(initial, critic, FixedTemperature(_ALPHA), _SAMPLER)


POLICIES = {
    "Gaussian": _gaussian,
    "mixture": _mixture,
    "flow": _flow,
    "MAF": _maf,
    "IAF": _iaf,
    "sampling": _sampling,
    "noisy": _noisy,
    "deterministic": _deterministic,
    "Stein": _stein,
}


def _critic() -> network.Network:
    return CriticNetwork(_OBSERVATION, _ACTION, (32, 32), activation="elu")


_DISCRIMINATOR = functools.partial(DiscriminatorNetwork, hidden_units=(32, 32))


def _on_policy(cls, **arguments: Any):
    def make(policy: str) -> tf_agent.TFAgent:
        actor = POLICIES[policy](None, squash=False)
        value = ValueNetwork(_OBSERVATION, (8,))
        fresh = {name: make_argument() for name, make_argument in arguments.items()}
        return cls(*_SPECS, actor, value, acting=Acting(seed=0, jit_compile=False), **fresh)

    return make


def _off_policy(cls, improvement: Any, target_update: Any = None, **arguments: Any):
    def make(policy: str) -> tf_agent.TFAgent:
        critic = _critic()
        fresh = {name: make_argument() for name, make_argument in arguments.items()}
        return cls(
            *_SPECS,
            POLICIES[policy](critic, squash=True),
            critic,
            improvement=improvement(optimizer=Adam(2e-3)),
            critic_fit=CriticFit(Adam(1e-2), target_update=target_update),
            acting=Acting(seed=0, jit_compile=False),
            **fresh,
        )

    return make


def _matching(spectral_normalization: bool = False, **settings: Any):
    def make(optimizer: Adam) -> MatchingImprovement:
        network = functools.partial(_DISCRIMINATOR, spectral_normalization=spectral_normalization)
        discriminator = DiscriminatorFit(network, optimizer=Adam(1e-2))
        return MatchingImprovement(discriminator=discriminator, optimizer=optimizer, **settings)

    return make


_FIXED = functools.partial(FixedTemperature, _ALPHA)
_VALUE_FIT = functools.partial(MinibatchRegression, epochs=1, minibatch_size=ROLLOUT)


class Algorithm(NamedTuple):
    """How one makes its agent for a policy class, of that name, and how many updates it gets."""

    make: Any
    updates: int


ON_POLICY = {
    "TRPO": Algorithm(
        _on_policy(
            TrpoAgent, policy_update=lambda: TrustRegionUpdate(TrustRegion(0.03)), value_fit=_VALUE_FIT
        ),
        30,
    ),
    "PPO": Algorithm(
        _on_policy(
            PpoAgent,
            policy_update=lambda: ClippedUpdate(MinibatchAdam(3e-3, 5, ROLLOUT // 4)),
            value_fit=_VALUE_FIT,
        ),
        30,
    ),
    "ACKTR": Algorithm(
        _on_policy(
            AcktrAgent,
            policy_update=lambda: KroneckerUpdate(
                Kfac(0.1, clip_kl=0.03, jit_compile=False), desired_kl=0.03
            ),
            value_fit=lambda: KfacRegression(Kfac(1e-2, 0.1, 0.3, jit_compile=False), updates=2),
        ),
        40,
    ),
}
OFF_POLICY = {
    "SAC": Algorithm(_off_policy(SacAgent, ReparameterizedImprovement, temperature=_FIXED), 800),
    "SQL": Algorithm(
        _off_policy(
            SqlAgent,
            functools.partial(SvgdImprovement, num_particles=4),
            TargetUpdate(0.01),
            soft_value=lambda: LogSumExpValue(num_samples=10),
            temperature=_FIXED,
        ),
        800,
    ),
    "S²AC": Algorithm(
        _off_policy(S2acAgent, functools.partial(SteinImprovement, _SAMPLER), temperature=_FIXED), 800
    ),
    "ParPI (WD, SAC backup)": Algorithm(
        _off_policy(
            ParpiAgent,
            _matching(
                spectral_normalization=True,
                particles=LangevinParticles(step_size=3e-3),
                entropy_weight=0.05,
            ),
            temperature=_FIXED,
        ),
        1200,
    ),
    "ParPI (JSD, SQL backup)": Algorithm(
        _off_policy(
            ParpiAgent,
            _matching(matching=jsd(), particles=LangevinParticles(step_size=1e-2), entropy_weight=0.0),
            soft_value=lambda: LogSumExpValue(num_samples=10),
            temperature=_FIXED,
        ),
        800,
    ),
    "NBP": Algorithm(
        _off_policy(
            NbpAgent,
            lambda optimizer: DensityRatioImprovement(
                classifier=DiscriminatorFit(_DISCRIMINATOR, optimizer=Adam(1e-2)), optimizer=optimizer
            ),
            temperature=_FIXED,
        ),
        800,
    ),
    "DDPG": Algorithm(_off_policy(DdpgAgent, DeterministicImprovement), 800),
}
ALGORITHMS = ON_POLICY | OFF_POLICY


def make_agent(algorithm: str, policy: str) -> tf_agent.TFAgent:
    """Returns the agent of a cell, always the same; raises what its constructor raises."""
    keras.utils.set_random_seed(0)
    return ALGORITHMS[algorithm].make(policy)
