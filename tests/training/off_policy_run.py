"""A small off-policy run, in this process or, as a program, in one that can be killed.

`python -m tests.training.off_policy_run DIRECTORY agent [device]`
"""

from __future__ import annotations

import functools
import sys
from typing import Any

import expol_tf
from expol_tf.agents import Acting, AmortizedPolicy, OrnsteinUhlenbeckNoise, S2acAgent, SteinImprovement
from expol_tf.distributions import SteinSampler
from expol_tf.networks import CriticNetwork, SamplingActorNetwork
from expol_tf.training import OffPolicyRunner, TrainingResult, configure_devices
from tests.agents.small_algorithms import ALGORITHMS, SQUASHED_GAUSSIAN

ITERATION = 48
END = 9 * ITERATION

AGENTS = ALGORITHMS | {
    "s2ac_amortized": (
        functools.partial(
            S2acAgent,
            improvement=SteinImprovement(
                # The limit of steps has tests of its own, and its branch of the graph takes long to trace.
                SteinSampler(3, 1, step_limit=None),
                amortized=AmortizedPolicy(functools.partial(SamplingActorNetwork, hidden_units=(16,))),
                batch_parts=1,
            ),
        ),
        SQUASHED_GAUSSIAN,
    ),
}


def run(root_dir: Any, agent: str, **settings: Any) -> TrainingResult:
    """Trains, or resumes: two environments, 0.3 updates a step after a warm-up of two iterations."""
    make_agent, actor_network = AGENTS[agent]
    # This noise has a state, which a resumed run must go on with.
    exploration = OrnsteinUhlenbeckNoise() if agent == "ddpg" else None
    return expol_tf.train(
        root_dir,
        "InvertedPendulum-v5",
        agent=functools.partial(make_agent, acting=Acting(exploration, jit_compile=False)),
        actor_network=functools.partial(actor_network, hidden_units=(16,)),
        critic_network=functools.partial(CriticNetwork, hidden_units=(16,)),
        # A replay that has wrapped around at the end.
        runner=functools.partial(
            OffPolicyRunner,
            replay_capacity=300,
            batch_size=16,
            updates_per_step=0.3,
            warm_up_steps=2 * ITERATION,
            iteration_steps=ITERATION,
        ),
        **dict(
            num_envs=2,
            num_env_steps=END,
            checkpoint_interval=3 * ITERATION - 1,
            eval_interval=4 * ITERATION,
            eval_episodes=1,
        )
        | settings,
    )


if __name__ == "__main__":
    if sys.argv[3:]:
        configure_devices(sys.argv[3])
    result = run(sys.argv[1], sys.argv[2])
    sys.exit(0 if result.interrupted_by is None else 128 + result.interrupted_by)
