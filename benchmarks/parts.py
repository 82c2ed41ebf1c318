"""Measures the parts of an iteration alone: environment, collection, update; prints env steps/s as JSON.

`throughput.py` starts this program, so that every measurement begins in a fresh process.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import gin  # noqa: E402

from expol_tf import gin_syntax  # noqa: E402
from expol_tf.agents import OnPolicyAgent, Rollout  # noqa: E402
from expol_tf.environments import VectorEnvironment, load_vector  # noqa: E402
from expol_tf.seeding import stream  # noqa: E402
from expol_tf.training import OnPolicyRunner, TrainingEvent, configure_devices, train  # noqa: E402
from expol_tf.training import configuration as configurations  # noqa: E402
from expol_tf.training.command_line import import_library  # noqa: E402


def build_agent(statements: list[Any], **threads: int) -> Any:
    """Returns the agent as `train` makes it, after one iteration.

    Args:
      statements: gin statements of the experiment.
      **threads: Of `configure_devices`.
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
    given = gin.get_bindings("expol_tf.train")
    names = ("num_envs", "backend", "wrappers", "make_kwargs")
    options = {name: given[name] for name in names if name in given}
    env = load_vector(given["task"], seed=stream(given.get("seed", 0), "environment"), **options)
    runner = given.get("runner", OnPolicyRunner)
    return env, agent, runner(env, agent)


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
    # A multiple of ten: an update rule may do some of its work only every so many updates.
    parser.add_argument("--iterations", type=int, default=10, help="of each repeat")
    parser.add_argument("--repeats", type=int, default=3)
    values = parser.parse_args()
    statements = gin_syntax.read_files([values.gin_file]) + gin_syntax.read_bindings(values.gin_bindings)
    env, agent, runner = build(statements)
    measure(env, agent, runner, 2)
    results = [measure(env, agent, runner, values.iterations) for _ in range(values.repeats)]
    medians = {part: statistics.median(result[part] for result in results) for part in results[0]}
    print(json.dumps({**medians, "num_envs": env.num_envs, "iteration_steps": runner.iteration_steps}))


if __name__ == "__main__":
    main()
