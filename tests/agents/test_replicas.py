"""Learners over several devices, checked in a process that has two logical CPU devices."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.agents import learner_devices, off_policy_devices
from tests.agents.two_devices import CHECKS, SLOW_CHECKS


def run(checks, program="two_devices"):
    command = [sys.executable, "-m", f"tests.agents.{program}", *(check.__name__ for check in checks)]
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


@pytest.fixture(scope="module")
def off_policy_failures():
    return run(off_policy_devices.CHECKS, "off_policy_devices")


@pytest.mark.parametrize("name", [check.__name__ for check in off_policy_devices.CHECKS])
def test_two_devices_off_policy(name, off_policy_failures):
    assert off_policy_failures[name] == ""


@pytest.fixture(scope="module")
def learner_failures():
    return run(learner_devices.CHECKS, "learner_devices")


@pytest.mark.parametrize("name", [check.__name__ for check in learner_devices.CHECKS])
def test_client_03_learner_over_two_devices(name, learner_failures):
    assert learner_failures[name] == ""


@pytest.mark.slow
@pytest.mark.parametrize("check", SLOW_CHECKS, ids=[check.__name__ for check in SLOW_CHECKS])
def test_two_devices_slowly(check):
    assert run([check])[check.__name__] == ""
