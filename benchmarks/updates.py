"""Measures one agent update, the compiled `train_on_rollout`, of several experiments on the same batch.

    python benchmarks/updates.py --gin_file=gin/gaussian_acktr.gin --gin_file=gin/gaussian_trpo.gin \\
        --baseline=gaussian_trpo --task=HalfCheetah-v5

The agents are made by `train` and trained for a few iterations, then take turns in blocks of updates, all
in this process. The batch is one that the baseline's policy collects. The others get its observations,
actions and rewards with log-probabilities of their own policies, and before each update, untimed, every
agent's networks and normalizer are put back to what these log-probabilities belong to: each update is a whole
one that starts at the policy that acted. What an update rule keeps for itself (momentum, running factors,
counters) goes on, and a block's time is divided by its updates, so that what is done only every few updates
counts with its share.
"""

from __future__ import annotations

import argparse
import datetime
import json
import math
import os
import re
import shlex
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import report
from interference import Interference
from measuring import PROJECT, Experiment

# The library is found whether or not it is installed.
sys.path.append(str(PROJECT))

from parts import build, timed_update  # noqa: E402

from expol_tf import configuration as configurations  # noqa: E402
from expol_tf.agents import OnPolicyAgent, Rollout  # noqa: E402
from expol_tf.configuration import gin_syntax  # noqa: E402
from expol_tf.distributions import action_log_prob  # noqa: E402
from expol_tf.errors import ConfigurationError, ExpolError  # noqa: E402
from expol_tf.runs.environment_record import describe_environment  # noqa: E402
from expol_tf.training import OnPolicyRunner  # noqa: E402

# Fewer would not average over what is done every ten updates.
_LEAST_UPDATES = 30
# How often things are done inside an update rule.
_EVERY = re.compile(r"^([\w/]+\.\w*(?:interval|period|every|frequency)\w*) = (\S+)", re.MULTILINE)
_OF_THE_RUN = ("train.", "Evaluator.")


@dataclass
class Competitor:
    """An agent with its batch, the variables that the batch belongs to, and what was measured of it."""

    name: str
    agent: OnPolicyAgent
    runner: OnPolicyRunner
    every: dict[str, str]
    rollout: Rollout | None = None
    saved: list[tuple[Any, np.ndarray]] = field(default_factory=list)
    blocks: list[list[float]] = field(default_factory=list)
    metrics: list[dict[str, float]] = field(default_factory=list)

    def take(self, batch: Rollout) -> None:
        """Takes the batch as if this agent's policy had collected it, and remembers its variables."""
        info_spec, info = self.agent.collect_policy.info_spec, dict(batch.policy_info)
        if set(info_spec) != set(info):
            raise ConfigurationError(
                f"{self.name}: its policy records {', '.join(info_spec)}, the baseline's {', '.join(info)}: "
                "a policy that squashes and one that does not cannot share a batch. Measure them apart."
            )
        shape = batch.reward.shape

        def merge(array: np.ndarray) -> np.ndarray:
            return array.reshape(-1, *array.shape[2:])

        normalizer = self.agent.observation_normalizer
        observation = merge(batch.observation)
        distribution, _ = self.agent.actor_network(
            observation if normalizer is None else normalizer(observation)
        )
        pre_squash = merge(info["pre_squash_action"]) if "pre_squash_action" in info else None
        log_prob = action_log_prob(distribution, merge(batch.action), pre_squash).numpy()
        self.rollout = batch._replace(policy_info={**info, "log_prob": log_prob.reshape(shape)})
        variables = [*self.agent.actor_network.variables, *self.agent.value_network.variables]
        variables += [] if normalizer is None else normalizer.variables
        self.saved = [(variable, np.array(variable)) for variable in variables]

    def update(self) -> float:
        """Returns the seconds of one update from the saved variables."""
        for variable, value in self.saved:
            variable.assign(value)
        seconds, metrics = timed_update(self.agent, self.rollout)
        broken = [name for name, value in metrics.items() if not math.isfinite(value)]
        if broken:
            raise ConfigurationError(f"{self.name}: {', '.join(broken)} must be finite; the update diverged.")
        self.metrics.append(metrics)
        return seconds

    def amortized(self) -> list[float]:
        """Milliseconds an update of each block."""
        return [1e3 * statistics.fmean(block) for block in self.blocks]


def _arguments() -> argparse.Namespace:
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=formatter)
    add = parser.add_argument
    add("--gin_file", action="append", required=True, help="experiment; repeatable")
    add("--baseline", help="stem of the gin file that the others are compared with; the first by default")
    add("--gin_bindings", action="append", default=[], help='such as "NUM_ENVS = 64", for all; repeatable')
    add("--task", default="HalfCheetah-v5", help="Gymnasium id")
    add("--warm_up", type=int, default=5, help="iterations that each agent trains before; not measured")
    add("--updates", type=int, default=_LEAST_UPDATES, help="of each block; a multiple of ten")
    add("--repeats", type=int, default=10, help="blocks of each agent")
    add("--json_path", type=Path, help="write everything measured")
    values = parser.parse_args()
    names = [Path(file).stem for file in values.gin_file]
    values.baseline = values.baseline or names[0]
    if values.baseline not in names or len(set(names)) < len(names):
        parser.error(f"--baseline must be one of {', '.join(names)}, all different; got {values.baseline}.")
    if min(values.updates, values.repeats) < 1:
        parser.error("--updates and --repeats must be 1 or more.")
    return values


def _competitors(values: argparse.Namespace) -> list[Competitor]:
    """Returns the agents, trained a little, with the batch of the baseline's policy."""
    competitors = []
    for file in values.gin_file:
        experiment = Experiment(file, values.task, bindings=tuple(values.gin_bindings))
        statements = gin_syntax.read_files([file]) + gin_syntax.read_bindings(experiment.statements())
        text = configurations.resolve(statements).text
        every = {name: value for name, value in _EVERY.findall(text) if not name.startswith(_OF_THE_RUN)}
        _, agent, runner = build(statements)
        for _ in range(values.warm_up):
            runner.iterate()
        competitors.append(Competitor(Path(file).stem, agent, runner, every))
        print(f"made {competitors[-1].name}", file=sys.stderr, flush=True)
    batch = _baseline(competitors, values.baseline).runner.collect()[0]
    for competitor in competitors:
        competitor.take(batch)
        competitor.update()  # Traces it, should its own batches have another shape.
        competitor.metrics.clear()
    return competitors


def _baseline(competitors: Sequence[Competitor], name: str) -> Competitor:
    return next(competitor for competitor in competitors if competitor.name == name)


def _text(competitors: list[Competitor], values: argparse.Namespace, others: list[float]) -> str:
    baseline = _baseline(competitors, values.baseline)
    heading = [
        "ms an update",
        "amortized",
        "min – max",
        "single",
        "slowest",
        f"× {baseline.name}",
        "min – max",
        "KL",
    ]
    rows = []
    for competitor in competitors:
        blocks = competitor.amortized()
        single = sorted(1e3 * seconds for block in competitor.blocks for seconds in block)
        ratios = [ours / theirs for ours, theirs in zip(blocks, baseline.amortized(), strict=True)]
        kl = statistics.median(metrics.get("kl", math.nan) for metrics in competitor.metrics)
        compared = [f"{statistics.median(ratios):.2f}", report.spread(ratios, 2)]
        rows.append(
            [
                competitor.name,
                f"{statistics.median(blocks):.1f}",
                report.spread(blocks, 1),
                f"{statistics.median(single):.1f}",
                f"{single[-1]:.1f}",
                *(compared if competitor is not baseline else ["", ""]),
                f"{kl:.1e}",
            ]
        )
    assert baseline.rollout is not None
    num_envs, num_steps = baseline.rollout.reward.shape
    date = datetime.datetime.now().astimezone().isoformat(timespec="seconds")
    lines = [
        f"{values.task}: agent updates on one batch of {num_envs} × {num_steps} env steps; medians of "
        f"{values.repeats} blocks of {values.updates} updates that took turns",
        "",
        *report.table(heading, rows),
        "",
        "amortized: a block's mean; single: the median of all updates; KL: the median of the metric.",
        *(
            f"{competitor.name}: {', '.join(f'{name} {value}' for name, value in competitor.every.items())}"
            for competitor in competitors
            if competitor.every
        ),
        f"{date}; other processes used {report.spread(others, 2)} cores during blocks",
        *report.quietness(others),
        *report.machine(describe_environment()),
    ]
    if values.updates < _LEAST_UPDATES:
        lines.append(f"NOTE: blocks are short; take --updates={_LEAST_UPDATES} or more before quoting.")
    return "\n".join(lines)


def main() -> int:
    values = _arguments()
    others: list[float] = []
    try:
        competitors = _competitors(values)
        for repeat in range(values.repeats):
            # Another one begins each time, so that none always follows the same.
            first = repeat % len(competitors)
            for competitor in competitors[first:] + competitors[:first]:
                interference = Interference()
                competitor.blocks.append([competitor.update() for _ in range(values.updates)])
                others.append(interference.cores())
    except ExpolError as error:
        print(f"updates: {error}", file=sys.stderr)
        return 1
    print(_text(competitors, values, others))
    if values.json_path:
        measured = {
            competitor.name: {
                "seconds": competitor.blocks,
                "metrics": competitor.metrics,
                "every": competitor.every,
            }
            for competitor in competitors
        }
        everything = {"command": shlex.join(sys.argv), "others_cores": others, "experiments": measured}
        path = Path(os.environ.get("BUILD_WORKING_DIRECTORY", ".")) / values.json_path.expanduser()
        path.write_text(json.dumps(everything, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
