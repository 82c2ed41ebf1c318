"""Every agent keeps the contract."""

from __future__ import annotations

import pytest

from expol_tf.testing import check_agent
from tests.contracts.registry import AGENTS

# The others' graphs take long to build; these have an entropy bonus and a pre-squash action as well.
_QUICK = {f"{algorithm}_squashed_gaussian_with_entropy" for algorithm in ("trpo", "ppo", "acktr")}
_QUICK |= {"sac_gaussian", "sql_sampling", "ddpg", "s2ac_amortized"}


@pytest.mark.parametrize(
    "name", [name if name in _QUICK else pytest.param(name, marks=pytest.mark.slow) for name in AGENTS]
)
def test_agent(name):
    check_agent(AGENTS[name])
