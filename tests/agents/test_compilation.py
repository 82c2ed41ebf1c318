"""With and without XLA the same comes out."""

from __future__ import annotations

import numpy as np
import pytest

from expol_tf.networks import ObservationNormalizer
from expol_tf.optimizers import MinibatchRegression
from tests.agents.small_agents import OBSERVATION, make_agent, make_rollout, values_of


def test_the_same_update():
    # Whole epochs as minibatches and an exact divergence: XLA draws other random numbers from the same seed.
    agents = [
        make_agent(
            "gaussian",
            jit_compile=jit_compile,
            value_fit=MinibatchRegression(epochs=2, minibatch_size=64),
            observation_normalizer=ObservationNormalizer(OBSERVATION),
        )
        for jit_compile in (False, True)
    ]
    rollout = make_rollout(agents[0])
    plain, compiled = agents
    for _ in range(2):
        metrics = [agent.train_on_rollout(rollout).extra for agent in agents]
        assert metrics[0].keys() == metrics[1].keys()
        for name in metrics[0]:
            tolerance = {"abs": 1e-3} if name == "cg_residual" else {"rel": 1e-2, "abs": 1e-4}
            assert float(metrics[1][name]) == pytest.approx(float(metrics[0][name]), **tolerance), name
        for found, expected in zip(compiled.variables, plain.variables, strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-2, atol=1e-4, err_msg=expected.name)
    observation = rollout.observation[0]
    np.testing.assert_allclose(
        compiled.policy.act(observation)[0], plain.policy.act(observation)[0], rtol=1e-2, atol=1e-4
    )
    assert len(values_of(plain.variables)) > 10


def test_a_compiled_flow_acts_and_trains():
    agent = make_agent("flow", squash=True, jit_compile=True)
    rollout = make_rollout(agent)
    action = agent.actor_network(rollout.observation.reshape(-1, 3))[0]
    densities = action.log_prob(rollout.action.reshape(-1, 2))
    np.testing.assert_allclose(rollout.policy_info["log_prob"].reshape(-1), densities, rtol=1e-3, atol=1e-3)
    metrics = agent.train_on_rollout(rollout).extra
    assert all(np.isfinite(value) for value in metrics.values())
    assert float(metrics["accepted_step_fraction"]) > 0.0
