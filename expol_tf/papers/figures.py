"""The papers' small experiments as figures: numbers, a CSV file and pictures each."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from expol_tf.cli import did_you_mean
from expol_tf.errors import ConfigurationError, RunDirectoryError
from expol_tf.papers.progress import FigureProgress
from expol_tf.reports import save

if TYPE_CHECKING:
    from expol_tf.papers.bandits.bandits import TrainedPolicy
    from expol_tf.papers.kl_ball.kl_ball import Found


class Figure(NamedTuple):
    """What `make_figure` wrote: a table of the numbers over all seeds, as text, and the files."""

    table: str
    files: tuple[Path, ...]


class RunOptions(NamedTuple):
    """How the runs of a figure are looked at.

    Attributes:
      temperature: α of the optimum beside them; by default that of each run's last row.
      discount: γ of the optimum; by default that of each run's configuration.
      obstacle: Whether they are tested with the wall.
    """

    temperature: float | None = None
    discount: float | None = None
    obstacle: bool = False


class _Kind(NamedTuple):
    make: Callable[[str, Path, int, int, int], Figure]
    num_seeds: int
    iterations: int
    summary: str


class _RunKind(NamedTuple):
    make: Callable[[str, Path, Sequence[str | os.PathLike[str]], int, RunOptions], Figure]
    summary: str


def make_figure(
    name: str,
    output_dir: str | os.PathLike[str] | None = None,
    *,
    num_seeds: int | None = None,
    seed: int = 0,
    iterations: int | None = None,
    root_dirs: Sequence[str | os.PathLike[str]] = (),
    run_options: RunOptions | None = None,
) -> Figure:
    """Runs an experiment, or looks at trained runs, and writes `<name>.csv` and `<name>.png`.

    Args:
      name: One of `FIGURES`.
      output_dir: Where the files go; made if it is not there. By default, for a figure of one directory of
        runs, `figures` inside of it.
      num_seeds: Seeds of every trained, descended or sampled density; by default the figure's own number.
      seed: The first of them, or that of the test episodes.
      iterations: Length of each training, the longest descent or a sampler's way in steps, or the episodes of
        each optimum; by default the figure's own.
      root_dirs: Directories of runs, at any depth, for a figure of runs.
      run_options: How these are looked at.

    Raises:
      ConfigurationError: If there is no such figure (names the nearest), or an argument is not for it.
      RunDirectoryError: If the directory cannot be written, or there are no runs.
    """
    if name not in FIGURES:
        hint = did_you_mean(str(name), FIGURES)
        raise ConfigurationError(f"figure must be one of {', '.join(FIGURES)}; got {name!r}.{hint}")
    for argument, value in (("num_seeds", num_seeds), ("iterations", iterations)):
        if value is not None and value < 1:
            raise ConfigurationError(f"{argument} must be 1 or more; got {value}.")
    if seed < 0:
        raise ConfigurationError(f"seed must be 0 or more; got {seed}.")
    if name in _RUN_KINDS:
        if num_seeds is not None or iterations is not None:
            raise ConfigurationError(f"num_seeds and iterations are not for {name}, which trains nothing.")
        directory = _run_figure_directory(output_dir, root_dirs)
        return _RUN_KINDS[name].make(name, directory, root_dirs, seed, run_options or RunOptions())
    if root_dirs or (run_options or RunOptions()) != RunOptions():
        what = f"--root_dir ({root_dirs[0]})" if root_dirs else "an option"
        raise ConfigurationError(
            f"--root_dir is for figures of runs, and {name} trains by itself; got {what}. Leave it out."
        )
    if output_dir is None:
        raise ConfigurationError("--output_dir must name the directory for the figure; got none.")
    directory, kind = Path(output_dir), _KINDS[name]
    _ensure_writable(directory)
    return kind.make(name, directory, num_seeds or kind.num_seeds, seed, iterations or kind.iterations)


def summaries() -> str:
    """Returns a line for every figure: its name and what it shows."""
    lines = {name: kind.summary for name, kind in _KINDS.items()}
    lines |= {name: kind.summary for name, kind in _RUN_KINDS.items()}
    return "\n".join(f"  {name:<16} {summary}" for name, summary in lines.items())


def _bandit(name: str, directory: Path, num_seeds: int, seed: int, iterations: int) -> Figure:
    from expol_tf.papers import drawings as figure_drawings
    from expol_tf.papers.bandits import bandits

    bandit = bandits.BANDITS[name]
    progress = FigureProgress(name, num_seeds * len(bandits.POLICIES))
    trained: list[TrainedPolicy] = []
    for each in bandits.train_all(bandit, num_seeds, seed, iterations):
        trained.append(each)
        progress.part(f"{each.policy}, seed {each.seed}: KL to the optimum {each.numbers.kl_to_target:.3f}")
    best = bandits.optimum(bandit)
    rows = [["optimum", "", *best], *([each.policy, each.seed, *each.numbers] for each in trained)]
    path = directory / f"{name}.csv"
    _write_csv(path, ["policy", "seed", *best._fields], rows)

    of_policy = {policy: [each for each in trained if each.policy == policy] for policy in bandits.POLICIES}
    table = [["", *_BANDIT_COLUMNS.values()]]
    table.append(["optimum", *(f"{getattr(best, field):.3f}" for field in _BANDIT_COLUMNS)])
    titles = {}
    for policy, group in of_policy.items():
        cells = [
            _mean_and_range([getattr(each.numbers, field) for each in group]) for field in _BANDIT_COLUMNS
        ]
        table.append([policy, *cells])
        kls = [each.numbers.kl_to_target for each in group]
        about = (
            f"correlation {_rounded([each.numbers.correlation for each in group], 2)}"
            if name == "gaussian_bandit"
            else f"left half {np.mean([each.numbers.left_mass for each in group]):.0%}"
        )
        titles[policy] = f"{about}, KL {np.mean(kls):.3f}"
    nodes, grid = bandits.picture_grid()
    picture = figure_drawings.density_panels(
        {policy: group[0].log_prob for policy, group in of_policy.items()},
        titles,
        nodes,
        bandit.target_log_prob(grid),
        f"shaded: the density of seed {seed}; lines: regions of the optimum that hold 25, 50, 75 and 95 %; "
        f"numbers: means over {num_seeds} seed{'' if num_seeds == 1 else 's'}, KL to the optimum",
    )
    save(picture, directory / f"{name}.png")
    return Figure(_markdown(table), (path, directory / f"{name}.png"))


def _kl_ball(name: str, directory: Path, num_seeds: int, seed: int, iterations: int) -> Figure:
    from expol_tf.papers import drawings as figure_drawings
    from expol_tf.papers.kl_ball import kl_ball

    constraints = [f"KL = {kl_ball.KL_RADIUS:g}", *(f"H = {entropy:g}" for entropy in kl_ball.ENTROPIES)]
    progress = FigureProgress(name, num_seeds * len(kl_ball.FAMILIES) * len(constraints))
    found: list[Found] = []
    pictured: dict[str, dict[str, Any]] = {family: {} for family in kl_ball.FAMILIES}
    for each, picture in kl_ball.descend_all(num_seeds, seed, iterations):
        found.append(each)
        pictured[each.policy].setdefault(each.constraint, picture)
        progress.part(f"{each.policy}, {each.constraint}, seed {each.seed}: {each.steps} steps")
    path = directory / f"{name}.csv"
    _write_csv(path, list(found[0]._fields), found)

    table = [["constraint", "family", "met", *_BALL_COLUMNS.values()]]
    titles = {}
    for constraint in constraints:
        for family in kl_ball.FAMILIES:
            group = [each for each in found if (each.constraint, each.policy) == (constraint, family)]
            cells = [_median_and_range([getattr(each, field) for each in group]) for field in _BALL_COLUMNS]
            met = f"{sum(each.reached for each in group)} of {len(group)}"
            table.append([constraint, family, met, *cells])
            titles[constraint, family] = (
                f"trace {group[0].covariance_trace:.3g}, 99 % within {group[0].radius_99:.2f}"
            )
    nodes, _ = kl_ball.picture_grid()
    samples = kl_ball.source_samples(seed)
    drawn = figure_drawings.ball_panels(nodes, samples, pictured["Gaussian"], pictured["flow"], titles)
    save(drawn, directory / f"{name}.png")
    return Figure(_markdown(table), (path, directory / f"{name}.png"))


def _entropy(name: str, directory: Path, num_seeds: int, seed: int, iterations: int) -> Figure:
    from expol_tf.papers.entropy import drawings as entropy_drawings
    from expol_tf.papers.entropy import evaluation as entropy_evaluation

    progress = FigureProgress(name, entropy_evaluation.num_evaluations())
    found = []
    for each in entropy_evaluation.evaluate_all(num_seeds, seed, iterations):
        found.append(each)
        line = each.estimate
        progress.part(f"{line.part}, {line.sampler}, {line.density}: {line.entropy_mean:.3f}")
    path = directory / f"{name}.csv"
    _write_csv(path, list(found[0].estimate._fields), [each.estimate for each in found])
    pictures = directory / f"{name}.png", directory / f"{name}_kernel.png"
    save(entropy_drawings.entropy_panels(found, seed), pictures[0])
    save(entropy_drawings.kernel_panels(found, seed), pictures[1])
    table = [["part", "sampler", "density", "σ", "L", "M", "entropy", "true", "particles' Gaussian"]]
    for line in (each.estimate for each in found if each.estimate.part not in ("components", "variance")):
        entropy = f"{line.entropy_mean:.3f} ({line.entropy_min:.3f} … {line.entropy_max:.3f})"
        sizes = [str(line.sigma), str(line.num_steps), str(line.num_particles)]
        ends = [f"{line.true_entropy:.3f}", f"{line.particles_entropy:.3f}"]
        table.append([line.part, line.sampler, line.density, *sizes, entropy, *ends])
    return Figure(_markdown(table), (path, *pictures))


def _multigoal_optima(name: str, directory: Path, num_seeds: int, seed: int, iterations: int) -> Figure:
    from expol_tf.papers.multi_goal import drawings as multi_goal_drawings
    from expol_tf.papers.multi_goal import optima as multi_goal_optima

    total = num_seeds * sum(len(world.temperatures) for world in multi_goal_optima.WORLDS)
    progress = FigureProgress(name, total)
    found = []
    for world, each in multi_goal_optima.optima(num_seeds, seed, iterations):
        found.append((world, each))
        row = each.row
        progress.part(f"{world.name}, α = {row['temperature']:g}: a goal in {row['any_goal']:.0%}")
    path = directory / f"{name}.csv"
    # The task with the most goals has all columns.
    heading = max((list(each.row) for _, each in found), key=len)
    _write_csv(path, heading, [[each.row.get(column, "") for column in heading] for _, each in found])
    first = [(world, each) for world, each in found if each.row["seed"] == seed]
    save(multi_goal_drawings.optima_picture(first), directory / f"{name}.png")
    table = [["task", "α", "goals %", *_OPTIMA_COLUMNS.values()]]
    for world, each in found:
        shares = "/".join(f"{100 * each.row[f'goal_{i}']:.1f}" for i in range(len(world.task.goals)))
        cells = [f"{each.row[column]:.3g}" for column in _OPTIMA_COLUMNS]
        table.append([world.name, f"{each.row['temperature']:g}", shares, *cells])
    return Figure(_markdown(table), (path, directory / f"{name}.png"))


def _multigoal(
    name: str,
    directory: Path,
    root_dirs: Sequence[str | os.PathLike[str]],
    seed: int,
    options: RunOptions,
) -> Figure:
    from expol_tf.papers.multi_goal import drawings as multi_goal_drawings
    from expol_tf.papers.multi_goal import examination as multi_goal
    from expol_tf.papers.multi_goal import table as multi_goal_table
    from expol_tf.papers.multi_goal import trends as multi_goal_trends
    from expol_tf.reports import find_runs

    runs = [multi_goal.goal_run(run, *options) for run in find_runs(root_dirs).runs]
    _ensure_writable(directory)
    progress = FigureProgress(name, len(runs))
    best: dict[Any, multi_goal.Best] = {}
    examined, files = [], []
    for index, run in enumerate(runs):
        # Runs of the same world and temperature share their optimum.
        world = (run.run.task, run.run.values.get("train.make_kwargs"), run.temperature, run.discount)
        if world not in best:
            best[world] = multi_goal.best_of(run, seed)
        each = multi_goal.examine(run, best[world], seed)
        examined.append(each)
        suffix = f"_{index + 1}_{re.sub(r'[^0-9A-Za-z]+', '_', run.name)}" if len(runs) > 1 else ""
        files.append(directory / f"{name}{suffix}.png")
        save(multi_goal_drawings.run_picture(each), files[-1])
        numbers = each.learned.numbers
        progress.part(f"{run.name}: return {numbers.return_mean:.1f}, a goal in {numbers.any_goal:.0%}")
    if len(runs) > 1:
        files.insert(0, directory / f"{name}.png")
        save(multi_goal_drawings.overview(examined), files[0])
        if multi_goal_trends.comparable(examined):
            files.insert(1, directory / f"{name}_trends.png")
            save(multi_goal_trends.trends(examined), files[1])
    path = directory / f"{name}.csv"
    _write_csv(path, *multi_goal_table.csv_rows(examined))
    return Figure(_markdown(multi_goal_table.text_table(examined)), (path, *files))


def _run_figure_directory(
    output_dir: str | os.PathLike[str] | None, root_dirs: Sequence[str | os.PathLike[str]]
) -> Path:
    if not root_dirs:
        raise ConfigurationError("--root_dir must name a directory with runs; got none.")
    if output_dir is not None:
        return Path(output_dir)
    if len(root_dirs) > 1:
        raise ConfigurationError(
            f"--output_dir must name the directory for a figure of {len(root_dirs)} --root_dir; got none."
        )
    return Path(root_dirs[0]) / "figures"


_BANDIT_COLUMNS = {
    "correlation": "correlation",
    "std_1": "std a₁",
    "std_2": "std a₂",
    "left_mass": "mass a₁ < 0",
    "kl_to_target": "KL[π ‖ π*]",
    "kl_from_target": "KL[π* ‖ π]",
    "expected_reward": "E[r]",
    "entropy": "H[π]",
}
_BALL_COLUMNS = {
    "kl_source_samples": "KL, own samples",
    "kl_fresh_samples": "KL, fresh samples",
    "entropy": "H[π]",
    "covariance_trace": "trace of covariance",
    "radius_99": "99 % radius",
}
_OPTIMA_COLUMNS = {
    "any_goal": "any goal",
    "return_mean": "return",
    "length_mean": "length",
    "m1": "M₁",
    "m2": "M₂",
    "entropy": "H",
    "hit_share": "hit the wall",
    "success_after_hit": "success after a hit",
}
_KINDS = {
    "kl_ball": _Kind(
        _kl_ball, 5, 5000, "spread of a Gaussian and a flow in a KL ball and at fixed entropies"
    ),
    "gaussian_bandit": _Kind(_bandit, 5, 200, "which policies learn that the optimal actions are correlated"),
    "bimodal_bandit": _Kind(_bandit, 5, 200, "which policies learn that there are two optimal actions"),
    "entropy": _Kind(
        _entropy, 10, 200, "how well SVGD, Langevin dynamics and HMC know the entropy of what they sample"
    ),
    "multigoal_optima": _Kind(
        _multigoal_optima, 1, 4000, "where the optimum goes at the papers' temperatures; 4000 episodes each"
    ),
}
_RUN_KINDS = {
    "multigoal": _RunKind(
        _multigoal, "where trained runs go on the tasks with several goals, and the optimum"
    ),
}
FIGURES = (*_KINDS, *_RUN_KINDS)


def _ensure_writable(directory: Path) -> None:
    """Raises before minutes of work whose result could not be kept."""
    probe = directory / ".writable"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise RunDirectoryError(
            f"--output_dir must be a directory that can be written; got {directory}: "
            f"{error.strerror or error}. Give another one."
        ) from error


def _write_csv(path: Path, heading: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    try:
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(heading)
            writer.writerows(
                [f"{cell:.6g}" if isinstance(cell, float) else cell for cell in row] for row in rows
            )
    except OSError as error:
        raise RunDirectoryError(
            f"cannot write {path}: {error.strerror or error}. Free space, or give another --output_dir."
        ) from error


def _mean_and_range(values: Sequence[float]) -> str:
    """Returns "mean (lowest … highest)", or the value where there is one."""
    if len(values) == 1:
        return _rounded(values)
    return f"{_rounded(values)} ({_rounded([min(values)])} … {_rounded([max(values)])})"


def _median_and_range(values: Sequence[float]) -> str:
    """Returns "median (lowest … highest)", or the value where there is one; of what varies by magnitudes."""
    if len(values) == 1:
        return f"{values[0]:.3g}"
    return f"{np.median(values):.3g} ({min(values):.3g} … {max(values):.3g})"


def _rounded(values: Sequence[float], digits: int = 3) -> str:
    """Returns the mean, without the sign of a rounded −0."""
    return f"{round(float(np.mean(values)), digits) + 0.0:.{digits}f}"


def _markdown(rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]])
