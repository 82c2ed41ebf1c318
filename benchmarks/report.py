"""The throughput benchmark's tables: medians, where the time goes, the ratio to the peer, the conditions."""

from __future__ import annotations

import csv
import json
import statistics
from collections.abc import Iterable
from pathlib import Path
from typing import Any

PEER = "sb3-contrib TRPO"
_PARTS = ("environment", "collection", "update")
_SPEEDS = ("env_steps_per_s", "reported_env_steps_per_s", *_PARTS)
_COMPARED = ("gymnasium", "mujoco", "numpy")
# Cores that others may use during a measurement that is to be quoted.
_QUIET = 0.15

Measurement = dict[str, Any]


def progress_line(measurement: Measurement) -> str:
    """Returns one measurement as a line."""
    speeds = ", ".join(f"{name} {measurement[name]:,.0f}" for name in _speeds(measurement))
    return (
        f"repeat {measurement['repeat'] + 1}: {measurement['name']}: {speeds} "
        f"(load average before {measurement['load_average']:.2f}, others used "
        f"{measurement['others_cores']:.2f} cores)"
    )


def text(measurements: list[Measurement], task: str, evaluate: bool) -> str:
    """Returns the whole report."""
    trainings = _by_name(measurement for measurement in measurements if measurement["kind"] == "training")
    parts = _by_name(measurement for measurement in measurements if measurement["kind"] == "parts")
    repeats = max(len(group) for group in trainings.values())
    steps = min(group[0]["measured_env_steps"] for group in trainings.values())
    lines = [
        f"{task}: env steps/s, medians of {repeats} repeats; whole trainings of {steps:,} env steps or more",
        "after the second iteration, ours with logging and checkpoints, "
        + ("with evaluations." if evaluate else "without evaluations, as the peer."),
        "",
        *_table(
            ["", "environment", "collection", "update", "whole training", "min – max", "× peer", "min – max"],
            [_row(name, group, parts.get(name), trainings.get(PEER)) for name, group in trainings.items()],
        ),
    ]
    if parts:
        heading = ["ms per 1,000 env steps", "environment", "policy", "update", "rest", "whole"]
        rows = [_shares(name, trainings[name], group) for name, group in parts.items()]
        lines += ["", *_table(heading, rows)]
        lines += ["policy: acting and storing; rest: metrics, logs, checkpoints, noise between measurements."]
    return "\n".join([*lines, "", *_conditions(trainings)])


def write_json(path: Path, measurements: list[Measurement], command: str) -> None:
    """Writes everything measured."""
    path.write_text(json.dumps({"command": command, "measurements": measurements}, indent=2) + "\n")


def write_csv(path: Path, measurements: list[Measurement]) -> None:
    """Writes a row a measurement."""
    columns = [
        "date",
        "repeat",
        "name",
        "kind",
        "load_average",
        "others_cores",
        "measured_env_steps",
        *_SPEEDS,
    ]
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(measurements)


def _speeds(measurement: Measurement) -> list[str]:
    return [name for name in _SPEEDS if name in measurement]


def _by_name(measurements: Iterable[Measurement]) -> dict[str, list[Measurement]]:
    groups: dict[str, list[Measurement]] = {}
    for measurement in measurements:
        groups.setdefault(measurement["name"], []).append(measurement)
    return groups


def _median(group: list[Measurement], speed: str = "env_steps_per_s") -> float:
    return statistics.median(measurement[speed] for measurement in group)


def _row(
    name: str, group: list[Measurement], parts: list[Measurement] | None, peer: list[Measurement] | None
) -> list[str]:
    if name == PEER:
        # It shares its whole time between two parts; its environments are not timed alone.
        cells = ["", f"{_median(group, 'collection_env_steps_per_s'):,.0f}", ""]
    else:
        cells = [f"{_median(parts, part):,.0f}" if parts else "" for part in _PARTS]
    speeds = [measurement["env_steps_per_s"] for measurement in group]
    cells += [f"{statistics.median(speeds):,.0f}", _range(speeds, 0)]
    if peer and name != PEER:
        # Of neighbours in time: what the ratio of medians is worth.
        ratios = [ours / theirs["env_steps_per_s"] for ours, theirs in zip(speeds, peer, strict=True)]
        return [name, *cells, f"{_median(group) / _median(peer):.2f}", _range(ratios, 2)]
    return [name, *cells, "", ""]


def _range(values: list[float], digits: int) -> str:
    return f"{min(values):,.{digits}f} – {max(values):,.{digits}f}"


def _shares(name: str, trainings: list[Measurement], parts: list[Measurement]) -> list[str]:
    """Returns the milliseconds that 1,000 env steps spend in each part."""
    environment, collection, update = (1e6 / _median(parts, part) for part in _PARTS)
    whole = 1e6 / _median(trainings)
    shares = [environment, collection - environment, update, whole - collection - update]
    return [name, *(f"{share:.1f} ({share / whole:.0%})" for share in shares), f"{whole:.1f}"]


def _conditions(trainings: dict[str, list[Measurement]]) -> list[str]:
    every = [measurement for group in trainings.values() for measurement in group]
    loads = [measurement["load_average"] for measurement in every]
    dates = sorted(measurement["date"] for measurement in every)
    others = [measurement["others_cores"] for measurement in every]
    lines = [
        f"{dates[0]} to {dates[-1]}; load average before each training {_range(loads, 2)}; "
        f"other processes used {_range(others, 2)} cores during them"
    ]
    if max(others) > _QUIET:
        lines.append("NOTE: the machine was not quiet; measure again before quoting these numbers.")
    ours = next((group[0]["record"] for name, group in trainings.items() if name != PEER), None)
    if ours:
        lines.append(f"machine: {ours['machine']['cpu']}, {ours['threads']['available']} cores")
        lines.append(f"ours: {_listed(ours['versions'])}; threads {_listed(ours['threads'])}")
    for peer in trainings.get(PEER, [])[:1]:
        lines.append(f"peer: {_listed(peer['versions'])}; torch threads {peer['torch_threads']}")
        lines.append(f"peer's settings: {_listed(peer['settings'])}")
        for package in _COMPARED:
            if ours and peer["versions"].get(package) != ours["versions"].get(package):
                lines.append(f"NOTE: {package} is not the same version in both.")
    return lines


def _listed(values: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items() if value is not None)


def _table(heading: list[str], rows: list[list[str]]) -> list[str]:
    """Returns a Markdown table with aligned columns."""
    every = [heading, *rows]
    widths = [max(len(row[column]) for row in every) for column in range(len(heading))]

    def line(row: list[str]) -> str:
        first, *others = (
            cell.ljust(width) if not i else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        return f"| {' | '.join([first, *others])} |"

    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return [line(heading), line(rule), *map(line, rows)]
