"""Thousands of updates at the ends of the settings' ranges; `many_updates` as a program makes more."""

from __future__ import annotations

import pytest

from tests.agents.many_updates import CASES, run


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_no_number_is_lost(name):
    finite, told = run(name, 3000)
    assert finite, told
