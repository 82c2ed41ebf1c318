"""Every environment keeps the contract."""

from __future__ import annotations

import pytest

from expol_tf.testing import check_environment
from tests.contracts.registry import ENVIRONMENTS


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_environment(name):
    check_environment(ENVIRONMENTS[name])
