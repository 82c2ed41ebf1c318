"""Flow agents train on what TF-Agents' own drivers, buffers and metrics gather."""

from __future__ import annotations

import pytest

from tests.agents.driving import (
    agent_for,
    by_steps,
    check_training_by_each_driver,
    check_update,
    first_frames,
    gather_in_graph,
    load,
    short_pendulum,
)
from tests.environments.tasks import make_with_both_ends


@pytest.mark.parametrize("squash", [False, True], ids=["open", "squashed"])
def test_train_on_what_each_driver_gathers(squash):
    check_training_by_each_driver(make_with_both_ends, "flow", squash)


def test_a_single_action_component():
    agent = agent_for(load(short_pendulum), "flow", False)
    experience, metrics = gather_in_graph(agent, short_pendulum, by_steps)
    check_update(agent, first_frames(experience))
    assert metrics["AverageReturn"] < 0.0
