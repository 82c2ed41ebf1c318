"""A report on finished runs: pictures, tables and a page that holds them."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from expol_tf.errors import ConfigurationError, RunDirectoryError
from expol_tf.reports import aggregate_plots, comparison, curve_plots, tables
from expol_tf.reports.curve_plots import Key
from expol_tf.reports.curves import WINDOW
from expol_tf.reports.page import page_text
from expol_tf.reports.peer_curves import read_peer_curves
from expol_tf.reports.runs import find_runs
from expol_tf.reports.study import Study, arrange, short_name
from expol_tf.reports.style import Palette


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


def write_report(
    root_dirs: Sequence[str | os.PathLike[str]],
    output_dir: str | os.PathLike[str],
    *,
    repetitions: int = 2000,
    settings: str = "auto",
    min_env_steps: int = 0,
    seed: int = 0,
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
      seed: Of the resamples.
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
    found = find_runs(root_dirs)
    peers = [run for path in peer_csvs for run in read_peer_curves(path)]
    study = arrange([*found.runs, *peers], settings, min_env_steps)
    rng = np.random.default_rng(seed)
    ends = comparison.finals(study)
    bands = {
        "training": comparison.training_bands(study, repetitions, rng),
        "evaluation": comparison.evaluation_bands(study, repetitions, rng),
    }
    aggregates = comparison.aggregates(study, ends, repetitions, seed)
    palette = Palette(study.experiments)
    # Not before there is something to write: an error leaves an older report as it is.
    output = _Output(Path(output_dir))
    returns = {key: [end.training for end in group] for key, group in ends.items()}

    output.draw(
        "learning_curves.png", curve_plots.draw_curves, bands["training"], palette,
        f"return of the last {WINDOW} episodes",
    )  # fmt: skip
    if bands["evaluation"]:
        output.draw(
            "evaluation_curves.png", curve_plots.draw_curves, bands["evaluation"], palette,
            "return of greedy evaluations",
        )  # fmt: skip
    output.draw("aggregates.png", aggregate_plots.draw_metrics, aggregates.metrics, palette)
    if aggregates.improvements:
        output.draw("improvement.png", aggregate_plots.draw_improvements, aggregates.improvements, palette)
    output.draw(
        "profiles.png", aggregate_plots.draw_profiles, aggregates.thresholds, aggregates.profiles, palette
    )
    if len(aggregates.env_step) > 1:
        output.draw(
            "sample_efficiency.png", aggregate_plots.draw_efficiency, aggregates.env_step,
            aggregates.efficiency, palette,
        )  # fmt: skip
    output.draw("quantiles.png", curve_plots.draw_quantiles, returns, palette)
    drawn = _drawn_parameters(study, returns)
    if drawn:
        output.draw("sensitivity.png", curve_plots.draw_sensitivity, drawn, palette)
    output.write("results.csv", tables.results_csv(study, ends))
    output.write("curves.csv", tables.curves_csv(study, bands))
    output.write("bands.csv", tables.bands_csv(bands))
    output.write("aggregates.csv", tables.aggregates_csv(aggregates))

    notes = (*(f"Without a directory: {line}" for line in found.lost), *study.notes, *aggregates.notes)
    notes = (*notes, *_remarks(study, ends, bands["evaluation"]))
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
        try:
            directory.mkdir(parents=True, exist_ok=True)
            for name in self._PICTURES:
                (directory / f"{name}.png").unlink(missing_ok=True)
        except OSError as error:
            raise self._cannot_write(error) from error

    @property
    def names(self) -> set[str]:
        return {path.name for path in self.files}

    def draw(self, name: str, function: Callable[..., None], *arguments: object) -> None:
        function(*arguments, self._directory / name)
        self.files.append(self._directory / name)

    def write(self, name: str, text: str) -> Path:
        path = self._directory / name
        try:
            path.write_text(text, encoding="utf-8")
        except OSError as error:
            raise self._cannot_write(error) from error
        self.files.append(path)
        return path

    def _cannot_write(self, error: OSError) -> RunDirectoryError:
        return RunDirectoryError(
            f"cannot write in --output_dir {self._directory}: {error.strerror or error}. Free space, make it "
            "writable, or give another directory."
        )


def _drawn_parameters(
    study: Study, returns: Mapping[Key, Sequence[float]]
) -> dict[Key, tuple[dict[str, list[str]], Sequence[float]]]:
    """The draws' parameters, named shortly where that is clear."""
    names = list(dict.fromkeys(name for each in study.parameters.values() for name in each))
    short = {name: short_name(name) for name in names}
    if len(set(short.values())) < len(names):
        short = {name: name for name in names}
    drawn = {}
    for key, group in study.groups.items():
        if key[1] in study.parameters:
            values = {
                short[name]: [member.parameters[name] for member in group]
                for name in study.parameters[key[1]]
                if all(name in member.parameters for member in group)
            }
            if values:
                drawn[key] = (values, returns[key])
    return drawn


def _remarks(
    study: Study, ends: Mapping[Key, Sequence[comparison.Final]], evaluated: Mapping[Key, object]
) -> list[str]:
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
    single = [
        f"{experiment} on {task}" for (task, experiment), group in study.groups.items() if len(group) < 2
    ]
    if single:
        notes.append(f"A single run, so no spread: {', '.join(single)}.")
    without = [
        f"{experiment} on {task}" for task, experiment in study.groups if (task, experiment) not in evaluated
    ]
    if without:
        notes.append(f"Runs without evaluations, so no evaluation curve: {', '.join(without)}.")
    sampled = {
        experiment
        for (_, experiment), group in study.groups.items()
        if any(member.run.values.get("Evaluator.deterministic") == "False" for member in group)
    }
    if sampled:
        notes.append(f"Evaluated with sampled instead of greedy actions: {', '.join(sorted(sampled))}.")
    return notes
