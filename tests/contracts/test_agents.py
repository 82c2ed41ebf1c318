"""Every agent keeps the contract."""

from __future__ import annotations

import pytest

from expol_tf.testing import check_agent
from tests.contracts.registry import AGENTS


# A mixture's graphs take the longest to build and hold nothing that the flow's do not.
_SLOW = {"trpo_mixture"}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in _SLOW else name for name in AGENTS]
)
def test_agent(name):
    check_agent(AGENTS[name])
