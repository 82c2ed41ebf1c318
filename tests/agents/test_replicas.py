"""Learners over several devices, checked in a process that has two logical CPU devices."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.agents.two_devices import CHECKS, SLOW_CHECKS


def run(checks):
    command = [sys.executable, "-m", "tests.agents.two_devices", *(check.__name__ for check in checks)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def failures():
    return run(CHECKS)


@pytest.mark.parametrize("name", [check.__name__ for check in CHECKS])
def test_two_devices(name, failures):
    assert failures[name] == ""


@pytest.mark.slow
@pytest.mark.parametrize("check", SLOW_CHECKS, ids=[check.__name__ for check in SLOW_CHECKS])
def test_two_devices_slowly(check):
    assert run([check])[check.__name__] == ""
