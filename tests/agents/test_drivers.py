"""Agents train on what TF-Agents' own drivers, buffers and metrics gather."""

from __future__ import annotations

import numpy as np
import pytest
from tf_agents.drivers import dynamic_step_driver, py_driver
from tf_agents.environments import tf_py_environment
from tf_agents.metrics import tf_metrics
from tf_agents.policies import py_tf_eager_policy

from tests.agents.driving import agent_for, check_training_by_each_driver, load, short_pendulum


@pytest.mark.parametrize("squash", [False, True], ids=["open", "squashed"])
@pytest.mark.parametrize("kind", ["gaussian", "mixture"])
def test_train_on_what_each_driver_gathers(kind, squash):
    check_training_by_each_driver(short_pendulum, kind, squash)


def test_the_greedy_policy_runs_under_the_drivers_too():
    agent = agent_for(load(short_pendulum), "gaussian", False)
    actions = []
    env, steps = tf_py_environment.TFPyEnvironment(load(short_pendulum)), tf_metrics.EnvironmentSteps()
    dynamic_step_driver.DynamicStepDriver(env, agent.policy, [steps], num_steps=12).run()
    assert int(steps.result()) == 12
    policy = py_tf_eager_policy.PyTFEagerPolicy(agent.policy, use_tf_function=True)
    env = load(short_pendulum)
    driver = py_driver.PyDriver(env, policy, [lambda frame: actions.append(frame.action)], max_steps=12)
    driver.run(env.reset())
    assert len(actions) == 4 and np.abs(actions).max() <= 2.0
