"""MuJoCo's batched physics and array rewards equal the tasks' own `step`, bit for bit."""

from __future__ import annotations

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
from expol_tf.environments.backends.mujoco_backend import supports
from expol_tf.environments.registry import make_registered
from tests.environments.tasks import random_actions

pytestmark = pytest.mark.skipif(not hasattr(mujoco, "mjtStage"), reason="MuJoCo before 4.0 has no batches")

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


def test_only_the_tasks_whose_formulas_are_known_are_batched():
    for task in ("Ant-v5", "Humanoid-v4", "Reacher-v5", "InvertedPendulum-v5", "Pendulum-v1"):
        assert not supports(make_registered(task, {}))
    hopper = make_registered("Hopper-v5", {})
    assert supports(hopper)
    assert not supports(gymnasium.wrappers.FlattenObservation(hopper))
    assert isinstance(load_vector("Hopper-v5", wrappers=(NoisyObservation,)), SyncVectorEnvironment)


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
