"""The entropy that trained runs report, beside the one of the actions that their policies take."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import gymnasium
import numpy as np
from tf_agents.specs import array_spec

from expol_tf.bijectors import ActionBox
from expol_tf.cli import import_user_module
from expol_tf.errors import ConfigurationError
from expol_tf.interruption import raise_if_stopped
from expol_tf.papers.entropy.measured import Measured, measure
from expol_tf.papers.reported import reported
from expol_tf.reports import Run
from expol_tf.runs import RunFiles
from expol_tf.training import CheckpointStore, load_policy, recorded_task

# Entropies differ by several nats from state to state, so that many are needed, with few samples each. In
# more components than these the nearest-neighbour estimate may not count then, and the marginals bound it.
NUM_STATES, NUM_SAMPLES, AGAIN_UP_TO = 500, 1_000, 2
# Rows that a policy acts on at once.
_ROWS = 20_000
# An environment may never end.
_MOST_STEPS = 100_000


class RunEntropy(NamedTuple):
    """A run's entropy, in nats of the action scaled to [−1, 1].

    Attributes:
      run: The run.
      temperature: α at the end.
      reported: What the agent says it is, at the states of its replay in the last tenth of its updates.
      measured: What it is at some states.
      from_replay: Whether these are of the replay in the run's last checkpoint; else of a test episode.
      at_the_edge: Share of action components within 1e-6 of the box's edge, where single precision no longer
        tells them apart. The measured entropy is too low if they are more than a few.
    """

    run: Run
    temperature: float
    reported: float
    measured: Measured
    from_replay: bool
    at_the_edge: float


def run_entropy(run: Run, seed: int) -> RunEntropy:
    """Measures a run's policy, and returns what it is beside what the run reports.

    Args:
      run: From `find_runs`, with its exported policy.
      seed: Of the states and of the samples.

    Raises:
      ConfigurationError: If the task's actions are no box, or it cannot be made.
    """
    policy = load_policy(run.directory, seed)
    with _environment(run) as env:
        box = ActionBox.of(_action_spec(run, env))
        states = _of_replay(run, env.observation_space.shape[0], seed)
        from_replay = states is not None
        if states is None:
            states = _of_episode(env, policy.act, seed)
    edge = []

    def sample(count: int) -> np.ndarray:
        """Returns actions before the squash `[B, N, A]`."""
        rows = np.repeat(states, count, axis=0)
        actions = [policy.act(rows[i : i + _ROWS]) for i in range(0, len(rows), _ROWS)]
        scaled = (np.concatenate(actions).astype(np.float64) - box.middle) / box.half
        edge.append(float(np.mean(np.abs(scaled) > 1.0 - 1e-6)))
        u = np.arctanh(np.clip(scaled, -1.0 + 1e-9, 1.0 - 1e-9))
        return u.reshape([len(states), count, -1])

    measured = measure(sample, len(box.half), NUM_SAMPLES, AGAIN_UP_TO)
    return RunEntropy(
        run,
        reported(run, "temperature"),
        reported(run, "entropy"),
        measured,
        from_replay,
        float(np.mean(edge)),
    )


def _environment(run: Run) -> gymnasium.Env:
    """Returns the run's environment with its wrappers, as the record has them."""
    module, colon, _ = run.task.partition(":")
    try:
        if colon:
            # Gymnasium would import it from anywhere.
            import_user_module(module)
        with recorded_task(RunFiles(run.directory)) as recorded:
            env: gymnasium.Env = gymnasium.make(run.task, disable_env_checker=True, **recorded.make_kwargs)
            for wrapper in recorded.wrappers:
                env = wrapper(env)
        return env
    except ConfigurationError as error:
        raise ConfigurationError(f"--root_dir: {error}") from error
    except (gymnasium.error.Error, ImportError, TypeError, ValueError) as error:
        raise ConfigurationError(
            f"--root_dir must hold runs of tasks that Gymnasium can make; {run.directory} is of {run.task} "
            f"({error}). Leave it out."
        ) from error


def _action_spec(run: Run, env: gymnasium.Env) -> array_spec.BoundedArraySpec:
    space = env.action_space
    if not isinstance(space, gymnasium.spaces.Box):
        raise ConfigurationError(
            f"--root_dir must hold runs whose actions are a box; those of {run.directory} are {space}. "
            "Leave it out."
        )
    return array_spec.BoundedArraySpec(space.shape, np.float32, space.low, space.high)


def _of_replay(run: Run, size: int, seed: int) -> np.ndarray | None:
    """Observations `[B, O]` of the replay in the run's newest checkpoint, or None if it has none."""
    arrays = CheckpointStore(RunFiles(run.directory).checkpoints).arrays() or {}
    rows = arrays.get("replay/rows")
    if rows is None or not len(rows):
        return None
    # A row begins with the observation.
    return np.random.default_rng(seed).choice(rows[:, :size], NUM_STATES)


def _of_episode(env: gymnasium.Env, act: Callable[[Any], np.ndarray], seed: int) -> np.ndarray:
    """Observations `[B, O]` along an episode of sampled actions, or the beginning of a very long one."""
    seen, over = [env.reset(seed=seed)[0]], False
    while not over and len(seen) <= _MOST_STEPS:
        raise_if_stopped()
        seen.append((step := env.step(act(seen[-1])))[0])
        over = step[2] or step[3]
    return np.array(seen)[np.linspace(0, len(seen) - 2, min(NUM_STATES, len(seen) - 1)).astype(int)]
