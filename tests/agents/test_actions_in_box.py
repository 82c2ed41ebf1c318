"""Every action of a squashed or greedy policy lies in its box exactly, as Gymnasium checks it."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from gymnasium import spaces

from tests.agents.small_agents import box, make_agent, perturb

LOW, HIGH = -2.8, 4.0


@pytest.mark.parametrize(("kind", "scale"), [("gaussian", 20.0), ("mixture", 20.0), ("flow", 2.0)])
def test_fault_08_actions_of_policies_lie_in_an_asymmetric_box(kind, scale):
    space = spaces.Box(LOW, HIGH, (2,), np.float32)
    agent = make_agent(kind, action=box(space.low, space.high), squash=True)
    perturb(agent.collect_policy._actor_network, scale)
    observation = 20 * tf.random.stateless_normal([300, 3], [1, 2])  # Many actions are at an edge.
    actions = {
        "collected": agent.collect_policy.act(observation)[0],
        "greedy": agent.policy.act(observation)[0],
        # What the exported policy calls.
        "sampled": agent.collect_policy.sampled_action(observation, tf.constant([3, 4])),
    }
    for name, found in actions.items():
        found = found.numpy()
        assert np.any(np.isclose(found, LOW, rtol=1e-6)), name
        assert all(map(space.contains, found)), (name, found[~np.all(found >= space.low, axis=1)][:3])
