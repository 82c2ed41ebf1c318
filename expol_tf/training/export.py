"""Exported policies and critics: SavedModels that need nothing of this library to load."""

from __future__ import annotations

import os
import pathlib
import shutil
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
from absl import logging

from expol_tf.agents import ActorCriticAgent, PolicyAgent
from expol_tf.checked import checked
from expol_tf.cli import home_path, require_path
from expol_tf.errors import (
    ConfigurationError,
    ExpolError,
    NonFiniteError,
    OutOfMemoryError,
    RunDirectoryError,
)
from expol_tf.memory import memory_errors
from expol_tf.number_types import SeedNumber
from expol_tf.random import draw_seed, make_generator
from expol_tf.runs import RunFiles, atomic_files, reading
from expol_tf.shapes import as_numbers

_SAVED_MODEL = "saved_model.pb"


class _ExportedPolicy(tf.Module):
    """observation `[B, O]` → action `[B, A]` inside the box, greedy or sampled, normalizer included."""

    def __init__(self, agent: PolicyAgent) -> None:
        super().__init__(name="policy")
        own = agent.evaluation_network is agent.actor_network
        # Another network than the actor acts by its own samples, not as the collect policy selects them.
        sampling = agent.collect_policy if own else agent.policy
        self.parameters = _variables(agent.evaluation_network, agent.observation_normalizer)
        self.trained = tf.Variable(int(agent.train_step_counter.numpy()) > 0, trainable=False)
        # The same for every export, so that equal runs export equal files; `load_policy` reseeds it.
        self.generator = make_generator(0)
        self.generator_state = self.generator.state
        size = agent.time_step_spec.observation.shape[0]
        observation = tf.TensorSpec([None, size], tf.float32, "observation")

        def deterministic(observation: tf.Tensor) -> dict[str, tf.Tensor]:
            return {"action": _of_any_number(agent.policy.greedy_action, observation)}

        def sample(observation: tf.Tensor) -> dict[str, tf.Tensor]:
            seed = draw_seed(self.generator)
            return {"action": _of_any_number(lambda rows: sampling.sampled_action(rows, seed), observation)}

        self.deterministic = tf.function(deterministic, input_signature=[observation], autograph=False)
        self.sample = tf.function(sample, input_signature=[observation], autograph=False)


def _of_any_number(act: Callable[[tf.Tensor], tf.Tensor], observation: tf.Tensor) -> tf.Tensor:
    """Actions `[B, A]` at observations `[B, O]`, also where B = 0, where TFP's mixtures divide by B."""
    rows = tf.shape(observation)[0]
    padded = tf.pad(observation, [[0, tf.cast(rows == 0, tf.int32)], [0, 0]])
    return act(padded)[:rows]


class _ExportedCritic(tf.Module):
    """observation `[B, O]`, action `[B, A]` → min over critics of Q `[B]`, normalizer included."""

    def __init__(self, agent: ActorCriticAgent) -> None:
        super().__init__(name="critic")
        self.parameters = _variables(agent.critic_network, agent.observation_normalizer)
        observation_size, action_size = agent.time_step_spec.observation.shape[0], agent.action_spec.shape[0]
        signature = [
            tf.TensorSpec([None, observation_size], tf.float32, "observation"),
            tf.TensorSpec([None, action_size], tf.float32, "action"),
        ]

        def q(observation: tf.Tensor, action: tf.Tensor) -> dict[str, tf.Tensor]:
            return {"q": tf.reduce_min(agent.critic(observation, action), axis=-1)}

        self.q = tf.function(q, input_signature=signature, autograph=False)


def _variables(network: Any, normalizer: Any) -> list[tf.Variable]:
    # The variables alone: tracking the Keras network itself would write its layers' traces as well.
    return [*network.variables, *([] if normalizer is None else normalizer.variables)]


@checked
def export_policy(agent: PolicyAgent, directory: str | os.PathLike[str]) -> None:
    """Writes the agent's present policy as a SavedModel with the signatures "deterministic" and "sample".

    Both map `observation` `[B, O]` float32, as the environment gives it, to `{"action": [B, A]}` clipped to
    the action box; noise that the collect policy adds for exploration is left out. The model loads with
    `tf.saved_model.load` in a process that has neither this library nor TensorFlow Probability. A policy that
    is already there is replaced as a whole.

    Args:
      agent: The agent, whose `policy` gives the greedy actions.
      directory: The SavedModel's directory.

    Raises:
      RunDirectoryError: If the directory cannot be written.
    """
    module = _ExportedPolicy(agent)
    _save(module, {"deterministic": module.deterministic, "sample": module.sample}, directory)


@checked
def export_critic(agent: ActorCriticAgent, directory: str | os.PathLike[str]) -> None:
    """Writes the agent's present critics as a SavedModel with the signature "q".

    It maps `observation` `[B, O]`, as the environment gives it, and `action` `[B, A]`, in action units, to
    `{"q": [B]}`, the minimum over the critics. Gradients flow through the loaded function, as long as the
    model that it is of is there:

    ```python
    model = tf.saved_model.load("runs/cheetah/critic")
    q = model.signatures["q"]
    with tf.GradientTape() as tape:
        tape.watch(action)
        value = q(observation=observation, action=action)["q"]
    score = tape.gradient(value, action)
    ```

    Args:
      agent: The off-policy agent.
      directory: The SavedModel's directory.

    Raises:
      RunDirectoryError: If the directory cannot be written.
    """
    module = _ExportedCritic(agent)
    _save(module, {"q": module.q}, directory)


def _save(module: tf.Module, signatures: dict[str, Any], directory: str | os.PathLike[str]) -> None:
    """Writes a SavedModel in place of the one that is there, as a whole."""
    target = home_path(directory).absolute()
    new, old = target.with_name(f".{target.name}.new"), target.with_name(f".{target.name}.old")
    try:
        for leftover in (new, old):
            atomic_files.remove(leftover)
        target.parent.mkdir(parents=True, exist_ok=True)
        tf.saved_model.save(module, str(new), signatures=signatures)
        # A kill between the two renames leaves the old one under its other name and the run resumable.
        if target.exists():
            target.rename(old)
        new.rename(target)
        shutil.rmtree(old, ignore_errors=True)
    except (OSError, tf.errors.OpError) as error:
        shutil.rmtree(new, ignore_errors=True)
        raise RunDirectoryError(
            f"cannot write the {target.name} to {target}: {atomic_files.reason(error)}. "
            "Free space, make the directory writable, or give another root_dir."
        ) from error


class LoadedPolicy:
    """A policy that acts on NumPy observations; see `load_policy`."""

    def __init__(self, model: Any) -> None:
        self._model = model
        _, keywords = model.signatures["sample"].structured_input_signature
        self._size = int(keywords["observation"].shape[1])

    def act(self, observation: Any, deterministic: bool = False) -> np.ndarray:
        """Returns the action `[A]` for one observation `[O]`, or actions `[B, A]` for a batch `[B, O]`.

        Args:
          observation: Numbers of any type, as the environment gives them (not normalized).
          deterministic: The greedy action instead of a sampled one.

        Raises:
          ConfigurationError: If the observation is not made of numbers, or has another shape.
          NonFiniteError: If it is NaN or infinite.
        """
        remedy = "Pass an observation of the task that the policy was trained on."
        given = as_numbers("observation", observation, remedy)
        if given.ndim not in (1, 2) or given.shape[-1] != self._size:
            raise ConfigurationError(
                f"observation must have the shape [{self._size}], or [B, {self._size}] for a batch; "
                f"got {list(given.shape)}. {remedy}"
            )
        with np.errstate(over="ignore"):  # What float32 cannot hold is infinite, which is said below.
            values = given.astype(np.float32)
        if not np.isfinite(values).all():
            raise NonFiniteError(f"observation must be finite; got {observation!r}.")
        function = self._model.deterministic if deterministic else self._model.sample
        action = function(np.atleast_2d(values))["action"].numpy()
        return action if values.ndim == 2 else action[0]


@checked
def load_policy(directory: str | os.PathLike[str], seed: SeedNumber | None = None) -> LoadedPolicy:
    """Returns the policy that a run exported.

    Example:
      `action = expol_tf.load_policy("runs/hopper").act(observation, deterministic=True)`

    Args:
      directory: A run's `root_dir`, or its `policy` directory.
      seed: Seeds the sampled actions; None takes entropy from the system.

    Raises:
      ConfigurationError: If there is no exported policy.
      RunDirectoryError: If its files are damaged.
    """
    root = require_path("directory", directory)
    for candidate in (root, root / "policy"):
        if (candidate / _SAVED_MODEL).is_file():
            break
    else:
        raise _no_policy(RunFiles(root))
    # TensorFlow would wait for a pipe.
    odd = [path for path in candidate.rglob("*") if not (path.is_file() or path.is_dir())]
    if odd:
        raise _damaged(candidate, f"{odd[0].name} is no regular file")
    try:
        if (candidate / "fingerprint.pb").is_file():
            # Loading would log a traceback of TensorFlow's own for a damaged one, and go on.
            tf.saved_model.experimental.read_fingerprint(str(candidate))
        with memory_errors():
            model = tf.saved_model.load(str(candidate))
    except OutOfMemoryError:
        raise
    except Exception as error:  # What TensorFlow raises depends on which bytes are wrong.
        raise _damaged(candidate, atomic_files.reason(error)) from error
    if not all(hasattr(model, name) for name in ("deterministic", "sample", "generator_state", "signatures")):
        raise ConfigurationError(
            f"directory must be a run's root_dir or its policy directory; {candidate} holds a SavedModel, "
            "but no policy of this library. Give another directory."
        )
    try:
        trained = getattr(model, "trained", None)  # Policies of earlier versions do not say.
        if trained is not None and not trained.numpy():
            logging.warning(
                "the policy in %s is random: it was exported before its agent made any update.", candidate
            )
        model.generator_state.assign(make_generator(seed).state)
        return LoadedPolicy(model)
    except Exception as error:  # Another model may have anything by these names.
        raise _damaged(candidate, atomic_files.reason(error)) from error


def _damaged(directory: pathlib.Path, problem: str) -> RunDirectoryError:
    return RunDirectoryError(
        f"directory: the policy in {directory} is damaged ({problem}). Remove that directory and train the "
        "run again with the same arguments: it exports its policy anew."
    )


def _no_policy(files: RunFiles) -> ExpolError:
    if reading.is_there(files.policy):
        return _damaged(files.policy, f"it has no {_SAVED_MODEL}")
    if files.is_run:
        return ConfigurationError(
            f"directory: the run in {files.root} has exported no policy yet. {files.when_exported()}"
        )
    return ConfigurationError(
        f"directory must be a run's root_dir or its policy directory; {files.root} holds no policy. "
        "A run exports it when it ends or is interrupted."
    )
