"""Measures off-policy updates without environments, beside TF-Agents' own SAC and the arithmetic limit.

    python benchmarks/off_policy_updates.py --gin_file=gin/sac.gin --task=HalfCheetah-v5

Each gin file's agent is made by `train`, and updates on a replay of random transitions as training does:
`--updates_per_call` samples and updates in one compiled call. Beside it are single updates, each a call on
one fixed batch, and likewise `tf_agents.agents.SacAgent.train`, as a plain `tf.function` with networks and
optimizers of the same sizes and settings. All take turns in this process, in blocks.

The limit is the fewest FLOPs of matrix products that an update needs, by a formula, over the best rate of
such products alone, of 2,048² or of one layer's, on one core or on all, measured before and after
(`arithmetic.py`). What the graph really computes is counted, too.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import shlex
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import report
import tensorflow as tf
from arithmetic import graph_flops, kernels, sac_flops
from interference import Interference
from measuring import PROJECT, Experiment
from parts import build_agent, update_loop

from expol_tf.agents import SacAgent, Transitions
from expol_tf.configuration import gin_syntax
from expol_tf.errors import ConfigurationError, ExpolError
from expol_tf.networks import CriticNetwork, GaussianActorNetwork
from expol_tf.runs.environment_record import describe_environment
from expol_tf.training import UniformReplay

_REPLAY_SIZE = 20_000
_TF_AGENTS = "TF-Agents SacAgent.train"
# The agents are made by a run that need not remember anything.
_SMALL = ("OffPolicyRunner.replay_capacity = 10_000",)


@dataclass
class Competitor:
    """A way to update, with its time per update of each block.

    Attributes:
      name: For tables.
      call: Does `updates` updates, and returns something that is there when they are done.
      updates: Updates of a call.
      flops: FLOPs of matrix products in an update's graph, None if they cannot be counted.
      fewest: The fewest that the algorithm needs, where the formula knows.
      seconds: Of an update, block by block.
      cpu_seconds: Likewise, of processor time, which others on the machine disturb less.
    """

    name: str
    call: Callable[[], tf.Tensor]
    updates: int
    flops: int | None
    fewest: int | None
    seconds: list[float] = field(default_factory=list)
    cpu_seconds: list[float] = field(default_factory=list)

    def measure(self, updates: int) -> None:
        """Does a block of at least so many updates."""
        calls = -(-updates // self.updates)
        started, cpu_started = time.perf_counter(), time.process_time()
        for _ in range(calls):
            done = self.call()
        done.numpy()
        self.seconds.append((time.perf_counter() - started) / (calls * self.updates))
        self.cpu_seconds.append((time.process_time() - cpu_started) / (calls * self.updates))


def _arguments() -> argparse.Namespace:
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=formatter)
    add = parser.add_argument
    add("--gin_file", action="append", required=True, help="off-policy experiment; repeatable")
    add("--gin_bindings", action="append", default=[], help="for all; repeatable")
    add("--task", default="HalfCheetah-v5", help="Gymnasium id")
    add("--batch_size", type=int, default=256)
    add("--updates_per_call", type=int, default=8)
    add("--updates", type=int, default=200, help="of each block")
    add("--repeats", type=int, default=10, help="blocks of each")
    add("--intra_op_threads", type=int, help="within an operation; the gin file's by default")
    add("--inter_op_threads", type=int, help="operations at once; the gin file's by default")
    add("--no_tf_agents", action="store_true", help="without TF-Agents' SAC")
    add("--json_path", type=Path, help="write everything measured")
    values = parser.parse_args()
    if min(values.updates, values.repeats, values.batch_size, values.updates_per_call) < 1:
        parser.error("--updates, --repeats, --batch_size and --updates_per_call must be 1 or more.")
    return values


def _random_transitions(agent: Any, size: int) -> Transitions:
    """Returns transitions of normal observations and uniform actions; what they are costs no time."""
    spec = agent.action_spec
    shape = [size, agent.time_step_spec.observation.shape[0]]
    return Transitions(
        observation=tf.random.stateless_normal(shape, [0, 1]),
        action=tf.random.stateless_uniform([size, spec.shape[0]], [0, 2], spec.minimum, spec.maximum),
        reward=tf.random.stateless_normal([size], [0, 3]),
        discount=tf.ones([size]),
        next_observation=tf.random.stateless_normal(shape, [0, 4]),
    )


def _ours(file: str, agent: Any, batch_size: int, updates_per_call: int) -> list[Competitor]:
    """Returns the agent's updates as training makes them, and one by one on a fixed batch."""
    name = Path(file).stem
    batch = _random_transitions(agent, batch_size)
    sizes = batch.observation.shape[1], batch.action.shape[1]
    replay = UniformReplay(_REPLAY_SIZE, *sizes)
    replay.append(_random_transitions(agent, _REPLAY_SIZE))
    count = tf.Variable(0)

    def update() -> tf.Tensor:
        return agent.update(batch, tf.stack([0, count.assign_add(1)]))["critic_loss"]

    single = tf.function(update, autograph=False).get_concrete_function()
    several = update_loop(agent, replay, batch_size, updates_per_call)
    counts = _count(single), _fewest(agent, batch_size)
    return [
        Competitor(f"{name}, {updates_per_call} a call", several, updates_per_call, *counts),
        Competitor(f"{name}, single", single, 1, *counts),
    ]


def _count(function: Any) -> int | None:
    try:
        return graph_flops(function)
    except ValueError as error:
        print(f"off_policy_updates: {error}", file=sys.stderr)
        return None


def _fewest(agent: Any, batch_size: int) -> int | None:
    """Returns the formula's count where it holds: SAC with a Gaussian policy and plain critics."""
    actor, critic = agent.actor_network, agent.critic_network
    if (type(agent), type(actor), type(critic)) != (SacAgent, GaussianActorNetwork, CriticNetwork):
        return None
    return sac_flops(batch_size, kernels(actor), kernels(critic))


def _tf_agents_sac(agent: Any, batch_size: int) -> Competitor:
    """Returns TF-Agents' SAC with the same settings, its `train` in a plain `tf.function`."""
    from tf_agents.agents.ddpg import critic_network
    from tf_agents.agents.sac import sac_agent, tanh_normal_projection_network
    from tf_agents.networks import actor_distribution_network
    from tf_agents.trajectories import trajectory

    specs = agent.time_step_spec.observation, agent.action_spec
    actor = actor_distribution_network.ActorDistributionNetwork(
        *specs,
        fc_layer_params=(256, 256),
        continuous_projection_net=tanh_normal_projection_network.TanhNormalProjectionNetwork,
    )
    critic = critic_network.CriticNetwork(specs, joint_fc_layer_params=(256, 256))
    optimizers = [tf.keras.optimizers.Adam(3e-4) for _ in range(3)]
    theirs = sac_agent.SacAgent(
        agent.time_step_spec,
        agent.action_spec,
        critic,
        actor,
        *optimizers,
        target_update_tau=0.005,
        gamma=0.99,
    )
    theirs.initialize()
    batch = _random_transitions(agent, batch_size)
    frames = tf.ones([batch_size, 2], tf.int32)

    def twice(value: tf.Tensor) -> tf.Tensor:
        return tf.stack([value, value], axis=1)

    experience = trajectory.Trajectory(
        step_type=frames,
        observation=tf.stack([batch.observation, batch.next_observation], axis=1),
        action=twice(batch.action),
        policy_info=(),
        next_step_type=frames,
        reward=twice(batch.reward),
        discount=twice(batch.discount),
    )
    train = tf.function(lambda: theirs.train(experience).loss, autograph=False).get_concrete_function()
    return Competitor(
        _TF_AGENTS,
        train,
        1,
        _count(train),
        sac_flops(batch_size, kernels(actor), 2 * kernels(critic)),
    )


def _product_rates(batch_size: int, chains: int) -> dict[str, float]:
    """Returns the rates of matrix products, so many at once, from a process of its own."""
    command = [sys.executable, str(PROJECT / "benchmarks" / "arithmetic.py")]
    command += [f"--chains={chains}", f"--rows={batch_size}"]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return json.loads(output.splitlines()[-1])


def _text(
    competitors: list[Competitor],
    rates: dict[int, dict[str, float]],
    values: argparse.Namespace,
    others: list[float],
) -> str:
    baseline = next((each for each in competitors if each.name == _TF_AGENTS), competitors[0])
    best = max(rate for of_chains in rates.values() for rate in of_chains.values())
    heading = ["", "ms an update", "min – max", "CPU ms", "updates/s", f"× {baseline.name}", "min – max"]
    heading += ["MFLOP", "GFLOP/s", "fewest MFLOP", "limit/s", "reached"]
    rows = []
    for each in competitors:
        milliseconds = [1e3 * seconds for seconds in each.seconds]
        ratios = [theirs / ours for ours, theirs in zip(each.seconds, baseline.seconds, strict=True)]
        compared = [f"{statistics.median(ratios):.2f}", report.spread(ratios, 2)]
        speed = 1 / statistics.median(each.seconds)
        row = [
            each.name,
            f"{statistics.median(milliseconds):.2f}",
            report.spread(milliseconds, 2),
            f"{1e3 * statistics.median(each.cpu_seconds):.2f}",
            f"{speed:.0f}",
            *(compared if each is not baseline else ["", ""]),
        ]
        row += [f"{each.flops / 1e6:.0f}", f"{each.flops * speed / 1e9:.0f}"] if each.flops else ["", ""]
        if each.fewest:
            limit = best / each.fewest
            row += [f"{each.fewest / 1e6:.0f}", f"{limit:.0f}", f"{speed / limit:.0%}"]
        rows.append(row + [""] * (len(heading) - len(row)))
    date = datetime.datetime.now().astimezone().isoformat(timespec="seconds")
    lines = [
        f"{values.task}: off-policy updates with batches of {values.batch_size}; medians of {values.repeats} "
        f"blocks of {values.updates} updates that took turns",
        "",
        *report.table(heading, rows),
        "",
        "MFLOP: of the matrix products in an update's graph; fewest MFLOP: those that SAC needs; limit/s: as "
        "many updates of these as the best rate of products below allows; reached: updates/s of that",
        *(
            f"products, {chains} at once on as many threads: "
            + ", ".join(f"{shape} {rate / 1e9:.0f} GFLOP/s" for shape, rate in of_chains.items())
            for chains, of_chains in rates.items()
        ),
        f"{date}; other processes used {report.spread(others, 2)} cores during blocks",
        *report.quietness(others),
        *report.machine(describe_environment()),
    ]
    return "\n".join(lines)


def main() -> int:
    values = _arguments()
    others: list[float] = []
    competitors: list[Competitor] = []
    try:
        for file in values.gin_file:
            bindings = (*_SMALL, *values.gin_bindings)
            experiment = Experiment(file, values.task, bindings=bindings, warm_up_steps=1)
            if not experiment.off_policy:
                raise ConfigurationError(f"--gin_file must be an off-policy experiment; got {file}.")
            statements = gin_syntax.read_files([file]) + gin_syntax.read_bindings(experiment.statements())
            threads = {name: getattr(values, name) for name in ("intra_op_threads", "inter_op_threads")}
            given = {name: count for name, count in threads.items() if count is not None}
            agent = build_agent(statements, **given)
            competitors += _ours(file, agent, values.batch_size, values.updates_per_call)
            print(f"made {Path(file).stem}", file=sys.stderr, flush=True)
    except ExpolError as error:
        print(f"off_policy_updates: {error}", file=sys.stderr)
        return 1
    if not values.no_tf_agents:
        competitors.append(_tf_agents_sac(agent, values.batch_size))
    cores = sorted({1, len(os.sched_getaffinity(0))})
    before = {chains: _product_rates(values.batch_size, chains) for chains in cores}
    for competitor in competitors:
        competitor.measure(values.updates_per_call)  # What is done once.
        competitor.seconds.clear()
        competitor.cpu_seconds.clear()
    for repeat in range(values.repeats):
        # Another one begins each time, so that none always follows the same.
        first = repeat % len(competitors)
        for competitor in competitors[first:] + competitors[:first]:
            interference = Interference()
            competitor.measure(values.updates)
            others.append(interference.cores())
    after = {chains: _product_rates(values.batch_size, chains) for chains in cores}
    rates = {
        chains: {shape: max(rate, after[chains][shape]) for shape, rate in of_chains.items()}
        for chains, of_chains in before.items()
    }
    print(_text(competitors, rates, values, others))
    if values.json_path:
        measured = {
            each.name: {
                "seconds": each.seconds,
                "cpu_seconds": each.cpu_seconds,
                "flops": each.flops,
                "fewest_flops": each.fewest,
            }
            for each in competitors
        }
        everything = {
            "command": shlex.join(sys.argv),
            "others_cores": others,
            "updates": measured,
            "products_flops_per_s": rates,
            "record": describe_environment(),
        }
        path = Path(os.environ.get("BUILD_WORKING_DIRECTORY", ".")) / values.json_path.expanduser()
        path.write_text(json.dumps(everything, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
