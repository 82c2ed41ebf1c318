"""Gymnasium's planar MuJoCo tasks, stepped by MuJoCo's own threads, with rewards computed in NumPy.

HalfCheetah, Hopper, Walker2d and Swimmer (v4, v5) compute rewards, observations and episode ends from
positions and velocities alone. So one native call (`mujoco.batch`) can simulate all sub-environments, and
array operations compute the rest. This is about three times as fast as a loop over the environments' own
`step`. The results are the same bit for bit and do not depend on the number of threads.
"""

from __future__ import annotations

import functools
import os
from typing import Any

import gymnasium
import numpy as np
from absl import logging

from expol_tf.configurable import configurable
from expol_tf.environments.backends.state_rows import StateRowsBackend
from expol_tf.environments.wrapper_chain import peel_time_limit
from expol_tf.number_types import NumEnvs, SeedNumber

_PLANAR_TASKS = frozenset(
    f"gymnasium.envs.mujoco.{name}_v{version}"
    for name in ("half_cheetah", "hopper", "walker2d", "swimmer")
    for version in (4, 5)
)


def supports(env: gymnasium.Env) -> bool:
    """Returns whether `env` is one of these tasks as `gymnasium.make` makes it, and MuJoCo steps batches.

    MuJoCo does so from 3.17 on. For an older one a line says, once in a process, what steps the task instead.
    """
    inner, _ = peel_time_limit(env)
    if type(inner).__module__ not in _PLANAR_TASKS or inner.render_mode == "human":
        return False
    try:
        from mujoco import batch  # noqa: F401
    except ImportError:
        _say_that_there_is_no_batch()
        return False
    return True


@functools.cache
def _say_that_there_is_no_batch() -> None:
    import mujoco

    logging.warning(
        "MuJoCo %s cannot step many simulations in one call, as 3.17 and later can: HalfCheetah, Hopper, "
        "Walker2d and Swimmer are stepped by a loop over Gymnasium's environments, which takes about three "
        "times as long. The results are those of this version of MuJoCo.",
        mujoco.__version__,
    )


@configurable
class MujocoVectorEnvironment(StateRowsBackend):
    """N copies of a planar MuJoCo task whose simulator states are the rows of one array.

    Its numbers are those of `SyncVectorEnvironment` with the same task and seed, bit for bit.
    """

    _states_name = "integration_state"

    def __init__(
        self, env: gymnasium.Env, num_envs: NumEnvs, seed: SeedNumber | None = None, task: str | None = None
    ):
        """Makes `num_envs` simulations of the model of `env`.

        Args:
          env: A task that `supports` accepts. All sub-environments have its parameters and its model.
          num_envs: Number of sub-environments N.
          seed: Seed of all sub-environments, see `sub_environment_seeds`; None draws one.
          task: The task's name; None takes the name of its class.
        """
        from mujoco import batch

        super().__init__(env, num_envs, seed, task)
        self._formulas = _PlanarTask(self._inner)
        self._batch = batch.Batch(self._inner.model, num_envs, _num_threads(num_envs))
        # Views of MuJoCo's own memory: what is written into them is what it simulates.
        self._states = self._batch.state
        self._qpos, self._qvel, self._ctrl = (self._batch.bind(name) for name in ("qpos", "qvel", "ctrl"))

    def render(self) -> np.ndarray:
        """Returns an RGB picture of the first sub-environment, made with `render_mode="rgb_array"`."""
        import mujoco

        self._batch.get_data(0, self._inner.data)
        mujoco.mj_forward(self._inner.model, self._inner.data)
        return super().render()

    def _advance(self, actions: np.ndarray, active: np.ndarray | None) -> None:
        rows: Any = slice(None) if active is None else active
        self._ctrl[rows] = actions[rows]
        self._elapsed[rows] += 1
        # A copy, because the positions are a view of what the step changes.
        x_before = self._qpos[:, 0].copy()
        self._batch.step(active, self._inner.frame_skip)
        self._formulas.observe(self._qpos, self._qvel, self._arrays.next_observation)
        reward, terminated = self._formulas.judge(x_before, self._qpos, self._qvel, actions)
        truncated = self._elapsed >= self._max_steps
        if active is not None:
            # The formulas answered for all rows; nothing happened in those that were not stepped.
            reward, terminated, truncated = reward * active, terminated & active, truncated & active
        self._arrays.reward[:] = reward
        self._arrays.terminated[:] = terminated
        self._arrays.truncated[:] = truncated

    def _draw_states(self, rows: list[int]) -> np.ndarray:
        from mujoco import mjtStage

        # The forward pass of the environments' own reset changes nothing that the next step reads.
        self._batch.reset(rows, stage=mjtStage.mjSTAGE_NONE.value)
        for row in rows:
            self._qpos[row], self._qvel[row] = self._formulas.initial_state(self._generators[row])
        return self._formulas.observe(self._qpos[rows], self._qvel[rows])


def _num_threads(num_envs: int) -> int:
    """Returns how many threads to use: waking one pays from four simulations on."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(usable, num_envs // 4))


class _PlanarTask:
    """Rewards, observations, episode ends and initial states of one task, as pure functions of arrays.

    Operations have the order and precision of the task's own `step`, so that no bit of a result differs.
    """

    def __init__(self, env: Any):
        """Reads the parameters of `env`, a planar task without wrappers."""
        name, _, version = type(env).__module__.rpartition(".")[2].rpartition("_v")
        self._forward_weight = env._forward_reward_weight
        self._control_weight = env._ctrl_cost_weight
        # NumPy 1 multiplies a Python and a float32 scalar in float64, NumPy 2 in float32.
        self._cost_dtype = (self._control_weight * np.float32(1)).dtype
        self._seconds = env.dt
        self._num_hidden = (2 if name == "swimmer" else 1) * env._exclude_current_positions_from_observation
        self._clips_velocity = name in ("hopper", "walker2d")
        self._can_fall = name in ("hopper", "walker2d")
        self._normal_velocity = name == "half_cheetah"
        self._noise = env._reset_noise_scale
        self._init_qpos, self._init_qvel = env.init_qpos, env.init_qvel
        if self._can_fall:
            self._z_range, self._angle_range = env._healthy_z_range, env._healthy_angle_range
            self._state_range = env._healthy_state_range if name == "hopper" else None
            self._healthy_reward = env._healthy_reward
            self._ends_when_fallen = env._terminate_when_unhealthy
            # v4 pays for health at the step that ends the episode too.
            self._always_pays = version == "4" and self._ends_when_fallen

    def initial_state(self, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Draws the first positions `[nq]` and velocities `[nv]` of an episode."""
        # Drawn in the order of the tasks' own reset, from the same generator: the same bits follow.
        low, high = -self._noise, self._noise
        qpos = self._init_qpos + generator.uniform(low, high, size=self._init_qpos.size)
        if self._normal_velocity:
            return qpos, self._init_qvel + self._noise * generator.standard_normal(self._init_qvel.size)
        return qpos, self._init_qvel + generator.uniform(low, high, size=self._init_qvel.size)

    def observe(self, qpos: np.ndarray, qvel: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """Returns the observations `[n, O]` float32 of positions `[n, nq]` and velocities `[n, nv]`."""
        shown = qpos.shape[1] - self._num_hidden
        if out is None:
            out = np.empty((len(qpos), shown + qvel.shape[1]), np.float32)
        out[:, :shown] = qpos[:, self._num_hidden :]
        out[:, shown:] = qvel.clip(-10, 10) if self._clips_velocity else qvel
        return out

    def judge(
        self, x_before: np.ndarray, qpos: np.ndarray, qvel: np.ndarray, actions: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Returns the rewards and terminations, `[n]` each, of a step.

        Args:
          x_before: Forward positions before the step, `[n]`.
          qpos: Positions after the step, `[n, nq]`.
          qvel: Velocities after the step, `[n, nv]`.
          actions: Actions taken, `[n, A]`.
        """
        reward = self._forward_weight * ((qpos[:, 0] - x_before) / self._seconds)
        terminated = np.zeros(len(qpos), bool)
        if self._can_fall:
            healthy = self._healthy(qpos, qvel)
            reward = reward + np.logical_or(healthy, self._always_pays) * self._healthy_reward
            if self._ends_when_fallen:
                terminated = ~healthy
        cost = self._control_weight * np.square(actions).sum(axis=1).astype(self._cost_dtype)
        return reward - cost, terminated

    def _healthy(self, qpos: np.ndarray, qvel: np.ndarray) -> np.ndarray:
        height, angle = qpos[:, 1], qpos[:, 2]
        healthy = (self._z_range[0] < height) & (height < self._z_range[1])
        healthy &= (self._angle_range[0] < angle) & (angle < self._angle_range[1])
        if self._state_range is not None:
            low, high = self._state_range
            for values in (qpos[:, 2:], qvel):
                healthy &= ((low < values) & (values < high)).all(axis=1)
        return healthy
