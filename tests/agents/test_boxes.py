"""Agents over any box behave as over [−1, 1], in the box's own units."""

from __future__ import annotations

import numpy as np
import pytest

from tests.agents.small_agents import NETWORKS, box, make_actor, make_agent, make_rollout, values_of

BOXES = [(0.0, 1.0), (-1000.0, 1000.0), (-3.0, 5.0)]


def to_box(unit, low, high):
    return (low + high) / 2 + (high - low) / 2 * unit


@pytest.fixture(scope="module")
def unit_run():
    """Two iterations of an agent over [−1, 1]."""
    return run(-1.0, 1.0)


def run(low, high):
    agent = make_agent("gaussian", action=box(low, high))
    actions, metrics = [], []
    for seed in range(2):
        rollout = make_rollout(agent, seed=seed)
        actions.append(rollout.action)
        metrics.append({name: float(value) for name, value in agent.train_on_rollout(rollout).extra.items()})
    return actions, metrics, values_of(agent.actor_network.variables)


@pytest.mark.parametrize(("low", "high"), BOXES)
def test_the_same_run_in_other_units(unit_run, low, high):
    unit_actions, unit_metrics, unit_parameters = unit_run
    actions, metrics, parameters = run(low, high)
    for found, unit in zip(actions, unit_actions, strict=True):
        np.testing.assert_allclose(found, to_box(unit, low, high), rtol=1e-3, atol=1e-3 * (high - low))
    for found, unit in zip(metrics, unit_metrics, strict=True):
        assert found["accepted_step_fraction"] == unit["accepted_step_fraction"] == 1.0
        for name in ("surrogate", "kl", "entropy", "value_loss", "explained_variance"):
            assert found[name] == pytest.approx(unit[name], rel=1e-2, abs=1e-3), name
    for found, unit in zip(parameters, unit_parameters, strict=True):
        np.testing.assert_allclose(found, unit, rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize(("low", "high"), BOXES)
@pytest.mark.parametrize("squash", [False, True], ids=["open", "squashed"])
@pytest.mark.parametrize("kind", NETWORKS)
def test_the_same_actions_and_densities_in_other_units(kind, squash, low, high):
    observation = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    unit = make_actor(kind, squash=squash)(observation)[0]
    other = make_actor(kind, action=box(low, high), squash=squash)(observation)[0]
    seed = [1, 2]
    unit_action, unit_log_prob = unit.experimental_sample_and_log_prob(seed=seed)
    action, log_prob = other.experimental_sample_and_log_prob(seed=seed)
    np.testing.assert_allclose(action, to_box(unit_action, low, high), rtol=1e-3, atol=1e-4 * (high - low))
    np.testing.assert_allclose(log_prob, unit_log_prob - 2 * np.log((high - low) / 2), rtol=1e-3, atol=1e-3)
