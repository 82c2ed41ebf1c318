"""`train`: one call that runs, records, checkpoints and resumes an experiment."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import gin

from expol_tf.agents import TrpoAgent
from expol_tf.environments import VectorEnvironment, load_vector, time_step_spec
from expol_tf.errors import ConfigurationError
from expol_tf.keras_api import keras
from expol_tf.networks import FlowActorNetwork, ObservationNormalizer, ValueNetwork
from expol_tf.seeding import stream
from expol_tf.training.call_configuration import configuration_from_call
from expol_tf.training.checkpointing import CheckpointStore
from expol_tf.training.environment_record import describe_environment
from expol_tf.training.evaluation import EVALUATION_COLUMNS, Evaluator
from expol_tf.training.export import export_policy
from expol_tf.training.interruption import StopRequest
from expol_tf.training.learning_curve import plot_learning_curve
from expol_tf.training.metrics import CsvTable
from expol_tf.training.observers import Observer, TrainingEvent
from expol_tf.training.on_policy_runner import ALGORITHM_COLUMNS, EpisodeStatistics, OnPolicyRunner
from expol_tf.training.progress import Progress
from expol_tf.training.run_directory import RunDirectory
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


@gin.configurable(module="expol_tf")
def train(
    root_dir: str | os.PathLike[str] = gin.REQUIRED,
    task: Any = gin.REQUIRED,
    agent: Callable[..., Any] = TrpoAgent,
    actor_network: Callable[..., Any] = FlowActorNetwork,
    value_network: Callable[..., Any] = ValueNetwork,
    observation_normalizer: Callable[..., Any] | None = ObservationNormalizer,
    runner: Callable[..., OnPolicyRunner] = OnPolicyRunner,
    *,
    num_envs: int = 32,
    num_env_steps: int = 1_000_000,
    seed: int = 0,
    backend: str = "sync",
    wrappers: Sequence[Callable] = (),
    make_kwargs: Mapping[str, Any] | None = None,
    eval_interval: int = 50_000,
    eval_episodes: int = 10,
    checkpoint_interval: int = 50_000,
    log_interval: int = 1,
    observers: Sequence[Observer] = (),
) -> TrainingResult:
    """Trains an agent on a task and leaves everything about it in `root_dir`; called again, it resumes.

    The directory receives `config.gin`, `environment.json`, `metrics.csv` (a row per iteration),
    `evaluation.csv`, `tensorboard/`, `checkpoints/` (the whole experiment), and in the end `policy/` (a
    SavedModel) and `learning_curve.png`. SIGINT and SIGTERM end the run after the present iteration, with a
    checkpoint.

    A run is determined by its configuration and seed: interrupted and resumed (on a backend that can save its
    state) it goes on bit for bit as if it had not been.

    Example:

    ```python
    expol_tf.train("runs/pendulum", "InvertedPendulum-v5", num_env_steps=50_000)
    ```

    Args:
      root_dir: The run's directory: new, empty, or of a run with the same configuration, which is resumed.
      task: Gymnasium id, environment or factory.
      agent: Called as `agent(time_step_spec, action_spec, actor_network, value_network,
        observation_normalizer=…, seed=…)`: a class or a `functools.partial` of one.
      actor_network: Called with the specs of observations and actions.
      value_network: Called with the spec of observations.
      observation_normalizer: Called with the spec of observations; None for no normalization.
      runner: Called with the environments and the agent; shorter iterations are made by
        `functools.partial(OnPolicyRunner, iteration_steps=512)`.
      num_envs: Environments stepped as one batch.
      num_env_steps: The run ends with the first iteration that reaches so many steps, over all environments.
        A larger value extends a run.
      seed: Of every random stream.
      backend: "sync" or "envpool".
      wrappers: Functions env → env around each environment.
      make_kwargs: Arguments of `gymnasium.make`, or of the factory.
      eval_interval: Environment steps between evaluations; 0 never evaluates.
      eval_episodes: Episodes of an evaluation.
      checkpoint_interval: At most so many environment steps lie between two checkpoints.
      log_interval: Iterations between rows of `metrics.csv`.
      observers: Called after every iteration; see `expol_tf.training.Observer`.

    Raises:
      ExpolError: One of its kinds for whatever is the caller's to mend.
    """
    configuration = configuration_from_call("train", dict(locals()))
    for name, value in dict(
        num_env_steps=num_env_steps, checkpoint_interval=checkpoint_interval, log_interval=log_interval
    ).items():
        if value < 1:
            raise ConfigurationError(f"{name} must be 1 or more; got {value}.")
    with RunDirectory(root_dir) as run:
        keras.utils.set_random_seed(stream(seed, "initialization"))
        env = load_vector(task, num_envs, stream(seed, "environment"), backend, wrappers, make_kwargs)
        try:
            specs = time_step_spec(env)
            normalizer = None if observation_normalizer is None else observation_normalizer(specs.observation)
            built = agent(
                specs,
                env.action_spec,
                actor_network(specs.observation, env.action_spec),
                value_network(specs.observation),
                observation_normalizer=normalizer,
                seed=seed,
            )
            built_runner = runner(env, built)
            evaluator = Evaluator(
                task, seed, eval_interval, eval_episodes, wrappers=wrappers, make_kwargs=make_kwargs
            )
            configuration.check_all_used()
            run.prepare(configuration.text, configuration.fingerprint(), describe_environment(seed))
            run.write_config(configuration.text)
            experiment = _Experiment(run, env, built, built_runner, evaluator, seed)
            return experiment.run(num_env_steps, checkpoint_interval, log_interval, observers)
        finally:
            env.close()


class _Experiment:
    """A run between its first and last iteration: what is counted, written and restored."""

    def __init__(
        self,
        run: RunDirectory,
        env: VectorEnvironment,
        agent: Any,
        runner: OnPolicyRunner,
        evaluator: Evaluator,
        seed: int,
    ) -> None:
        self._run = run
        self._env = env
        self._agent = agent
        self._runner = runner
        self._evaluator = evaluator
        self._seed = seed
        self._metrics = CsvTable(run.metrics_csv, (*COMMON_COLUMNS, *ALGORITHM_COLUMNS))
        self._evaluations = CsvTable(run.evaluation_csv, EVALUATION_COLUMNS)
        self._tensorboard = TensorBoardLog(run.tensorboard)
        self._store = CheckpointStore(run.checkpoints)
        self._statistics = EpisodeStatistics()
        self._env_step = 0
        self._iteration = 0
        self._wall_time = 0.0
        self._evaluated_at = 0
        self._saved_at = 0

    def run(
        self, num_env_steps: int, checkpoint_interval: int, log_interval: int, observers: Sequence[Observer]
    ) -> TrainingResult:
        resumed = self._restore()
        if resumed:
            print(f"resumed at env_step {self._env_step}", flush=True)
            if self._env_step >= num_env_steps:
                print(
                    f"{self._run.root}: finished at env_step {self._env_step}; nothing to do. "
                    "A larger num_env_steps extends the run."
                )
                return self._result(None)
        if not self._env.can_save_state:
            print(
                f"note: {self._env.task} on this backend cannot save its state: a resumed run starts new "
                "episodes and is not bit for bit the uninterrupted one."
            )
        signal_number = None
        with StopRequest() as stop, Progress(num_env_steps, self._env_step, self._run.root.name) as progress:
            while self._env_step < num_env_steps:
                row = self._iterate(log_interval, progress)
                evaluation = self._evaluate(final=self._env_step >= num_env_steps)
                if evaluation is not None:
                    progress.update(self._env_step, evaluation=evaluation["return_mean"])
                recent = self._statistics.recent_return
                event = TrainingEvent(self._env_step, row, evaluation, recent, self._agent, self._run.root)
                # A list: every observer is called, whatever the ones before it answer.
                if any([observer(event) for observer in observers]):
                    progress.message(f"stopped by an observer at env_step {self._env_step}")
                    break
                signal_number = stop.signal_number
                if signal_number is not None:
                    progress.message("interrupted: saving a checkpoint")
                    break
                # Saved so early that no two checkpoints are further apart than the interval.
                if self._env_step + self._runner.iteration_steps - self._saved_at > checkpoint_interval:
                    self._save()
        if self._saved_at != self._env_step:
            self._save()
        self._finish()
        return self._result(signal_number)

    def _iterate(self, log_interval: int, progress: Progress) -> dict[str, Any] | None:
        start = time.perf_counter()
        iteration = self._runner.iterate()
        elapsed = time.perf_counter() - start
        self._wall_time += elapsed
        self._env_step += iteration.env_steps
        self._iteration += 1
        self._statistics.add(iteration.episode_returns, iteration.episode_lengths)
        progress.update(self._env_step, episode_return=self._statistics.recent_return)
        if self._iteration % log_interval:
            return None
        row = {
            "iteration": self._iteration,
            "env_step": self._env_step,
            "wall_time_s": self._wall_time,
            "env_steps_per_s": iteration.env_steps / elapsed,
            **self._statistics.row(),
            **iteration.metrics,
        }
        self._metrics.append(row)
        scalars = {name: value for name, value in row.items() if value is not None and name != "env_step"}
        self._tensorboard.scalars(self._env_step, scalars)
        return row

    def _evaluate(self, final: bool) -> dict[str, Any] | None:
        due = self._evaluator.is_due(self._evaluated_at, self._env_step)
        if not due and not (final and self._evaluator.enabled):
            return None
        start = time.perf_counter()
        row = self._evaluator.evaluate(self._agent, self._env_step).row(self._env_step)
        self._wall_time += time.perf_counter() - start
        self._evaluated_at = self._env_step
        self._evaluations.append(row)
        self._tensorboard.scalars(
            self._env_step, {f"evaluation/{name}": row[name] for name in ("return_mean", "length_mean")}
        )
        return row

    def _save(self) -> None:
        start = time.perf_counter()
        for table in (self._metrics, self._evaluations):
            table.sync()
        self._tensorboard.flush()
        self._store.save(
            self._env_step,
            {"agent": self._agent},
            self._runner.get_state(),
            {
                "iteration": self._iteration,
                "wall_time_s": self._wall_time,
                "evaluated_at": self._evaluated_at,
                "episodes": self._statistics.get_state(),
            },
        )
        self._saved_at = self._env_step
        self._wall_time += time.perf_counter() - start

    def _restore(self) -> bool:
        restored = self._store.restore({"agent": self._agent})
        if restored is not None:
            self._env_step = self._saved_at = restored.env_step
            self._iteration = restored.values["iteration"]
            self._wall_time = restored.values["wall_time_s"]
            self._evaluated_at = restored.values["evaluated_at"]
            self._statistics.set_state(restored.values["episodes"])
            self._runner.set_state(restored.arrays)
        # Rows after the checkpoint (all, if the run was killed before its first) will be written again.
        self._metrics.truncate_after(self._env_step)
        self._evaluations.truncate_after(self._env_step)
        self._tensorboard.truncate_after(self._env_step)
        return restored is not None

    def _finish(self) -> None:
        self._metrics.close()
        self._evaluations.close()
        self._tensorboard.close()
        export_policy(self._agent, self._run.policy)
        plot_learning_curve(
            self._run.metrics_csv,
            self._run.evaluation_csv,
            self._run.learning_curve,
            title=f"{self._env.task}, seed {self._seed}",
        )

    def _result(self, signal_number: int | None) -> TrainingResult:
        final = self._statistics.recent_return
        if signal_number is None and final is not None:
            print(f"env_step {self._env_step}, last 100 episodes' return {final:.1f}, in {self._run.root}")
        return TrainingResult(self._run.root, self._env_step, final, signal_number)
