"""`train` and `run_experiment`: one call that runs, records, checkpoints and resumes an experiment."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import gin
import gymnasium

from expol_tf.agents import PolicyAgent, TrpoAgent
from expol_tf.checked import checked
from expol_tf.configurable import Made, configurable, recorded_objects
from expol_tf.configuration import Configuration, configuration_from_call, recorded_values
from expol_tf.environments import VectorEnvironment, load_vector, time_step_spec
from expol_tf.errors import ConfigurationError
from expol_tf.keras_api import keras
from expol_tf.memory import memory_errors
from expol_tf.number_types import Count, NumEnvs, SeedNumber, Steps, WholeSteps
from expol_tf.random import stream
from expol_tf.runs import RunDirectory, describe_environment
from expol_tf.training.checkpointing import CheckpointStore
from expol_tf.training.devices import ensure_configured, learner_scope
from expol_tf.training.evaluation import Evaluator
from expol_tf.training.observers import Observer
from expol_tf.training.parts import Parts, choose_parts, completed_learner
from expol_tf.training.runners.iteration import Runner
from expol_tf.training.settings import Experiment, require_iteration
from expol_tf.training.training_loop import TrainingLoop, TrainingResult


@functools.partial(configurable, checks_types=False)  # `run_experiment` says what each must be.
def train(
    root_dir: str | os.PathLike[str] = gin.REQUIRED,
    task: Any = gin.REQUIRED,
    agent: Callable[..., Any] = TrpoAgent,
    actor_network: Callable[..., Any] | None = None,
    value_network: Callable[..., Any] | None = None,
    observation_normalizer: Callable[..., Any] | str | None = "auto",
    runner: Callable[..., Any] | None = None,
    *,
    critic_network: Callable[..., Any] | None = None,
    num_envs: NumEnvs | None = None,
    num_env_steps: Steps = 1_000_000,
    seed: SeedNumber = 0,
    backend: str = "sync",
    wrappers: Sequence[Callable] = (),
    make_kwargs: Mapping[str, Any] | None = None,
    eval_interval: WholeSteps = 50_000,
    eval_episodes: Count = 10,
    eval_max_steps: Steps = 100_000,
    checkpoint_interval: Steps = 50_000,
    log_interval: Count = 1,
    observers: Sequence[Observer] = (),
) -> TrainingResult:
    """Trains an agent on a task and leaves everything about it in `root_dir`; called again, it resumes.

    The directory receives `config.gin`, `configuration.json`, `environment.json`, `metrics.csv` (a row per
    iteration), `evaluation.csv`, `tensorboard/`, `checkpoints/` (the whole experiment), and in the end
    `policy/` (a SavedModel) and `learning_curve.png`. SIGINT, SIGTERM and SIGHUP end the run before its next
    step, with a checkpoint; `TrainingResult.interrupted_by` says so.

    A run is determined by its configuration and seed: interrupted and resumed (on a backend that can save its
    state) it goes on bit for bit as if it had not been.

    The agent decides what is not given. On-policy agents (TRPO, PPO, ACKTR): 32 environments, a flow, a
    value network, normalized observations, an `OnPolicyRunner`. Off-policy agents: one environment, the actor
    network of the algorithm's paper (SAC: a squashed Gaussian), twin critics, observations as they are, an
    `OffPolicyRunner`.

    Example:

    ```python
    expol_tf.train("runs/pendulum", "InvertedPendulum-v5", num_env_steps=50_000)
    expol_tf.train("runs/cheetah", "HalfCheetah-v5", agent=SacAgent)
    ```

    Args:
      root_dir: The run's directory: new, empty, or of a run with the same configuration, which is resumed.
      task: Gymnasium id, environment or factory.
      agent: Called as `agent(time_step_spec, action_spec, actor_network, value_network,
        observation_normalizer=…)`, with a critic network in the value network's place if it is off-policy: a
        class or a `functools.partial` of one. The agent's randomness begins at the run's seed.
      actor_network: Called with the specs of observations and actions. A `functools.partial` of the class
        that the algorithm has anyway keeps the algorithm's other settings; so do the parts below.
      value_network: Called with the spec of observations; for on-policy agents.
      observation_normalizer: Called with the spec of observations; None for no normalization, "auto" for what
        goes with the agent.
      runner: Called with the environments and the agent (and a seed, if it is an `OffPolicyRunner`); shorter
        iterations are made by `functools.partial(OnPolicyRunner, iteration_steps=512)`.
      critic_network: Called with the specs of observations and actions; for off-policy agents.
      num_envs: Environments stepped as one batch.
      num_env_steps: The run ends with the first iteration that reaches so many steps, over all environments.
        A larger value extends a run. An iteration of more steps is refused, unless it has 10,000 or fewer.
      seed: The seed of every random stream.
      backend: "sync" or "envpool".
      wrappers: Functions env → env around each environment.
      make_kwargs: Arguments of `gymnasium.make`, or of the factory.
      eval_interval: Environment steps between evaluations; 0 never evaluates.
      eval_episodes: Episodes of an evaluation.
      eval_max_steps: An episode of an evaluation that reaches so many steps counts as truncated there.
      checkpoint_interval: At most so many environment steps lie between two checkpoints.
      log_interval: Iterations between rows of `metrics.csv`.
      observers: Called after every iteration; see `expol_tf.training.Observer`.

    Raises:
      ExpolError: The caller can correct what is wrong; the message says how.
    """
    keywords = dict(locals())
    experiment = Experiment.of(**keywords)
    # Before the record is made, which knows types alone, and is to hold what the algorithm adds.
    learner = completed_learner(experiment.learner)
    experiment = dataclasses.replace(experiment, learner=learner)
    return run_experiment(experiment, configuration_from_call("train", keywords | vars(learner)))


@checked
@memory_errors(sizes=True)
def run_experiment(experiment: Experiment, record: Configuration) -> TrainingResult:
    """Does what `train` does, given objects instead of keywords and apart from how they were configured.

    Example:

    ```python
    experiment = Experiment(
        Learner(agent=SacAgent), Task("HalfCheetah-v5"), Course(seed=1), Records("runs/cheetah")
    )
    run_experiment(experiment, configuration_from_call("train", experiment.keywords))
    ```

    Args:
      experiment: What is trained, on what, how it is run and what is kept.
      record: What is written down as the run's `config.gin` and `configuration.json`. A directory whose run
        has another one is refused, and so is one that sets something on what the experiment does not use.

    Raises:
      ExpolError: The caller can correct what is wrong; the message says how.
    """
    course, records = experiment.course, experiment.records
    parts, device = _parts_and_device(experiment)
    with RunDirectory(records.root_dir) as run:
        seed = course.seed
        if run.exists:
            seed = _own_seed(run, seed)
            record = record.override("seed", seed)
        store = CheckpointStore(run.checkpoints)
        # Where states cannot be saved, a resumed run must not begin with the first run's episodes.
        resumed_at = store.latest_env_step
        env_seed = stream(seed, "environment", *([resumed_at] if resumed_at else []))
        with _made(experiment, parts, seed, env_seed) as (env, agent, runner, evaluator, objects):
            record = record.in_use().stating(objects)
            values = recorded_values(record.text) | dict(record.unwritable)
            environment = describe_environment(seed, device) | {"trained": False}
            existed = run.prepare(record.text, values, record.fingerprint(), environment)
            loop = TrainingLoop(run, store, env, agent, runner, evaluator, f"{env.task}, seed {seed}")
            if existed:
                env_step = loop.restore()
                print(f"resumed at env_step {env_step}", flush=True)
                if loop.is_finished(course.num_env_steps):
                    print(
                        f"{run.root}: finished at env_step {env_step}; nothing to do. "
                        "A larger num_env_steps extends the run."
                    )
                    return loop.finish_again()
                run.write_config(record.text, values)
            return loop.run(course, records)


@checked
@memory_errors(sizes=True)
def check_experiment(experiment: Experiment, record: Configuration) -> str:
    """Makes all that `run_experiment` makes and resets the environments, but trains and writes nothing.

    So spaces, shapes, what the policy's distribution must be able to do, and all settings are found right or
    wrong.

    Args:
      experiment: What would be trained.
      record: Its configuration.

    Returns:
      One line that says what was checked.

    Raises:
      ExpolError: As `run_experiment` would raise it before the first step.
    """
    parts, device = _parts_and_device(experiment)
    seed = experiment.course.seed
    with _made(experiment, parts, seed, stream(seed, "environment")) as (env, agent, runner, *_):
        record.in_use()
        observation = env.reset()
        environments = "1 environment" if env.num_envs == 1 else f"{env.num_envs} environments"
        kinds = [type(each).__name__ for each in (agent, agent.actor_network, runner)]
        return (
            f"checked, nothing written: {env.task}, {environments} made and reset (observations "
            f"[{observation.shape[-1]}], actions [{env.action_spec.shape[0]}]); {', '.join(kinds)}; "
            f"{experiment.course.num_env_steps:,} steps on {device}"
        )


def _parts_and_device(experiment: Experiment) -> tuple[Parts, str]:
    """Returns the factories of an experiment's parts, and the device that computes."""
    task = experiment.task
    if isinstance(task.task, gymnasium.Env) and experiment.records.eval_interval > 0:
        raise ConfigurationError(
            "task: evaluation needs environments of its own, which an environment object cannot give; "
            f"got {task.task}. Pass a function that makes one, or eval_interval=0."
        )
    parts = choose_parts(experiment.learner, task.num_envs)
    # Several critics are independent of each other.
    return parts, ensure_configured(inter_op_threads=0 if parts.off_policy else None)


@contextlib.contextmanager
def _made(
    experiment: Experiment, parts: Parts, seed: int, env_seed: int
) -> Iterator[tuple[VectorEnvironment, PolicyAgent, Runner, Evaluator, list[Made]]]:
    """Makes an experiment's environments, agent, runner and evaluator; closes the environments in the end.

    With them come all objects of configurable classes that agent and runner made.
    """
    task, records = experiment.task, experiment.records
    options: dict[str, Any] = dict(backend=task.backend, wrappers=task.wrappers, make_kwargs=task.make_kwargs)
    keras.utils.set_random_seed(stream(seed, "initialization"))
    env = load_vector(task.task, parts.num_envs, env_seed, **options)
    try:
        specs = time_step_spec(env)
        with recorded_objects() as objects:
            with learner_scope():
                agent = parts.make_agent(experiment.learner.agent, specs, env.action_spec, seed)
            runner = parts.make_runner(env, agent, seed)
        name = f"{type(runner).__name__}.iteration_steps"
        steps = experiment.course.num_env_steps
        require_iteration(name, runner.iteration_steps, steps, env.num_envs)
        evaluator = Evaluator(
            task.task, seed, records.eval_interval, records.eval_episodes,
            max_steps=records.eval_max_steps, **options,
        )  # fmt: skip
        yield env, agent, runner, evaluator, objects
    finally:
        env.close()


def _own_seed(run: RunDirectory, seed: int) -> int:
    """Returns the seed that an existing run began with, and says so if another was asked for."""
    own = run.read_seed()
    if own != seed:
        print(
            f"note: {run.root} goes on with its own seed {own}, not {seed}. "
            "Give another root_dir for another seed."
        )
    return own
