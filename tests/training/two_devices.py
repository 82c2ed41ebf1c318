"""A small run, in this process or, as a program, on two logical CPU devices.

`python -m tests.training.two_devices DIRECTORY agent`
"""

from __future__ import annotations

import functools
import sys
from typing import Any

import expol_tf
from expol_tf.agents import AcktrAgent, Acting, ClippedUpdate, KroneckerUpdate, PpoAgent, TrpoAgent
from expol_tf.networks import GaussianActorNetwork, ValueNetwork
from expol_tf.optimizers import Kfac, KfacRegression, MinibatchAdam, MinibatchRegression
from expol_tf.training import OnPolicyRunner, TrainingResult, configure_devices

ITERATION = 96


def make(agent: str) -> Any:
    """Returns what makes an agent; the parts are made before its strategy is in scope, as users do."""
    acting = Acting(jit_compile=False)
    if agent == "trpo":
        return functools.partial(TrpoAgent, acting=acting)
    if agent == "ppo":
        update = ClippedUpdate(MinibatchAdam(1e-3, 2, 33, max_gradient_norm=0.5))
        fit = MinibatchRegression(1e-3, 2, 32)
        return functools.partial(PpoAgent, policy_update=update, value_fit=fit, acting=acting)
    update = KroneckerUpdate(Kfac(factor_interval=2, jit_compile=False))
    fit = KfacRegression(updates=2, jit_compile=False)
    return functools.partial(AcktrAgent, policy_update=update, value_fit=fit, acting=acting)


def run(root_dir: Any, agent: str, iterations: int) -> TrainingResult:
    """Trains, or resumes, for so many iterations."""
    return expol_tf.train(
        root_dir,
        "InvertedPendulum-v5",
        agent=make(agent),
        actor_network=functools.partial(GaussianActorNetwork, hidden_units=(8,)),
        value_network=functools.partial(ValueNetwork, hidden_units=(8,)),
        runner=functools.partial(OnPolicyRunner, iteration_steps=ITERATION),
        num_envs=4,
        num_env_steps=iterations * ITERATION,
        eval_interval=2 * ITERATION,
        eval_episodes=1,
    )


if __name__ == "__main__":
    configure_devices("cpu:2")
    run(sys.argv[1], sys.argv[2], 2)
    run(sys.argv[1], sys.argv[2], 4)
