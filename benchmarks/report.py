"""The throughput benchmark's tables: medians, where the time goes, the ratios to peers, the conditions."""

from __future__ import annotations

import csv
import json
import statistics
from collections.abc import Iterable
from pathlib import Path
from typing import Any

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
    trainings, parts, peers = (_of_kind(measurements, kind) for kind in ("training", "parts", "peer"))
    whole = {**trainings, **peers}
    repeats = max(len(group) for group in whole.values())
    steps = min(group[0]["measured_env_steps"] for group in whole.values())
    heading = ["", *_PARTS, "whole training", "min – max", "CPU ms"]
    heading += [cell for group in peers.values() for cell in (f"× {group[0]['title']}", "min – max")]
    lines = [
        f"{task}: env steps/s, medians of {repeats} repeats; whole trainings of {steps:,} env steps or more",
        f"after {_warm_up(trainings)}, ours with logging and checkpoints, "
        + ("with evaluations." if evaluate else "without evaluations, as the peers."),
        "",
        *table(
            heading,
            [_row(name, group, parts.get(name), peers) for name, group in trainings.items()]
            + [_peer_row(group, len(peers)) for group in peers.values()],
        ),
    ]
    if parts:
        heading = ["ms per 1,000 env steps", "environment", "policy", "update", "rest", "whole"]
        rows = [_shares(name, trainings[name], group) for name, group in parts.items()]
        lines += ["", *table(heading, rows)]
        lines += ["policy: acting and storing; rest: metrics, logs, checkpoints, noise between measurements."]
    lines += ["", "CPU ms: processor time an env step of whole trainings, which others disturb less."]
    return "\n".join([*lines, "", *_conditions(trainings, peers)])


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
        "cpu_ms_per_env_step",
        *_SPEEDS,
    ]
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(measurements)


def _speeds(measurement: Measurement) -> list[str]:
    return [name for name in _SPEEDS if name in measurement]


def _of_kind(measurements: Iterable[Measurement], kind: str) -> dict[str, list[Measurement]]:
    """Returns the measurements of a kind by their names, in their order in time."""
    groups: dict[str, list[Measurement]] = {}
    for measurement in measurements:
        if measurement["kind"] == kind:
            groups.setdefault(measurement["name"], []).append(measurement)
    return groups


def _median(group: list[Measurement], speed: str = "env_steps_per_s") -> float:
    return statistics.median(measurement[speed] for measurement in group)


def _warm_up(trainings: dict[str, list[Measurement]]) -> str:
    """Returns in words what is not measured."""
    random_steps = {group[0]["warm_up_steps"] for group in trainings.values() if group[0]["off_policy"]}
    words = [f"{steps:,} random actions and the first updates" for steps in random_steps]
    if any(not group[0]["off_policy"] for group in trainings.values()):
        words.append("the second iteration")
    return " or ".join(words)


def _row(
    name: str,
    group: list[Measurement],
    parts: list[Measurement] | None,
    peers: dict[str, list[Measurement]],
) -> list[str]:
    cells = [name, *(f"{_median(parts, part):,.0f}" if parts else "" for part in _PARTS), *_whole(group)]
    for peer in peers.values():
        # Of neighbours in time: what the ratio of medians is worth.
        ratios = [
            ours["env_steps_per_s"] / theirs["env_steps_per_s"]
            for ours, theirs in zip(group, peer, strict=True)
        ]
        cells += [f"{_median(group) / _median(peer):.2f}", spread(ratios, 2)]
    return cells


def _peer_row(group: list[Measurement], num_peers: int) -> list[str]:
    # A peer shares its whole time between two parts; its environments are not timed alone.
    collection = f"{_median(group, 'collection_env_steps_per_s'):,.0f}"
    return [group[0]["title"], "", collection, "", *_whole(group), *[""] * (2 * num_peers)]


def _whole(group: list[Measurement]) -> list[str]:
    speeds = [measurement["env_steps_per_s"] for measurement in group]
    return [f"{statistics.median(speeds):,.0f}", spread(speeds, 0), _cpu(group)]


def _cpu(group: list[Measurement]) -> str:
    """Returns the processor time of an env step as a cell."""
    return f"{_median(group, 'cpu_ms_per_env_step'):.3g}"


def spread(values: list[float], digits: int) -> str:
    """Returns the least and the greatest value as a cell."""
    return f"{min(values):,.{digits}f} – {max(values):,.{digits}f}"


def _shares(name: str, trainings: list[Measurement], parts: list[Measurement]) -> list[str]:
    """Returns the milliseconds that 1,000 env steps spend in each part."""
    environment, collection, update = (1e6 / _median(parts, part) for part in _PARTS)
    whole = 1e6 / _median(trainings)
    shares = [environment, collection - environment, update, whole - collection - update]
    return [name, *(f"{share:.1f} ({share / whole:.0%})" for share in shares), f"{whole:.1f}"]


def _conditions(trainings: dict[str, list[Measurement]], peers: dict[str, list[Measurement]]) -> list[str]:
    every = [measurement for group in (*trainings.values(), *peers.values()) for measurement in group]
    loads = [measurement["load_average"] for measurement in every]
    dates = sorted(measurement["date"] for measurement in every)
    others = [measurement["others_cores"] for measurement in every]
    lines = [
        f"{dates[0]} to {dates[-1]}; load average before each training {spread(loads, 2)}; "
        f"other processes used {spread(others, 2)} cores during them",
        *quietness(others),
    ]
    ours = next(iter(trainings.values()))[0]["record"]
    lines += machine(ours)
    for peer, *_ in peers.values():
        lines.append(f"{peer['title']}: {_listed(peer['versions'])}; torch threads {peer['torch_threads']}")
        lines.append(f"{peer['title']}'s settings: {_listed(peer['settings'])}")
        lines += [
            f"NOTE: {package} is not the same version in ours and {peer['title']}."
            for package in _COMPARED
            if peer["versions"].get(package) != ours["versions"].get(package)
        ]
    # What an iteration is, is ours to set; the rest of each side's settings are its defaults.
    sizes = {
        group[0]["iteration_steps"]
        for group in (*trainings.values(), *peers.values())
        if not group[0]["off_policy"]
    }
    if len(sizes) > 1:
        lines.append(f"NOTE: iterations have {' or '.join(map(str, sorted(sizes)))} env steps.")
    return lines


def quietness(others_cores: list[float]) -> list[str]:
    """Returns a note if other processes disturbed a measurement."""
    if max(others_cores) <= _QUIET:
        return []
    return ["NOTE: the machine was not quiet; measure again before quoting these numbers."]


def machine(record: Measurement) -> list[str]:
    """Returns the lines of a run's record that say where it ran."""
    return [
        f"machine: {record['machine']['cpu']}, {record['threads']['available']} cores",
        f"ours: {_listed(record['versions'])}; threads {_listed(record['threads'])}",
    ]


def _listed(values: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items() if value is not None)


def table(heading: list[str], rows: list[list[str]]) -> list[str]:
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
