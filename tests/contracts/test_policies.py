"""Every actor network keeps the contract."""

from __future__ import annotations

import pytest

from expol_tf.testing import check_actor_network
from tests.contracts.registry import POLICIES, box

BOXES = {
    1: box(1),
    2: box(2, [-0.4, 0.0], [0.4, 1.0]),
    3: box(3, [-1000.0, 999.0, 0.0], [1000.0, 1001.0, 1.0]),
}


# Made of parts that other policies here have.
_SLOW = {"mixture_squashed", "flow_without_transformations"}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in _SLOW else name for name in POLICIES]
)
def test_policy(name):
    make_network, action_size = POLICIES[name]
    check_actor_network(make_network, action_spec=BOXES[action_size])
