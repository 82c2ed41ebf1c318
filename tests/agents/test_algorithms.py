"""Every algorithm trains every policy class, squashed or not."""

from __future__ import annotations

import functools

import numpy as np
import pytest

from expol_tf.agents import AcktrAgent, ClippedUpdate, PpoAgent, TrpoAgent
from expol_tf.networks import MixtureActorNetwork
from expol_tf.optimizers import KfacRegression, MinibatchAdam
from expol_tf.training.runners import on_policy_runner
from tests.agents.small_agents import OBSERVATION, box, make_actor, make_agent, make_rollout, values_of

# Name: (agent, settings, columns of its own).
ALGORITHMS = {
    "trpo": (TrpoAgent, dict, {"gradient_norm", "cg_residual"}),
    "ppo": (
        PpoAgent,
        lambda: {"policy_update": ClippedUpdate(MinibatchAdam(1e-3, 2, 32, max_gradient_norm=0.5))},
        {"clip_fraction", "gradient_norm"},
    ),
    "acktr": (
        AcktrAgent,
        lambda: {"value_fit": KfacRegression(updates=2, jit_compile=False)},
        {"learning_rate", "predicted_kl", "gradient_norm"},
    ),
}
POLICIES = {
    "gaussian": make_actor,
    "gmm2": functools.partial(make_actor, "mixture"),
    "gmm5": lambda squash: MixtureActorNetwork(OBSERVATION, box(), 5, hidden_units=[4], squash=squash),
    "flow": functools.partial(make_actor, "flow"),
}
# Each algorithm with each class, and each squashed and not; the others take the same paths.
QUICK = {
    ("trpo", "gaussian", False), ("trpo", "gmm2", True), ("trpo", "flow", True),
    ("ppo", "gaussian", True), ("ppo", "gmm5", True), ("ppo", "flow", False),
    ("acktr", "gaussian", False), ("acktr", "gmm2", True), ("acktr", "flow", True),
}  # fmt: skip


@pytest.mark.parametrize(
    ("algorithm", "policy", "squash"),
    [
        pytest.param(*case, marks=() if case in QUICK else pytest.mark.slow)
        for case in (
            (algorithm, policy, s) for algorithm in ALGORITHMS for policy in POLICIES for s in (False, True)
        )
    ],
)
def test_one_update(algorithm, policy, squash):
    cls, settings, own = ALGORITHMS[algorithm]
    agent = make_agent(actor_network=POLICIES[policy](squash=squash), cls=cls, **settings())
    before = values_of(agent.actor_network.trainable_variables)
    loss, metrics = agent.train_on_rollout(make_rollout(agent, batch=8))
    assert set(metrics) == {*on_policy_runner.ALGORITHM_COLUMNS, *own}
    assert all(np.isfinite(value) and value.shape == () for value in metrics.values())
    assert float(loss) == -float(metrics["surrogate"])
    assert float(metrics["accepted_step_fraction"]) > 0.0 and float(metrics["kl"]) < 0.05
    for variable, value in zip(agent.actor_network.trainable_variables, before, strict=True):
        assert np.all(np.isfinite(variable)) and np.any(variable.numpy() != value), variable.name
