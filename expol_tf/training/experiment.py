"""`train`: one call that runs, records, checkpoints and resumes an experiment."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import gin
import gymnasium

from expol_tf.agents import TrpoAgent
from expol_tf.configuration import configuration_from_call
from expol_tf.environments import load_vector, time_step_spec
from expol_tf.errors import ConfigurationError
from expol_tf.keras_api import keras
from expol_tf.random import stream
from expol_tf.runs import RunDirectory, describe_environment
from expol_tf.training.checkpointing import CheckpointStore
from expol_tf.training.devices import ensure_configured, learner_scope
from expol_tf.training.evaluation import Evaluator
from expol_tf.training.observers import Observer
from expol_tf.training.parts import choose_parts
from expol_tf.training.training_loop import TrainingLoop, TrainingResult


@gin.configurable(module="expol_tf")
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
    num_envs: int | None = None,
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

    What is not given follows from the agent. On-policy agents (TRPO, PPO, ACKTR): 32 environments, a flow, a
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
        observation_normalizer=…, seed=…)`, with a critic network in the value network's place if it is
        off-policy: a class or a `functools.partial` of one.
      actor_network: Called with the specs of observations and actions.
      value_network: Called with the spec of observations; for on-policy agents.
      observation_normalizer: Called with the spec of observations; None for no normalization, "auto" for what
        goes with the agent.
      runner: Called with the environments and the agent (and a seed, if it is an `OffPolicyRunner`); shorter
        iterations are made by `functools.partial(OnPolicyRunner, iteration_steps=512)`.
      critic_network: Called with the specs of observations and actions; for off-policy agents.
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
    if isinstance(task, gymnasium.Env) and eval_interval > 0:
        raise ConfigurationError(
            "task: evaluation needs environments of its own, which an environment object cannot give; "
            f"got {task}. Pass a function that makes one, or eval_interval=0."
        )
    for name, value in dict(
        num_env_steps=num_env_steps, checkpoint_interval=checkpoint_interval, log_interval=log_interval
    ).items():
        if value < 1:
            raise ConfigurationError(f"{name} must be 1 or more; got {value}.")
    parts = choose_parts(
        agent, actor_network, value_network, critic_network, observation_normalizer, runner, num_envs
    )
    # Several critics are independent of each other.
    device = ensure_configured(inter_op_threads=0 if parts.off_policy else None)
    with RunDirectory(root_dir) as run:
        if run.exists:
            seed = _own_seed(run, seed)
            configuration = configuration.override("seed", seed)
        store = CheckpointStore(run.checkpoints)
        keras.utils.set_random_seed(stream(seed, "initialization"))
        # Where states cannot be saved, a resumed run must not begin with the first run's episodes.
        resumed_at = store.latest_env_step
        env_seed = stream(seed, "environment", *([resumed_at] if resumed_at else []))
        env = load_vector(task, parts.num_envs, env_seed, backend, wrappers, make_kwargs)
        try:
            specs = time_step_spec(env)
            with learner_scope():
                built = parts.make_agent(agent, specs, env.action_spec, seed)
            built_runner = parts.make_runner(env, built, seed)
            evaluator = Evaluator(
                task,
                seed,
                eval_interval,
                eval_episodes,
                backend=backend,
                wrappers=wrappers,
                make_kwargs=make_kwargs,
            )
            configuration = configuration.in_use()
            environment = describe_environment(seed, device)
            existed = run.prepare(configuration.text, configuration.fingerprint(), environment)
            loop = TrainingLoop(run, store, env, built, built_runner, evaluator, f"{env.task}, seed {seed}")
            if existed:
                env_step = loop.restore()
                print(f"resumed at env_step {env_step}", flush=True)
                if env_step >= num_env_steps:
                    print(
                        f"{run.root}: finished at env_step {env_step}; nothing to do. "
                        "A larger num_env_steps extends the run."
                    )
                    return loop.finish_again()
                run.write_config(configuration.text)
            return loop.run(num_env_steps, checkpoint_interval, log_interval, observers)
        finally:
            env.close()


def _own_seed(run: RunDirectory, seed: int) -> int:
    """Returns the seed that an existing run began with, and says so if another was asked for."""
    own = json.loads(run.environment.read_text()).get("seed")
    if own is None or own == seed:
        return seed
    print(
        f"note: {run.root} goes on with its own seed {own}, not {seed}. "
        "Give another root_dir for another seed."
    )
    return int(own)
