"""Gymnasium's planar MuJoCo tasks, stepped by MuJoCo's own threads and rewarded in one line of NumPy.

HalfCheetah, Hopper, Walker2d and Swimmer (v4, v5) compute rewards, observations and episode ends from nothing
but positions and velocities. So their physics can run as one native call for all sub-environments
(`mujoco.batch`, whose results do not depend on the number of threads), and the rest as array operations,
about three times as fast as the environments' own `step` in a loop, and with bit-identical results.
"""

from __future__ import annotations

import os
from typing import Any

import gin
import gymnasium
import numpy as np

from expol_tf.environments import simulator_state
from expol_tf.environments.rendering import rendered
from expol_tf.environments.seeds import sub_environment_seeds
from expol_tf.environments.backends.step_arrays import StepArrays
from expol_tf.environments.vector_environment import VectorStep
from expol_tf.environments.wrapper_chain import peel_time_limit
from expol_tf.errors import CheckpointError

_PLANAR_TASKS = frozenset(
    f"gymnasium.envs.mujoco.{name}_v{version}"
    for name in ("half_cheetah", "hopper", "walker2d", "swimmer")
    for version in (4, 5)
)


def supports(env: gymnasium.Env) -> bool:
    """Returns whether `env` is one of these tasks as `gymnasium.make` makes it, and MuJoCo is ≥ 4.0."""
    inner, _ = peel_time_limit(env)
    if type(inner).__module__ not in _PLANAR_TASKS or inner.render_mode == "human":
        return False
    try:
        from mujoco import batch  # noqa: F401
    except ImportError:
        return False
    return True


@gin.configurable(module="expol_tf")
class MujocoVectorEnvironment:
    """N copies of a planar MuJoCo task whose simulator states are the rows of one array.

    Implements `VectorEnvironment`. Equal, bit for bit, to `SyncVectorEnvironment` of the same task and seed.
    """

    can_save_state = True

    def __init__(self, env: gymnasium.Env, num_envs: int, seed: int | None = None, task: str | None = None):
        """Makes `num_envs` simulations of the model of `env`.

        Args:
          env: The task, one that `supports` accepts; its parameters and model are used for all.
          num_envs: N.
          seed: Seed of all of them, see `sub_environment_seeds`; used at the first reset only.
          task: The task's name; by default its class.
        """
        from mujoco import batch

        self._env = env
        self.num_envs = num_envs
        inner: Any
        inner, limit = peel_time_limit(env)
        self.task = task or type(inner).__name__
        self._arrays = StepArrays(self.task, num_envs, env.observation_space, env.action_space)
        self.observation_spec = self._arrays.observation_spec
        self.action_spec = self._arrays.action_spec
        self._formulas = _PlanarTask(inner)
        self._max_steps = limit._max_episode_steps if limit else np.iinfo(np.int64).max
        self._elapsed = np.zeros(num_envs, np.int64)
        self._seeds: list[int] | None = sub_environment_seeds(seed, num_envs)
        self._generators = [np.random.default_rng() for _ in range(num_envs)]
        self._batch = batch.Batch(inner.model, num_envs, _num_threads(num_envs))
        self._qpos, self._qvel, self._ctrl = (self._batch.bind(name) for name in ("qpos", "qvel", "ctrl"))
        self._frame_skip = inner.frame_skip

    def reset(self) -> np.ndarray:
        """Starts a new episode in every sub-environment and returns the observations `[N, O]`."""
        if self._seeds is not None:
            self._generators = [gymnasium.utils.seeding.np_random(seed)[0] for seed in self._seeds]
            self._seeds = None
        self._reset(list(range(self.num_envs)))
        return self._arrays.started()

    def step(self, actions: np.ndarray, active: np.ndarray | None = None) -> VectorStep:
        """Clips `actions` `[N, A]` to the box and steps the sub-environments (where `active`)."""
        arrays, formulas = self._arrays, self._formulas
        boxed = arrays.boxed(actions, active)
        x_before = self._qpos[:, 0].copy()
        if active is None:
            self._ctrl[:] = boxed
            self._elapsed += 1
        else:
            self._ctrl[active] = boxed[active]
            self._elapsed[active] += 1
        self._batch.step(active, self._frame_skip)
        qpos, qvel = self._qpos, self._qvel
        formulas.observe(qpos, qvel, arrays.next_observation)
        reward, terminated = formulas.judge(x_before, qpos, qvel, boxed)
        truncated = self._elapsed >= self._max_steps
        if active is not None:
            reward, terminated, truncated = reward * active, terminated & active, truncated & active
        arrays.reward[:] = reward
        arrays.terminated[:] = terminated
        arrays.truncated[:] = truncated
        np.copyto(arrays.observation, arrays.next_observation)
        result = arrays.finished()
        ended = arrays.ended()
        if ended:
            self._reset(ended)
        arrays.restarted(ended)
        return result

    def current_observation(self) -> np.ndarray:
        """Returns the last observations to act on, `[N, O]`."""
        return self._arrays.observation

    def get_state(self) -> dict[str, np.ndarray]:
        """Returns the simulators' states, counters and generators, stacked over the sub-environments."""
        return {
            "integration_state": self._batch.state.copy(),
            "elapsed_steps": self._elapsed.copy(),
            "np_random": np.stack([simulator_state.generator_state(g) for g in self._generators]),
            "observation": self._arrays.observation.copy(),
            "num_steps": np.array(self._arrays.num_steps or 0),
        }

    def set_state(self, state: dict[str, np.ndarray]) -> None:
        """Restores what `get_state` returned.

        Raises:
          CheckpointError: If the state is that of other environments.
        """
        saved, expected = np.shape(state.get("integration_state", ())), self._batch.state.shape
        if saved != expected:
            raise CheckpointError(
                f"The saved simulator states of {self.task} have shape {saved}, but num_envs and this MuJoCo "
                f"need {expected}. Resume with the run's own num_envs, task and package versions."
            )
        self._seeds = None
        self._batch.state[:] = state["integration_state"]
        self._elapsed[:] = state["elapsed_steps"]
        for generator, saved_generator in zip(self._generators, state["np_random"], strict=True):
            simulator_state.set_generator_state(generator, saved_generator)
        np.copyto(self._arrays.observation, state["observation"])
        self._arrays.num_steps = int(state["num_steps"])

    def render(self) -> np.ndarray:
        """Returns an RGB picture of the first sub-environment, made with `render_mode="rgb_array"`."""
        import mujoco

        inner: Any = self._env.unwrapped
        self._batch.get_data(0, inner.data)
        mujoco.mj_forward(inner.model, inner.data)
        return rendered(inner, self.task)

    def close(self) -> None:
        """Closes the renderer."""
        self._env.close()

    def _reset(self, indices: list[int]) -> None:
        from mujoco import mjtStage

        # The forward pass of the environments' own reset changes nothing that the next step reads.
        self._batch.reset(indices, stage=mjtStage.mjSTAGE_NONE.value)
        for i in indices:
            self._qpos[i], self._qvel[i] = self._formulas.initial_state(self._generators[i])
        self._elapsed[indices] = 0
        first = self._formulas.observe(self._qpos[indices], self._qvel[indices])
        self._arrays.observation[indices] = first


def _num_threads(num_envs: int) -> int:
    """Returns how many cores to use: a thread is worth waking from four simulations on."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(usable, num_envs // 4))


class _PlanarTask:
    """Rewards, observations, episode ends and initial states of one task, as pure functions of arrays.

    The order of the operations and their precisions are those of the task's own `step`.
    """

    def __init__(self, env: Any):
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
        low, high = -self._noise, self._noise
        qpos = self._init_qpos + generator.uniform(low, high, size=self._init_qpos.size)
        if self._normal_velocity:
            return qpos, self._init_qvel + self._noise * generator.standard_normal(self._init_qvel.size)
        return qpos, self._init_qvel + generator.uniform(low, high, size=self._init_qvel.size)

    def observe(self, qpos: np.ndarray, qvel: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """Returns the observations `[n, O]` float32 of states `[n, nq]`, `[n, nv]`."""
        shown = qpos.shape[1] - self._num_hidden
        if out is None:
            out = np.empty((len(qpos), shown + qvel.shape[1]), np.float32)
        out[:, :shown] = qpos[:, self._num_hidden :]
        out[:, shown:] = qvel.clip(-10, 10) if self._clips_velocity else qvel
        return out

    def judge(
        self, x_before: np.ndarray, qpos: np.ndarray, qvel: np.ndarray, actions: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Returns the rewards and terminations, `[n]` each, of a step from `x_before` to the state."""
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
            for part in (qpos[:, 2:], qvel):
                healthy &= ((low < part) & (part < high)).all(axis=1)
        return healthy
