"""Measures the parts of an iteration alone: environment, collection, update; prints env steps/s as JSON.

`throughput.py` starts this program, so that every measurement begins in a fresh process. What off-policy
training does in one compiled call, acting and updates, is measured apart here.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import gin  # noqa: E402
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

from expol_tf import configuration as configurations  # noqa: E402
from expol_tf.agents import ActorCriticAgent, OnPolicyAgent, Rollout  # noqa: E402
from expol_tf.cli.commands.train import import_library  # noqa: E402
from expol_tf.configuration import gin_syntax  # noqa: E402
from expol_tf.environments import VectorEnvironment, load_vector  # noqa: E402
from expol_tf.random.streams import stream  # noqa: E402
from expol_tf.training import (  # noqa: E402
    OffPolicyRunner,
    OnPolicyRunner,
    TrainingEvent,
    UniformReplay,
    configure_devices,
    train,
)


def build_agent(statements: list[Any], **threads: int) -> Any:
    """Returns the agent as `train` makes it, after one iteration.

    Args:
      statements: gin statements of the experiment.
      **threads: Of `configure_devices`, where the experiment's are not wanted.
    """
    import_library()
    configuration = configurations.resolve(statements).override("num_env_steps", 1)
    configuration.apply()
    configure_devices(**threads)
    agents: list[Any] = []

    def capture(event: TrainingEvent) -> None:
        agents.append(event.agent)

    with tempfile.TemporaryDirectory(prefix="expol_parts_") as directory:
        train(root_dir=directory, observers=[capture])
    return agents[-1]


def build(statements: list[Any]) -> tuple[VectorEnvironment, OnPolicyAgent, OnPolicyRunner]:
    """Returns environments, agent and runner as `train` makes them, after one iteration."""
    agent = build_agent(statements)
    env, runner = _environments(), gin.get_bindings("expol_tf.train").get("runner", OnPolicyRunner)
    return env, agent, runner(env, agent)


def _environments() -> VectorEnvironment:
    """Returns the environments of the configuration that was built."""
    given = gin.get_bindings("expol_tf.train")
    names = ("num_envs", "backend", "wrappers", "make_kwargs")
    options = {name: given[name] for name in names if name in given}
    return load_vector(given["task"], seed=stream(given.get("seed", 0), "environment"), **options)


def update_loop(agent: ActorCriticAgent, replay: UniformReplay, batch_size: int, updates: int) -> Any:
    """Returns a compiled function that does so many updates, each on a sample, and returns the last loss."""
    count = tf.Variable(0)

    def update(i: tf.Tensor, _: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        seeds = tf.random.experimental.stateless_split([0, count.assign_add(1)], 2)
        return i + 1, agent.update(replay.sample(batch_size, seeds[0]), seeds[1])["critic_loss"]

    def loop() -> tf.Tensor:
        first = [tf.constant(0), tf.constant(0.0)]
        if updates == 1:
            return update(*first)[1]
        return tf.while_loop(lambda i, _: i < updates, update, first, parallel_iterations=1)[1]

    return tf.function(loop, autograph=False).get_concrete_function()


def measure_off_policy(statements: list[Any], repeats: int, num_updates: int = 500) -> list[dict[str, float]]:
    """Returns env steps/s of each part: the environments with random actions, collection, and updates."""
    agent = build_agent(statements)
    env, runner = _environments(), gin.get_bindings("expol_tf.train").get("runner", OffPolicyRunner)
    given = gin.get_bindings("OffPolicyRunner")
    batch_size, per_step = given.get("batch_size", 256), given.get("updates_per_step", 1.0)
    # The policy acts from the start, and for a million steps nothing is updated.
    collecting = runner(env, agent, replay_capacity=100_000, warm_up_steps=0, updates_per_step=1e-6, seed=0)
    per_call = max(1, round(env.num_envs * per_step))
    update = update_loop(agent, collecting.replay, batch_size, per_call)
    steps = collecting.iteration_steps
    actions = np.random.default_rng(0).uniform(
        env.action_spec.minimum, env.action_spec.maximum, [steps // env.num_envs, *env.action_spec.shape]
    )
    actions = np.repeat(actions[:, np.newaxis], env.num_envs, axis=1).astype(np.float32)

    def step() -> None:
        for action in actions:
            env.step(action)

    def update_all() -> None:
        for _ in range(num_updates // per_call):
            loss = update()
        loss.numpy()

    parts: dict[str, tuple[Callable[[], Any], float]] = {
        "collection": (collecting.iterate, steps),
        "environment": (step, steps),
        "update": (update_all, num_updates // per_call * per_call / per_step),
    }
    results = []
    for _ in range(repeats + 1):
        result = {}
        for name, (function, env_steps) in parts.items():
            started = time.perf_counter()
            function()
            result[name] = env_steps / (time.perf_counter() - started)
        results.append({**result, "num_envs": env.num_envs, "iteration_steps": steps})
    return results[1:]  # The first one warms up.


def timed_update(agent: OnPolicyAgent, rollout: Rollout) -> tuple[float, dict[str, float]]:
    """Returns the seconds of one update, until its metrics have arrived, and the metrics."""
    started = time.perf_counter()
    info = agent.train_on_rollout(rollout)
    metrics = {name: float(value.numpy()) for name, value in info.extra.items()}
    return time.perf_counter() - started, metrics


def measure(
    env: VectorEnvironment, agent: OnPolicyAgent, runner: OnPolicyRunner, iterations: int
) -> dict[str, float]:
    """Returns env steps/s of each part over this many iterations of real training.

    The environment alone repeats the actions that the policy has just taken: the time of a simulator's step
    depends on the contacts that they cause.
    """
    seconds = {"environment": 0.0, "collection": 0.0, "update": 0.0}
    for _ in range(iterations):
        started = time.perf_counter()
        rollout, _, _ = runner.collect()
        seconds["collection"] += time.perf_counter() - started
        updating, _ = timed_update(agent, rollout)
        seconds["update"] += updating
        actions = rollout.action.swapaxes(0, 1).copy()
        before = time.perf_counter()
        for action in actions:
            env.step(action)
        seconds["environment"] += time.perf_counter() - before
    return {part: iterations * runner.iteration_steps / spent for part, spent in seconds.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gin_file", required=True)
    parser.add_argument("--gin_bindings", action="append", default=[])
    parser.add_argument("--off_policy", action="store_true", help="the experiment is one with a replay")
    # A multiple of ten: an update rule may do some of its work only every so many updates.
    parser.add_argument("--iterations", type=int, default=10, help="of each repeat, if it is on-policy")
    parser.add_argument("--repeats", type=int, default=3)
    values = parser.parse_args()
    statements = gin_syntax.read_files([values.gin_file]) + gin_syntax.read_bindings(values.gin_bindings)
    if values.off_policy:
        results = measure_off_policy(statements, values.repeats)
    else:
        env, agent, runner = build(statements)
        measure(env, agent, runner, 2)
        results = [measure(env, agent, runner, values.iterations) for _ in range(values.repeats)]
        sizes = {"num_envs": env.num_envs, "iteration_steps": runner.iteration_steps}
        results = [{**result, **sizes} for result in results]
    print(json.dumps({part: statistics.median(result[part] for result in results) for part in results[0]}))


if __name__ == "__main__":
    main()
