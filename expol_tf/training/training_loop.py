"""The loop of a run: iterate, record, evaluate, checkpoint, and go on from a checkpoint."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from expol_tf.agents import ActorCriticAgent
from expol_tf.environments import VectorEnvironment
from expol_tf.errors import CheckpointError, ExpolError, NonFiniteError
from expol_tf.interruption import Stopped, StopRequest
from expol_tf.memory import memory_errors
from expol_tf.runs import (
    Progress,
    RunDirectory,
    RunTables,
    plot_learning_curve,
)
from expol_tf.training.checkpoint_check import problem_with
from expol_tf.training.checkpointing import CheckpointStore, Restored
from expol_tf.training.evaluation import EVALUATION_COLUMNS, Evaluator
from expol_tf.training.export import export_critic, export_policy
from expol_tf.training.first_update import FirstUpdate
from expol_tf.training.observers import TrainingEvent, asks_for_end
from expol_tf.training.runners.episodes import EpisodeStatistics
from expol_tf.training.runners.iteration import Runner
from expol_tf.training.settings import Course, Records
from expol_tf.training.tensorboard import TensorBoardLog

COMMON_COLUMNS = (
    "iteration",
    "env_step",
    "wall_time_s",
    "env_steps_per_s",
    "episode_return_mean",
    "episode_length_mean",
    "episodes",
)


class TrainingResult(NamedTuple):
    """How a call of `train` ended.

    Attributes:
      root_dir: The run's directory.
      env_step: Environment steps of the run so far.
      final_return: Mean return of the last hundred training episodes, None if none has ended.
      interrupted_by: The signal that stopped it, or None.
    """

    root_dir: Path
    env_step: int
    final_return: float | None
    interrupted_by: int | None


class TrainingLoop:
    """Counts, records, saves and restores while a runner trains an agent in its environments.

    The directory `run` is open; `title` is that of the progress line and of the picture.
    """

    def __init__(
        self,
        run: RunDirectory,
        store: CheckpointStore,
        env: VectorEnvironment,
        agent: Any,
        runner: Runner,
        evaluator: Evaluator,
        title: str,
    ) -> None:
        self._run = run
        self._store = store
        self._env = env
        self._agent = agent
        self._runner = runner
        self._evaluator = evaluator
        self._title = title
        self._first_update = FirstUpdate(run, agent, runner)
        self._tables = RunTables(run, (*COMMON_COLUMNS, *runner.algorithm_columns), EVALUATION_COLUMNS)
        self._tensorboard = TensorBoardLog(run.tensorboard)
        self._statistics = EpisodeStatistics()
        self._env_step = 0
        self._iteration = 0
        self._wall_time = 0.0
        self._evaluated_at = 0
        self._saved_at = 0
        self._is_saved = False
        # Whether a stop broke off an iteration whose beginning is done.
        self._is_midway = False
        # The rows of an iteration that was made, but not yet evaluated and shown to the observers.
        self._unseen: dict[str, Any] | None = None

    def run(self, course: Course, records: Records) -> TrainingResult:
        """Trains until the end, an observer or a signal; what is reached by then is saved and exported."""
        if not self._env.can_save_state:
            # Other backends than the loop over Gymnasium's environments are one piece.
            layers = getattr(self._env, "unsaved_layers", ()) or (type(self._env).__name__,)
            print(
                f"note: {self._env.task} cannot save its state: no get_state and set_state in "
                f"{', '.join(layers)}. A resumed run starts new episodes and is not bit for bit the "
                "uninterrupted one."
            )
        total = course.num_env_steps
        self._first_update.announce(self._env_step, total)
        with (
            Progress(total, self._env_step, self._title) as progress,
            StopRequest("the present step or update", say=progress.message) as stop,
        ):
            try:
                with contextlib.suppress(Stopped):
                    self._loop(course, records, stop, progress)
                stop.working_on("the checkpoint and the export")
                if stop.signal_number is not None:
                    stop.acknowledged.wait(1.0)
                    progress.message(f"stopped at env_step {self._env_step}: saving a checkpoint")
                if not self._is_saved:
                    self._save()
            finally:
                # Whatever ends the run, this is where it goes on from.
                self._store.wait()
            self._finish()
        return self._result(stop.signal_number)

    def is_finished(self, num_env_steps: int) -> bool:
        """Whether so many steps are done, and the iteration that reached them is evaluated."""
        return self._env_step >= num_env_steps and not self._is_midway and self._unseen is None

    def _loop(self, course: Course, records: Records, stop: StopRequest, progress: Progress) -> None:
        """Iterates until the end, an observer's or a signal's; may raise `Stopped`."""
        while not self.is_finished(course.num_env_steps):
            self._store.check()
            if self._unseen is None:
                self._iterate(records.log_interval, progress)
            if self._unseen is None:
                return
            stop.working_on("the present step of the evaluation")
            if self._show(course, progress):
                return
            if stop.signal_number is not None:
                return
            # Saved so early that no two checkpoints are further apart than the interval.
            next_step = self._env_step + self._runner.iteration_steps
            if next_step - self._saved_at > records.checkpoint_interval:
                self._save()
            stop.working_on("the present step or update")

    def _show(self, course: Course, progress: Progress) -> bool:
        """Evaluates what was iterated, if that is due, and asks the observers whether they end the run."""
        assert self._unseen is not None
        if self._unseen["evaluation"] is None:
            self._unseen["evaluation"] = self._evaluate(final=self._env_step >= course.num_env_steps)
        evaluation = self._unseen["evaluation"]
        if evaluation is not None:
            progress.update(self._env_step, evaluation=evaluation["return_mean"])
        recent = self._statistics.recent_return
        event = TrainingEvent(
            self._env_step, self._unseen["metrics"], evaluation, recent, self._agent, self._run.root
        )
        # A list: every observer is called, whatever the ones before it answer.
        ends = any([asks_for_end(observer, event) for observer in course.observers])
        if ends:
            progress.message(f"stopped by an observer at env_step {self._env_step}")
            self._evaluate(final=True)
        self._unseen, self._is_saved = None, False
        return ends

    def finish_again(self) -> TrainingResult:
        """Writes what a run killed at its very end has not yet written."""
        if not self._run.is_complete:
            self._finish()
        return self._result(None)

    def _iterate(self, log_interval: int, progress: Progress) -> None:
        """Makes an iteration, or the rest of one, and writes its row; if stopped, leaves `_unseen` None."""
        start = time.perf_counter()
        iteration = self._runner.iterate()
        elapsed = time.perf_counter() - start
        self._wall_time += elapsed
        self._env_step += iteration.env_steps
        self._first_update.record(bool(iteration.metrics))
        if not iteration.complete:
            if iteration.env_steps:
                self._is_midway, self._is_saved = True, False
            return
        self._is_saved = False
        self._is_midway = False
        self._iteration += 1
        self._statistics.add(iteration.episode_returns, iteration.episode_lengths)
        progress.update(self._env_step, episode_return=self._statistics.recent_return)
        self._unseen = {"metrics": None, "evaluation": None}
        if self._iteration % log_interval:
            return
        row = {
            "iteration": self._iteration,
            "env_step": self._env_step,
            "wall_time_s": self._wall_time,
            "env_steps_per_s": iteration.env_steps / elapsed,
            **self._statistics.row(),
            **iteration.metrics,
        }
        self._tables.add_metrics(row)
        scalars = {name: value for name, value in row.items() if value is not None and name != "env_step"}
        self._tensorboard.scalars(self._env_step, scalars)
        self._unseen["metrics"] = row

    def _evaluate(self, final: bool) -> dict[str, Any] | None:
        due = self._evaluator.is_due(self._evaluated_at, self._env_step)
        if not due and not (final and self._evaluator.enabled and self._evaluated_at != self._env_step):
            return None
        start = time.perf_counter()
        row = self._evaluator.evaluate(self._agent, self._env_step).row(self._env_step)
        self._wall_time += time.perf_counter() - start
        self._evaluated_at = self._env_step
        self._tables.add_evaluation(row)
        self._tensorboard.scalars(
            self._env_step, {f"evaluation/{name}": row[name] for name in ("return_mean", "length_mean")}
        )
        return row

    def _save(self) -> None:
        start = time.perf_counter()
        self._require_finite_parameters()
        self._tables.sync()
        self._tensorboard.flush()
        self._store.save(
            self._env_step,
            {"agent": self._agent},
            {**self._runner.get_state(), **self._tables.get_state()},
            {
                "iteration": self._iteration,
                "wall_time_s": self._wall_time,
                "evaluated_at": self._evaluated_at,
                "episodes": self._statistics.get_state(),
                "tables": self._tables.get_values(),
                "is_midway": self._is_midway,
                "unseen": self._unseen,
            },
            wait=False,
        )
        self._saved_at, self._is_saved = self._env_step, True
        self._wall_time += time.perf_counter() - start

    def _require_finite_parameters(self) -> None:
        broken = [
            variable.name
            for variable in self._agent.variables
            if variable.dtype.is_floating and not np.all(np.isfinite(variable.numpy()))
        ]
        if broken:
            raise NonFiniteError(
                f"{type(self._agent).__name__}: parameters must be finite; {', '.join(broken[:3])} became "
                f"NaN or infinite before env_step {self._env_step}. The checkpoints are from before. Lower "
                "the step sizes (TrustRegion.max_kl, Adam.learning_rate, MinibatchRegression.learning_rate)."
            )

    def restore(self) -> int:
        """Goes back to the newest good checkpoint, or to the beginning; returns its env step."""
        fresh = self._runner.get_state()

        def check(restored: Restored) -> str | None:
            problem = problem_with(restored, fresh)
            # The first runs of 0.2 know nothing of their tables.
            tables = {} if problem else restored.values.get("tables") or {}
            return problem or self._tables.problem_with(restored.env_step, restored.arrays, tables)

        restored = self._store.restore({"agent": self._agent}, check=check, rest=self._restore_runner)
        if restored is not None:
            self._env_step = self._saved_at = restored.env_step
            self._iteration = restored.values["iteration"]
            self._wall_time = restored.values["wall_time_s"]
            self._evaluated_at = restored.values["evaluated_at"]
            self._statistics.set_state(restored.values["episodes"])
            # Checkpoints of earlier versions are all from the end of an iteration.
            self._is_midway = restored.values.get("is_midway") or False
            self._unseen = restored.values.get("unseen")
            self._is_saved = True
        elif self._store.damaged:
            raise CheckpointError(
                f"{self._store.directory}: one checkpoint at least must be whole for the run to go on; all "
                "were damaged and set aside as *.damaged. Start anew in another root_dir, or remove this one."
            )
        elif self._run.has_policy:
            raise CheckpointError(
                f"{self._store.directory}: one checkpoint at least must be there for the run to go on; there "
                "is none, though the run has exported its policy. Restore one from a copy, or start anew in "
                "another root_dir."
            )
        # Rows after the checkpoint (all, if the run was killed before its first) will be written again.
        state, values = (
            ({}, {}) if restored is None else (restored.arrays, restored.values.get("tables") or {})
        )
        # An evaluation that a stop broke off may have been made again, before the run was killed.
        for note in self._tables.restore(self._env_step, self._evaluated_at, state, values):
            print(f"note: {note}")
        self._first_update.restore()
        self._tensorboard.truncate_after(self._env_step)
        return self._env_step

    def _restore_runner(self, restored: Restored) -> None:
        try:
            with memory_errors():
                self._runner.set_state(restored.arrays)
        except ExpolError:
            raise
        # A task's own `set_state` may raise anything.
        except Exception as error:
            raise CheckpointError(
                f"{self._store.directory}: the state of {self._env.task} at env_step {restored.env_step} "
                f"cannot be restored ({type(error).__name__}: {error}). Resume with the task and packages "
                "that saved it, or start anew in another root_dir."
            ) from error

    def _finish(self) -> None:
        self._tables.close()
        self._tensorboard.close()
        export_policy(self._agent, self._run.policy)
        if isinstance(self._agent, ActorCriticAgent):
            export_critic(self._agent, self._run.critic)
        plot_learning_curve(
            self._run.metrics_csv, self._run.evaluation_csv, self._run.learning_curve, title=self._title
        )

    def _result(self, signal_number: int | None) -> TrainingResult:
        final = self._statistics.recent_return
        if signal_number is None and final is not None:
            print(f"env_step {self._env_step}, last 100 episodes' return {final:.1f}, in {self._run.root}")
        self._first_update.conclude(self._env_step)
        return TrainingResult(self._run.root, self._env_step, final, signal_number)
