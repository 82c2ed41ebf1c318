"""Each off-policy algorithm with the actor network of its paper, small, for drivers and runs."""

from __future__ import annotations

import functools
from typing import Any

from expol_tf.agents import (
    DdpgAgent,
    LogSumExpValue,
    S2acAgent,
    SacAgent,
    SqlAgent,
    SteinImprovement,
    SvgdImprovement,
)
from expol_tf.distributions import SteinSampler
from expol_tf.networks import DeterministicActorNetwork, GaussianActorNetwork, LogStd, SamplingActorNetwork

SQUASHED_GAUSSIAN = functools.partial(
    GaussianActorNetwork, squash=True, log_std=LogStd(state_dependent=True), activation="relu"
)

# Makers of the agent and of its actor network, whose layers' sizes are left to the caller.
ALGORITHMS: dict[str, tuple[Any, Any]] = {
    "sac": (SacAgent, SQUASHED_GAUSSIAN),
    "sql": (
        functools.partial(
            SqlAgent,
            soft_value=LogSumExpValue(num_samples=5),
            improvement=SvgdImprovement(num_particles=3),
        ),
        SamplingActorNetwork,
    ),
    # A policy with a state, and without a density.
    "ddpg": (DdpgAgent, DeterministicActorNetwork),
    "s2ac": (
        # The limit of steps has tests of its own, and its branch of the graph takes long to trace.
        functools.partial(S2acAgent, improvement=SteinImprovement(SteinSampler(3, 2, step_limit=None))),
        SQUASHED_GAUSSIAN,
    ),
}
