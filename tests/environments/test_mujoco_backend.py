"""MuJoCo's batched physics and array rewards equal the tasks' own `step`, bit for bit."""

from __future__ import annotations

import importlib.util
import logging
import sys

import gymnasium
import mujoco
import numpy as np
import pytest

from expol_tf.environments import (
    MujocoVectorEnvironment,
    NoisyObservation,
    SyncVectorEnvironment,
    load_vector,
)
from expol_tf.environments.backends.mujoco_backend import _say_that_there_is_no_batch, supports
from expol_tf.environments.registry import make_registered
from tests.environments.tasks import random_actions

HAS_BATCHES = importlib.util.find_spec("mujoco.batch") is not None
needs_batches = pytest.mark.skipif(not HAS_BATCHES, reason="MuJoCo before 3.17 has no batches")

PLANAR = [f"{name}-v{v}" for name in ("HalfCheetah", "Hopper", "Walker2d", "Swimmer") for v in (4, 5)]
WEIGHTS = {"forward_reward_weight": 1.7, "ctrl_cost_weight": 0.3, "reset_noise_scale": 0.02}
HEALTH = {"healthy_reward": 0.7, "healthy_z_range": (0.9, 1.22), "healthy_angle_range": (-0.1, 0.15)}
CASES = [
    *((task, {}) for task in PLANAR),
    *((task, {**WEIGHTS, "exclude_current_positions_from_observation": False}) for task in PLANAR),
    *((task, {**WEIGHTS, **HEALTH}) for task in PLANAR if task.startswith(("Hopper", "Walker"))),
    *(
        (task, {"terminate_when_unhealthy": False})
        for task in PLANAR
        if task.startswith(("Hopper", "Walker"))
    ),
    ("Hopper-v5", {"healthy_state_range": (-2.0, 1.5)}),
    ("HalfCheetah-v5", {"frame_skip": 3}),
    ("Hopper-v5", {"max_episode_steps": -1}),
]


@needs_batches
@pytest.mark.parametrize(("task", "kwargs"), CASES)
def test_it_equals_the_loop_over_gymnasium_s_own_steps(task, kwargs):
    num_envs, num_steps, seed = 8, 70, 5  # two threads, where there are two cores
    kwargs = {"max_episode_steps": 30, **kwargs}
    batched = load_vector(task, num_envs, seed, make_kwargs=kwargs)
    assert isinstance(batched, MujocoVectorEnvironment)
    loop = SyncVectorEnvironment([make_registered(task, kwargs) for _ in range(num_envs)], seed, task)
    assert batched.observation_spec == loop.observation_spec and batched.action_spec == loop.action_spec
    np.testing.assert_array_equal(batched.reset(), loop.reset())
    ended = 0
    mask = np.random.default_rng(1).uniform(size=(num_steps, num_envs)) < 0.8
    for t, action in enumerate(random_actions(loop.action_spec, num_steps, num_envs)):
        active = mask[t] if t % 3 == 0 else None
        expected, got = loop.step(action, active), batched.step(action, active)
        for field, value in expected._asdict().items():
            np.testing.assert_array_equal(getattr(got, field), value, err_msg=f"{field} at step {t}")
        ended += (expected.terminated | expected.truncated).sum()
    assert ended > 0
    np.testing.assert_array_equal(batched.reset(), loop.reset())


@needs_batches
def test_only_the_tasks_whose_formulas_are_known_are_batched():
    for task in ("Ant-v5", "Humanoid-v4", "Reacher-v5", "InvertedPendulum-v5", "Pendulum-v1"):
        assert not supports(make_registered(task, {}))
    hopper = make_registered("Hopper-v5", {})
    assert supports(hopper)
    assert not supports(gymnasium.wrappers.FlattenObservation(hopper))
    assert isinstance(load_vector("Hopper-v5", wrappers=(NoisyObservation,)), SyncVectorEnvironment)


@needs_batches
def test_the_picture_shows_the_first_sub_environment(monkeypatch):
    environment = load_vector("Hopper-v5", 3, 0, make_kwargs={"render_mode": "rgb_array"})
    observation = environment.reset().copy()
    inner = environment._env.unwrapped
    shown = []

    def render():
        shown.append(inner.data.qpos[1:].astype(np.float32))
        return np.zeros((4, 5, 3), np.uint8)

    monkeypatch.setattr(inner, "render", render)
    assert environment.render().shape == (4, 5, 3)
    np.testing.assert_array_equal(shown[0], observation[0, :5])


@pytest.mark.parametrize("task", PLANAR)
def test_client_06_an_older_mujoco_steps_in_a_loop_and_says_so(task, monkeypatch, caplog):
    """MuJoCo from 3.1 on serves; what it cannot do is said once, and the numbers are the loop's."""
    monkeypatch.setitem(sys.modules, "mujoco.batch", None)
    monkeypatch.delattr(mujoco, "batch", raising=False)
    _say_that_there_is_no_batch.cache_clear()
    with caplog.at_level(logging.WARNING, logger="absl"):
        environment = load_vector(task, 2, 5)
        load_vector(task, 2, 5)
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 1 and f"MuJoCo {mujoco.__version__} cannot step many simulations" in said[0]
    assert isinstance(environment, SyncVectorEnvironment)
    loop = SyncVectorEnvironment([make_registered(task, {}) for _ in range(2)], 5, task)
    np.testing.assert_array_equal(environment.reset(), loop.reset())
    for action in random_actions(loop.action_spec, 5, 2):
        np.testing.assert_array_equal(environment.step(action).reward, loop.step(action).reward)


def test_client_06_tasks_that_no_batch_steps_need_no_sentence(monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "mujoco.batch", None)
    monkeypatch.delattr(mujoco, "batch", raising=False)
    _say_that_there_is_no_batch.cache_clear()
    with caplog.at_level(logging.WARNING, logger="absl"):
        load_vector("Reacher-v5")
    assert not caplog.records
