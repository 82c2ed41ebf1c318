"""Runs without an update: said at their start, where it can be mended, at their end, and in the record."""

from __future__ import annotations

import math
from typing import Any

from expol_tf.runs import RunDirectory
from expol_tf.training.runners.iteration import Runner


class FirstUpdate:
    """Whether a run has made an update by now, and what to say where it has not.

    An off-policy run that is shorter than its warm-up ends like any other, with a policy that is as random as
    at its start.

    Args:
      run: The run's directory, whose `environment.json` gets `"trained": true` with the first update.
      agent: Whose counter of updates is in checkpoints.
      runner: Whose attribute `first_update_step`, if it has one, is when the first update comes.
    """

    def __init__(self, run: RunDirectory, agent: Any, runner: Runner) -> None:
        self._run = run
        self._agent = agent
        self._runner = runner
        self._made = False

    def record(self, made: bool) -> None:
        """Notes whether an update was made by now, and writes the first one down."""
        before = self._made
        self._made = before or made or self._counted
        if self._made != before:
            self._run.write_trained(True)

    def restore(self) -> None:
        """Notes what the restored agent says; a run may go back to before its first update."""
        self._made = self._counted
        self._run.write_trained(self._made)

    @property
    def _counted(self) -> bool:
        return int(self._agent.train_step_counter.numpy()) > 0

    def announce(self, env_step: int, num_env_steps: int) -> None:
        """Says at the start of a run from `env_step` to `num_env_steps` if it will make no update."""
        first = getattr(self._runner, "first_update_step", 0)
        iterations = math.ceil((num_env_steps - env_step) / self._runner.iteration_steps)
        end = env_step + iterations * self._runner.iteration_steps
        if not self._made and end < first:
            print(
                f"WARNING: this run will train nothing: it ends after {end:,} environment steps, and the "
                f"first update comes after {first:,}. Set NUM_ENV_STEPS (num_env_steps) to more, or "
                "OffPolicyRunner.warm_up_steps to less.",
                flush=True,
            )

    def conclude(self, env_step: int) -> None:
        """Says at the end of a run that it made no update."""
        if not self._made:
            print(
                f"WARNING: nothing was trained: no update was made in {env_step:,} environment steps. The "
                f"policy in {self._run.policy} is the random one of the start, and environment.json has "
                '"trained": false. The same command with more NUM_ENV_STEPS (num_env_steps) goes on.',
                flush=True,
            )
