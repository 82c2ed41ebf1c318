"""Every agent keeps the contract."""

from __future__ import annotations

import pytest

from expol_tf.testing import check_agent
from tests.contracts.registry import AGENTS

# Building their graphs takes long; what is left has an entropy bonus and a pre-squash action as well.
_SLOW = {"trpo_gaussian", "trpo_mixture", "trpo_squashed_flow"}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in _SLOW else name for name in AGENTS]
)
def test_agent(name):
    check_agent(AGENTS[name])
