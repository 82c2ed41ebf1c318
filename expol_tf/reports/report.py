"""A report on finished runs: pictures, tables and a page that holds them."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from expol_tf.checked import checked
from expol_tf.cli import home_path
from expol_tf.errors import ConfigurationError
from expol_tf.number_types import SeedNumber, WholeSteps
from expol_tf.reports import aggregate_plots, comparison, curve_plots, tables
from expol_tf.reports.curve_plots import Draws, Key
from expol_tf.reports.curves import WINDOW
from expol_tf.reports.output import printable, write_errors
from expol_tf.reports.page import page_text
from expol_tf.reports.peer_curves import read_peer_curves
from expol_tf.reports.runs import find_runs
from expol_tf.reports.study import Study, arrange, short_name
from expol_tf.reports.style import Palette, save


@dataclasses.dataclass(frozen=True)
class Report:
    """What was written.

    Attributes:
      page: The Markdown page.
      table: Its table of final returns.
      notes: Its remarks: what is unfinished, failed or left out, and what was done about different lengths.
      files: Everything written.
    """

    page: Path
    table: str
    notes: tuple[str, ...]
    files: tuple[Path, ...]


@checked
def write_report(
    root_dirs: Sequence[str | os.PathLike[str]],
    output_dir: str | os.PathLike[str],
    *,
    repetitions: int = 2000,
    settings: str = "auto",
    min_env_steps: WholeSteps = 0,
    seed: SeedNumber = 0,
    command: str = "",
    peer_csvs: Sequence[str | os.PathLike[str]] = (),
) -> Report:
    """Writes `report.md`, the pictures it shows and the CSV files behind them.

    Args:
      root_dirs: Directories with runs, at any depth.
      output_dir: Where the report goes; made if missing. Files of an older report are replaced.
      repetitions: Bootstrap resamples of every interval.
      settings: Whether runs of an experiment with different settings are experiments of their own
        ("separate"), draws of one ("together"), or the former if most settings have several seeds ("auto").
      min_env_steps: Shorter runs are left out, and named.
      seed: Seeds the resamples.
      command: Shown on the page.
      peer_csvs: Tables of other libraries' training episodes, which are shown beside the runs as experiments;
        see `read_peer_curves`.

    Raises:
      RunDirectoryError: A directory holds no runs, a run cannot be read, or the report cannot be written.
      ConfigurationError: The runs cannot be compared: no task in common, a seed twice, nothing to report.
    """
    if not root_dirs:
        raise ConfigurationError("--root_dir must name a directory with runs; got none.")
    if repetitions < 1:
        raise ConfigurationError(f"--repetitions must be positive; got {repetitions}.")
    given = find_runs(root_dirs)
    peers = [run for path in peer_csvs for run in read_peer_curves(path)]
    study = arrange([*given.runs, *peers], settings, min_env_steps)
    rng = np.random.default_rng(seed)
    ends = comparison.finals(study)
    bands = {
        "training": comparison.training_bands(study, repetitions, rng),
        "evaluation": comparison.evaluation_bands(study, repetitions, rng),
    }
    aggregates = comparison.aggregates(study, ends, repetitions, seed)
    palette = Palette(study.experiments)
    # Not before there is something to write: an error leaves an older report as it is.
    output = _Output(home_path(output_dir))
    returns = {key: [end.training for end in group] for key, group in ends.items()}

    smoothed = f"return of the last {WINDOW} episodes"
    output.draw("learning_curves", curve_plots.draw_curves(bands["training"], palette, smoothed))
    if bands["evaluation"]:
        drawn = curve_plots.draw_curves(bands["evaluation"], palette, "return of greedy evaluations")
        output.draw("evaluation_curves", drawn)
    output.draw("aggregates", aggregate_plots.draw_metrics(aggregates.metrics, palette))
    if aggregates.improvements:
        output.draw("improvement", aggregate_plots.draw_improvements(aggregates.improvements, palette))
    output.draw("profiles", aggregate_plots.draw_profiles(aggregates.profiles, palette))
    if len(aggregates.efficiency.x) > 1:
        output.draw("sample_efficiency", aggregate_plots.draw_efficiency(aggregates.efficiency, palette))
    output.draw("quantiles", curve_plots.draw_quantiles(returns, palette))
    if draws := _draws(study, returns):
        output.draw("sensitivity", curve_plots.draw_sensitivity(draws, palette))
    output.write("results.csv", tables.results_csv(study, ends))
    output.write("curves.csv", tables.curves_csv(study, bands))
    output.write("bands.csv", tables.bands_csv(bands))
    output.write("aggregates.csv", tables.aggregates_csv(aggregates))

    notes = (*(f"Without a directory: {line}" for line in given.lost), *study.notes, *aggregates.notes)
    notes = (*notes, *_remarks(study, ends, bands["evaluation"]))
    notes = tuple(map(printable, notes))
    table = tables.final_table(study, ends)
    page = output.write(
        "report.md", page_text(study, aggregates, table, notes, output.names, repetitions, command)
    )
    return Report(page, table, notes, tuple(output.files))


class _Output:
    """The report's directory, and what went into it; pictures of an older report are removed."""

    _PICTURES = (
        "learning_curves", "evaluation_curves", "aggregates", "improvement", "profiles", "sample_efficiency",
        "quantiles", "sensitivity",
    )  # fmt: skip

    def __init__(self, directory: Path):
        self._directory = directory
        self.files: list[Path] = []
        with self._errors():
            directory.mkdir(parents=True, exist_ok=True)
            for name in self._PICTURES:
                (directory / f"{name}.png").unlink(missing_ok=True)

    @property
    def names(self) -> set[str]:
        return {path.name for path in self.files}

    def draw(self, name: str, figure: Figure) -> None:
        save(figure, self._directory / f"{name}.png")
        self.files.append(self._directory / f"{name}.png")

    def write(self, name: str, text: str) -> Path:
        path = self._directory / name
        with self._errors():
            # A directory's name need be no UTF-8. Python has its other bytes as surrogates, and no file takes
            # them.
            path.write_bytes(text.encode("utf-8", "replace"))
        self.files.append(path)
        return path

    def _errors(self) -> contextlib.AbstractContextManager[None]:
        remedy = "Free space, make it writable, or give another directory."
        return write_errors(f"cannot write in --output_dir {self._directory}", remedy)


def _draws(study: Study, returns: Mapping[Key, Sequence[float]]) -> dict[Key, Draws]:
    """The draws' parameters, named shortly where that is clear, and their final returns."""
    names = list(dict.fromkeys(name for differing in study.parameters.values() for name in differing))
    short = {name: short_name(name) for name in names}
    if len(set(short.values())) < len(names):
        short = {name: name for name in names}
    draws: dict[Key, Draws] = {}
    for key, group in study.groups.items():
        values = {
            short[name]: [member.parameters[name] for member in group]
            for name in study.parameters.get(key[1], ())
            if all(name in member.parameters for member in group)
        }
        if values:
            draws[key] = (values, returns[key])
    return draws


def _remarks(
    study: Study, ends: Mapping[Key, Sequence[comparison.Final]], evaluated: Mapping[Key, object]
) -> list[str]:
    def named(keys: Iterable[Key]) -> str:
        return ", ".join(f"{experiment} on {task}" for task, experiment in keys)

    notes = []
    few = [
        f"{experiment} on {task}, seed {member.run.seed} ({end.episodes})"
        for (task, experiment), group in study.groups.items()
        for member, end in zip(group, ends[task, experiment], strict=True)
        if end.episodes < WINDOW
    ]
    if few:
        shown_few = "; ".join(few[:10]) + (f"; and {len(few) - 10} more" if len(few) > 10 else "")
        notes.append(f"Final returns over fewer than {WINDOW} episodes, as no more had ended: {shown_few}.")
    if single := [key for key, group in study.groups.items() if len(group) < 2]:
        notes.append(f"A single run, so no spread: {named(single)}.")
    if without := [key for key in study.groups if key not in evaluated]:
        notes.append(f"Runs without evaluations, so no evaluation curve: {named(without)}.")
    sampled = {
        experiment
        for (_, experiment), group in study.groups.items()
        if any(member.run.record.values.get("Evaluator.deterministic") == "False" for member in group)
    }
    if sampled:
        notes.append(f"Evaluated with sampled instead of greedy actions: {', '.join(sorted(sampled))}.")
    return notes
