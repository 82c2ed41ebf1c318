"""Policies survive TF-Agents' PolicySaver, also where this library is not installed."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from tf_agents.policies import policy_saver
from tf_agents.trajectories import time_step as ts

from expol_tf.networks import ObservationNormalizer
from tests.agents.small_agents import OBSERVATION, box, make_agent

CASES = [("gaussian", False), ("mixture", False), ("flow", True)]  # Saving takes its time.


def observations(count=5):
    return np.random.default_rng(0).normal(1.0, 2.0, (count, 3)).astype(np.float32)


def time_step(observation):
    return ts.restart(tf.constant(observation), len(observation))


def save(directory, kind, squash):
    """Saves both policies of an agent that has a normalizer; returns what they do next."""
    normalizer = ObservationNormalizer(OBSERVATION)
    normalizer.update(tf.constant(observations(50)))
    agent = make_agent(
        kind,
        squash=squash,
        action=box(-1.0, 3.0),
        observation_normalizer=normalizer,
        jit_compile=kind == "gaussian",
    )
    for name in ("policy", "collect_policy"):
        saver = policy_saver.PolicySaver(getattr(agent, name), batch_size=None)
        saver.save(str(directory / name))
    greedy = agent.policy.action(time_step(observations()))
    sampled = [agent.collect_policy.action(time_step(observations())) for _ in range(2)]
    return greedy, sampled


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    root = tmp_path_factory.mktemp("policies")
    return root, {case: save(root / f"{case[0]}-{case[1]}", *case) for case in CASES}


def check(action, info, expected):
    np.testing.assert_allclose(action, expected.action, rtol=1e-5, atol=1e-6)
    assert set(info) == set(expected.info)
    for name in expected.info:
        np.testing.assert_allclose(info[name], expected.info[name], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("kind", "squash"), CASES)
def test_acts_as_before_when_loaded(saved, kind, squash):
    root, expected = saved
    greedy, sampled = expected[kind, squash]
    directory = root / f"{kind}-{squash}"
    policy = tf.saved_model.load(str(directory / "policy"))
    step = policy.action(time_step(observations()))
    check(step.action, step.info, greedy)
    assert policy.action(time_step(observations(2))).action.shape == (2, 2)
    # The generator goes along, and goes on from where it was.
    collect = tf.saved_model.load(str(directory / "collect_policy"))
    for each in sampled:
        step = collect.action(time_step(observations()))
        check(step.action, step.info, each)


WITHOUT_LIBRARY = """
import json, pathlib, sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("expol_tf", "tf_agents", "tensorflow_probability"):
            raise ImportError(f"{name} is not installed here")

sys.meta_path.insert(0, Refuse())
import tensorflow as tf

observation = tf.constant(json.loads(sys.argv[2]))
step = dict(observation=observation, reward=tf.zeros([5]), discount=tf.ones([5]))
step["step_type"] = tf.zeros([5], tf.int32)
results = {}
for directory in sorted(pathlib.Path(sys.argv[1]).iterdir()):
    for name in ("policy", "collect_policy"):
        policy = tf.saved_model.load(str(directory / name))
        act = policy.signatures["action"]
        named = {f"0/{key}": value for key, value in step.items()}
        actions = [act(**named)["action"] for _ in range(2)]
        results[f"{directory.name}/{name}"] = [action.numpy().tolist() for action in actions]
assert not any(name.split(".")[0] == "expol_tf" for name in sys.modules)
print(json.dumps(results))
"""


def test_acts_in_a_process_without_the_library(saved, tmp_path):
    root, expected = saved
    process = subprocess.run(
        [sys.executable, "-c", WITHOUT_LIBRARY, str(root), json.dumps(observations().tolist())],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    results = json.loads(process.stdout)
    assert len(results) == 2 * len(CASES)
    for (kind, squash), (greedy, sampled) in expected.items():
        for actions, steps in (
            (results[f"{kind}-{squash}/policy"], [greedy, greedy]),
            (results[f"{kind}-{squash}/collect_policy"], sampled),
        ):
            np.testing.assert_allclose(actions, [step.action for step in steps], rtol=1e-4, atol=1e-5)
