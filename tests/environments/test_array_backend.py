"""Array tasks stepped as rows equal the same tasks stepped one by one, bit for bit."""

from __future__ import annotations

import subprocess
import sys

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.wrappers import TimeLimit

from expol_tf import gymnasium_plugin
from expol_tf.environments import (
    ArrayTaskEnv,
    ArrayVectorEnvironment,
    NoisyObservation,
    SyncVectorEnvironment,
    Transition,
    load,
    load_vector,
    register_tasks,
)
from expol_tf.environments.backends.array_backend import supports
from expol_tf.environments.registry import make_registered
from expol_tf.errors import CheckpointError, ConfigurationError
from expol_tf.testing import check_environment
from tests.environments.tasks import CountingTask, random_actions


class Walk:
    """s′ = s + 0.3·a from a random start, ends outside of [−1, 1]: a task with a state of its own."""

    observation_space = spaces.Box(-2, 2, (2,), np.float32)
    action_space = spaces.Box(-1, 1, (2,), np.float32)

    def initial_state(self, generator):
        return generator.uniform(-0.5, 0.5, 2)

    def observe(self, state):
        return state

    def transition(self, state, action):
        after = state + 0.3 * action
        return Transition(after, -np.square(after).sum(axis=1), (np.abs(after) > 1).any(axis=1))

    def draw(self, axes, steps):
        axes.plot([step.next_state[0] for step in steps])


def make_walk(render_mode=None):
    return TimeLimit(ArrayTaskEnv(Walk(), render_mode), 6)


TASKS = {
    "walk": make_walk,
    "gaussian_bandit": lambda: make_registered("expol/GaussianBandit-v0", {}),
    "bimodal_bandit": lambda: make_registered("expol/BimodalBandit-v0", {"max_episode_steps": 5}),
    "multi_goal": lambda: make_registered("expol/MultiGoal-v0", {}),
    "asymmetric_multi_goal": lambda: make_registered(
        "expol/AsymmetricMultiGoal-v0", {"obstacle": True, "max_episode_steps": 7, "goal_threshold": 3}
    ),
}


@pytest.mark.parametrize("name", TASKS)
def test_it_equals_the_loop_over_the_environments(name):
    num_envs, num_steps, seed = 7, 60, 3
    batched = ArrayVectorEnvironment(TASKS[name](), num_envs, seed)
    loop = SyncVectorEnvironment([TASKS[name]() for _ in range(num_envs)], seed)
    assert batched.observation_spec == loop.observation_spec and batched.action_spec == loop.action_spec
    np.testing.assert_array_equal(batched.reset(), loop.reset())
    mask = np.random.default_rng(1).uniform(size=(num_steps, num_envs)) < 0.7
    ends = np.zeros(2, int)
    for t, action in enumerate(random_actions(loop.action_spec, num_steps, num_envs)):
        active = mask[t] if t % 3 == 0 else None
        expected, got = loop.step(action, active), batched.step(action, active)
        for field, value in expected._asdict().items():
            np.testing.assert_array_equal(getattr(got, field), value, err_msg=f"{field} at step {t}")
        ends += expected.terminated.sum(), expected.truncated.sum()
    assert ends[0] > 0 or name == "multi_goal"
    assert ends[1] > 0 or name.endswith("bandit")
    np.testing.assert_array_equal(batched.reset(), loop.reset())


def test_the_contract_of_a_task_of_one_s_own():
    def make(seed):
        vector = ArrayVectorEnvironment(make_walk(), 3, seed)
        return type(load(make_walk, 1))(vector)

    check_environment(make)
    check_environment(lambda seed: load(make_walk, 2, seed))  # In the loop it saves its state as well.


def test_bandits_are_batched_unless_wrapped():
    assert isinstance(load_vector("expol/GaussianBandit-v0", 4), ArrayVectorEnvironment)
    wrapped = load_vector("expol/GaussianBandit-v0", 4, wrappers=(NoisyObservation,))
    assert isinstance(wrapped, SyncVectorEnvironment) and wrapped.can_save_state

    class Own(ArrayTaskEnv):
        def step(self, action):
            return super().step(action / 2)

    assert supports(make_walk()) and not supports(Own(Walk())) and not supports(CountingTask())
    with pytest.raises(ConfigurationError, match="env must be an ArrayTaskEnv"):
        ArrayVectorEnvironment(CountingTask(), 2)


def test_the_state_of_other_environments_is_refused():
    state = load_vector("expol/GaussianBandit-v0", 3).get_state()
    with pytest.raises(CheckpointError, match=r"needs 'states'.* \(2, 1\) .*got .* \(3, 1\)"):
        load_vector("expol/GaussianBandit-v0", 2).set_state(state)


def test_many_environments_are_one_step():
    environment = load_vector("expol/BimodalBandit-v0", 2000, 0)
    environment.reset()
    actions = random_actions(environment.action_spec, 1, 2000)[0]
    step = environment.step(actions)
    assert step.terminated.all() and np.unique(step.reward).size > 1000


def test_the_entry_point_registers_the_tasks_without_tensorflow():
    program = """
import sys, gymnasium
assert not [task for task in gymnasium.registry if task.startswith("expol/")]
from gymnasium.envs.registration import namespace
from expol_tf.gymnasium_plugin import register_tasks
with namespace("expol"):
    register_tasks()
register_tasks()
print(*[task for task in gymnasium.registry if task.startswith("expol/")])
assert "tensorflow" not in sys.modules and "expol_tf.environments" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    names = ("GaussianBandit", "BimodalBandit", "MultiGoal", "AsymmetricMultiGoal")
    assert done.stdout.split() == [f"expol/{name}-v0" for name in names]
    assert done.stderr == ""


def test_load_registers_the_tasks_again_if_need_be(monkeypatch):
    task = "expol/GaussianBandit-v0"
    spec = gymnasium.registry.pop(task)
    try:
        assert load_vector(task).task == task
        before = gymnasium.registry[task]
        register_tasks()
        assert gymnasium.registry[task] is before
    finally:
        gymnasium.registry[task] = spec
    assert gymnasium_plugin.NAMESPACE == "expol"
