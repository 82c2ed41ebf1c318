"""Sub-environments stepped one after the other in this process."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import gymnasium
import numpy as np

from expol_tf.configurable import configurable
from expol_tf.environments import returned_values, simulator_state, spaces
from expol_tf.environments.backends.backend import Backend
from expol_tf.environments.faults import shown, task_error
from expol_tf.environments.returned_values import FLAGS, NUMBERS
from expol_tf.environments.running_statistics import CarriedNumbers, refuse_running_statistics
from expol_tf.environments.wrapper_chain import peel_time_limit, require_readable, step_limit
from expol_tf.errors import CapabilityError, TaskError
from expol_tf.number_types import SeedNumber
from expol_tf.random import sub_environment_seeds
from expol_tf.saved_states import require_saved


@configurable
class SyncVectorEnvironment(Backend):
    """N Gymnasium environments stepped in a loop.

    The environments step themselves. Only the TimeLimit that `gymnasium.make` puts outermost is counted here,
    for all of them at once. The state can be saved if every layer (the wrappers and the environment) is known
    to `simulator_state` or has its own `get_state` and `set_state`.

    Attributes:
      unsaved_layers: Names of the layers, from the outermost in, whose state cannot be saved.
    """

    def __init__(
        self,
        envs: Sequence[gymnasium.Env],
        seed: SeedNumber | None = None,
        task: str | None = None,
        borrowed: gymnasium.Env | None = None,
    ):
        """Wraps `envs`, all of one task.

        Args:
          envs: The sub-environments, at least one.
          seed: Seed of all sub-environments, see `sub_environment_seeds`; None draws one. Used at the first
            reset only.
          task: The task's name; None takes the name of the first one's class.
          borrowed: One of `envs`, or what it wraps, that is somebody else's to close.

        Raises:
          SpaceError: If the spaces are not supported.
          TaskError: If the sub-environments have different spaces, or one raises when it is asked for them.
          ConfigurationError: If one keeps running statistics, which would be its own.
        """
        self._envs = list(envs)
        self._borrowed = borrowed
        for env in self._envs:
            require_readable(env)
            refuse_running_statistics(env)
        first = self._envs[0]
        task = task or type(first.unwrapped).__name__
        super().__init__(task, len(self._envs), first.observation_space, first.action_space)
        for row, env in enumerate(self._envs):
            self._require_spaces_of_first(row, env)
        unknown = (layer for env in self._envs for layer in simulator_state.unknown_layers(env))
        self.unsaved_layers = tuple(dict.fromkeys(type(layer).__name__ for layer in unknown))
        self.can_save_state = not self.unsaved_layers
        self._seeds: list[int | None] = list(sub_environment_seeds(seed, self.num_envs))
        inner, self._limits = zip(*(peel_time_limit(env) for env in self._envs), strict=True)
        self._steps = [env.step for env in inner]
        # That of the observations, for a quick look at them.
        self._dtype = first.observation_space.dtype
        # The task's own action spaces, unless it makes a new object whenever it is asked.
        self._unwrapped = [env.unwrapped for env in self._envs]
        self._boxes: list[Any] = [env.action_space for env in self._unwrapped]
        self._keeps_box = all(
            env.action_space is box for env, box in zip(self._unwrapped, self._boxes, strict=True)
        )
        self._elapsed = np.zeros(self.num_envs, np.int64)
        # What is made at the first step is seen after that.
        self._was_stepped = False
        self._carried: CarriedNumbers | None = CarriedNumbers(first)
        self._max_steps = np.array([step_limit(limit) for limit in self._limits], np.int64)

    def reset(self) -> np.ndarray:
        """Starts a new episode in every sub-environment and returns the observations `[N, O]`."""
        is_first = self._num_steps is None
        observation = super().reset()
        if is_first:
            self._refuse_statistics()
        if is_first and self.can_save_state:
            # So that a state that cannot be saved is known now and not at the first checkpoint.
            self._get_row(0)
        return observation

    def get_state(self) -> dict[str, np.ndarray]:
        """Returns all that decides the future, stacked over the sub-environments.

        Raises:
          CapabilityError: If some layer's state cannot be saved; names it.
          TaskError: If a layer's own `get_state` raises, or returns what cannot be saved.
        """
        self._require_saving()
        # Steps are counted here, so the TimeLimit layers, which are saved, do not know the count yet.
        for limit, elapsed in zip(self._limits, self._elapsed.tolist(), strict=True):
            if limit is not None:
                limit._elapsed_steps = elapsed
        states = [self._get_row(row) for row in range(self.num_envs)]
        return {**simulator_state.stack(states), **self._get_progress()}

    def set_state(self, state: dict[str, np.ndarray]) -> None:
        """Restores what `get_state` returned.

        Raises:
          CapabilityError: If some layer's state cannot be saved; names it.
          CheckpointError: If the state is that of other environments.
          TaskError: If a layer's own `set_state` raises.
        """
        self._require_saving()
        if self._num_steps is None:
            # Many tasks create some of their attributes only at the first reset.
            self.reset()
        states = simulator_state.unstack(state, self.num_envs, self.task)
        remedy = "Resume with the run's own num_envs, task and wrappers."
        require_saved(state, self._get_progress(), self.task, remedy)
        for row, (env, env_state) in enumerate(zip(self._envs, states, strict=True)):
            try:
                simulator_state.set_state(env, env_state)
            except TaskError as error:
                raise task_error(error, self._name(row), "set_state()") from None
        self._elapsed[:] = [limit._elapsed_steps if limit else 0 for limit in self._limits]
        self._set_progress(state)

    def render(self) -> np.ndarray:
        """Returns an RGB picture of the first sub-environment, made with `render_mode="rgb_array"`."""
        return self._picture(self._envs[0])

    def close(self) -> None:
        """Closes the sub-environments; of a borrowed one only the wrappers around it.

        Raises:
          TaskError: If one raises; the others are closed first.
        """
        failed: BaseException | None = None
        with _kept_open(self._borrowed):
            for row, env in enumerate(self._envs):
                try:
                    env.close()
                except BaseException as error:
                    failed = failed or task_error(error, self._name(row), "close()")
        if failed is not None:
            self._raise_from_close(failed)

    def _advance(self, actions: np.ndarray, active: np.ndarray | None) -> None:
        indices = range(self.num_envs) if active is None else np.flatnonzero(active).tolist()
        self._elapsed += 1 if active is None else active
        # Local names: this loop is most of what a step costs here.
        successor, rewards = self._arrays.next_observation, self._arrays.reward
        terminations, truncations = self._arrays.terminated, self._arrays.truncated
        steps, shape, ndarray = self._steps, self.observation_spec.shape, np.ndarray
        i = 0
        try:
            for i in indices:
                result = steps[i](actions[i])
                plain = False
                # What most tasks return is recognized by comparing objects: 2 % of the fastest task's step.
                if result.__class__ is tuple and len(result) == 5:
                    observation, reward, terminated, truncated, _ = result
                    plain = (
                        observation.__class__ is ndarray
                        and observation.dtype is self._dtype
                        and observation.shape == shape
                        and (reward.__class__ is float or reward.__class__ in NUMBERS)
                        and (terminated is False or terminated.__class__ in FLAGS)
                        and (truncated is False or truncated.__class__ in FLAGS)
                    )
                if not plain:
                    observation, reward, terminated, truncated = returned_values.step_result(result, shape)
                    self._dtype = observation.dtype
                successor[i] = observation
                rewards[i] = reward
                terminations[i] = terminated
                truncations[i] = truncated
            # Lists compare objects by identity first.
            if self._keeps_box and [env.action_space for env in self._unwrapped] != self._boxes:
                for i in indices:
                    self._require_same_box(self._envs[i])
        except BaseException as error:
            raise task_error(error, self._place(i), "step()") from None
        if not self._was_stepped:
            self._was_stepped = True
            self._refuse_statistics()
        # Truncations of the task's own stay.
        np.logical_or(truncations, self._elapsed >= self._max_steps, out=truncations)

    def _restart(self, indices: Sequence[int]) -> None:
        for i in indices:
            env = self._envs[i]
            carried = self._carried if i == 0 else None
            try:
                if carried:
                    carried.before_reset()
                result = env.reset(seed=self._seeds[i])
                observation = returned_values.first_observation(result, self.observation_spec.shape)
                self._require_same_box(env)
                if carried and not carried.after_reset(int(self._elapsed[i])):
                    self._carried = None
            except BaseException as error:
                raise task_error(error, self._reset_place(i), "reset()") from None
            self._boxes[i] = self._unwrapped[i].action_space
            self._arrays.observation[i] = observation
            self._elapsed[i] = 0
            # Only the first episode is seeded: the later ones go on with the generator that it left.
            self._seeds[i] = None

    def _refuse_statistics(self) -> None:
        """Looks again for what a wrapper makes when it is first used."""
        for env in self._envs:
            refuse_running_statistics(env)

    def _require_spaces_of_first(self, row: int, env: gymnasium.Env) -> None:
        first = self._envs[0]
        for name in ("observation_space", "action_space"):
            space, expected = getattr(env, name), getattr(first, name)
            if spaces.box_bounds(space) != spaces.box_bounds(expected):
                raise TaskError(
                    f"the {name} of all sub-environments must be the same; got {shown(space)} "
                    f"instead of {expected}. Let the function that makes them give all the same bounds.",
                    self._name(row),
                )

    def _get_row(self, row: int) -> dict[str, np.ndarray]:
        try:
            return simulator_state.get_state(self._envs[row])
        except TaskError as error:
            raise task_error(error, self._name(row), "get_state()") from None

    def _require_saving(self) -> None:
        if not self.can_save_state:
            has, it = ("has", "it") if len(self.unsaved_layers) == 1 else ("have", "them")
            raise CapabilityError(
                f"The state of {self.task} cannot be saved: {', '.join(self.unsaved_layers)} {has} no "
                f"get_state and set_state. Give {it} both, or go on with new episodes."
            )


@contextlib.contextmanager
def _kept_open(env: gymnasium.Env | None) -> Iterator[None]:
    """Keeps wrappers, which close what they wrap, from closing `env`."""
    if env is None:
        yield
        return
    own = vars(env).get("close")
    # A wrapper of ours around it would cost a call at every step.
    env.close = lambda: None  # type: ignore[method-assign]
    try:
        yield
    finally:
        del env.close
        if own is not None:
            env.close = own  # type: ignore[method-assign]
