"""The entropy that trained runs report, beside the one of the actions that their policies take."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import gymnasium
import numpy as np
from tf_agents.specs import array_spec

from expol_tf.bijectors import ActionBox
from expol_tf.errors import ConfigurationError
from expol_tf.papers.entropy.measured import MOST_COMPONENTS, Measured, measure
from expol_tf.papers.reported import reported
from expol_tf.reports import Run, literal
from expol_tf.training import load_policy

# States along a test episode, and samples at each: nearest neighbours need many, bounds fewer.
NUM_STATES = 5
MANY, FEW = 40_000, 10_000
# Rows that a policy acts on at once.
_ROWS = 20_000


class RunEntropy(NamedTuple):
    """A run's entropy, in nats of the action scaled to [−1, 1].

    Attributes:
      run: The run.
      temperature: α at the end.
      reported: What the agent says it is, at the states of its replay in the last tenth of its updates.
      measured: What it is, at some states of a test episode.
      at_the_edge: Share of action components within 1e-6 of the box's edge, where single precision no longer
        tells them apart. The measured entropy is too low if they are more than a few.
    """

    run: Run
    temperature: float
    reported: float
    measured: Measured
    at_the_edge: float


def run_entropy(run: Run, seed: int) -> RunEntropy:
    """Measures a run's policy, and returns what it is beside what the run reports.

    Args:
      run: From `find_runs`, with its exported policy.
      seed: Of the episode and of the samples.

    Raises:
      ConfigurationError: If the task's actions are no box, or it cannot be made.
    """
    policy = load_policy(run.directory, seed)
    states, box = _episode(run, policy.act, seed)
    edge = []

    def sample(count: int) -> np.ndarray:
        """Returns actions before the squash `[B, N, A]`."""
        rows = np.repeat(states, count, axis=0)
        actions = [policy.act(rows[i : i + _ROWS]) for i in range(0, len(rows), _ROWS)]
        scaled = (np.concatenate(actions).astype(np.float64) - box.middle) / box.half
        edge.append(float(np.mean(np.abs(scaled) > 1.0 - 1e-6)))
        u = np.arctanh(np.clip(scaled, -1.0 + 1e-9, 1.0 - 1e-9))
        return u.reshape([len(states), count, -1])

    size = len(box.half)
    measured = measure(sample, size, MANY if size <= MOST_COMPONENTS else FEW)
    return RunEntropy(
        run, reported(run, "temperature"), reported(run, "entropy"), measured, float(np.mean(edge))
    )


def _episode(run: Run, act: Callable[[Any], np.ndarray], seed: int) -> tuple[np.ndarray, ActionBox]:
    """Observations `[B, O]` along an episode of sampled actions, and the box of the actions."""
    kwargs = literal(run.record.values.get("train.make_kwargs")) or {}
    try:
        env = gymnasium.make(run.task, disable_env_checker=True, **kwargs)
    except gymnasium.error.Error as error:
        raise ConfigurationError(
            f"--root_dir must hold runs of tasks that Gymnasium can make; {run.directory} is of {run.task} "
            f"({error}). Leave it out."
        ) from error
    with env:
        space = env.action_space
        if not isinstance(space, gymnasium.spaces.Box):
            raise ConfigurationError(
                f"--root_dir must hold runs whose actions are a box; those of {run.directory} are {space}. "
                "Leave it out."
            )
        seen, over = [env.reset(seed=seed)[0]], False
        while not over:
            seen.append((step := env.step(act(seen[-1])))[0])
            over = step[2] or step[3]
    chosen = np.linspace(0, len(seen) - 2, min(NUM_STATES, len(seen) - 1)).astype(int)
    spec = array_spec.BoundedArraySpec(space.shape, np.float32, space.low, space.high)
    return np.array(seen)[chosen], ActionBox.of(spec)
