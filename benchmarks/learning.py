"""Learning curves: experiments × tasks × seeds, run side by side, then one table and one picture.

    python benchmarks/learning.py --gin_file=gin/nfp_trpo.gin --gin_file=gin/gaussian_trpo.gin \
        --task_file=gin/tasks/hopper.gin --task_file=gin/tasks/half_cheetah.gin --version=v4 \
        --seeds=0,1,2 --root_dir=runs/study --output_dir=docs/results

Runs that are finished are not run again, and interrupted ones resume. In the table "final return" is the mean
of the last hundred training episodes of a run, averaged over seeds, ± their standard deviation; beside it is
the final policy's greedy evaluation. No run is left out.
"""

from __future__ import annotations

import collections
import concurrent.futures
import csv
import os
import pathlib
import re
import subprocess
import sys
from typing import NamedTuple

import numpy as np
from absl import app, flags
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from expol_tf.training import gin_syntax

_GIN_FILES = flags.DEFINE_multi_string("gin_file", [], "Experiments to compare.")
_TASK_FILES = flags.DEFINE_multi_string("task_file", [], "Task files of gin/tasks.")
_VERSION = flags.DEFINE_string("version", "v5", "Version of the tasks: v4 or v5.")
_SEEDS = flags.DEFINE_list("seeds", ["0", "1", "2"], "Seeds.")
_STEPS = flags.DEFINE_integer("num_env_steps", 1_000_000, "Length of each run.")
_PARALLEL = flags.DEFINE_integer("max_parallel", 2, "Runs at once.")
_ROOT = flags.DEFINE_string("root_dir", "runs/study", "Where the runs are.")
_OUTPUT = flags.DEFINE_string("output_dir", "docs/results", "Where table, curves and picture are written.")

# Not resolved: under Bazel this is the runfiles tree, whose files are links.
_PROJECT = pathlib.Path(__file__).absolute().parents[1]
_WINDOW = 100  # Episodes of a running mean.


class Run(NamedTuple):
    """One run: its experiment, task and seed, its directory and the gin file of its task."""

    experiment: str
    task: str
    seed: int
    root: pathlib.Path
    gin_file: str
    task_file: str


def planned_runs() -> list[Run]:
    """Returns all runs, seeds outermost, so that an unfinished study has whole comparisons."""
    runs = []
    for seed in map(int, _SEEDS.value):
        for task_file in _TASK_FILES.value:
            for gin_file in _GIN_FILES.value:
                name = re.search(r'^TASK = "(\w+)-v\d+"', (_PROJECT / task_file).read_text(), re.MULTILINE)
                if name is None:
                    raise app.UsageError(f"{task_file} sets no TASK.")
                task = f"{name.group(1)}-{_VERSION.value}"
                experiment = pathlib.Path(gin_file).stem
                root = gin_syntax.user_directory() / _ROOT.value / experiment / task / f"seed{seed}"
                runs.append(Run(experiment, task, seed, root, gin_file, task_file))
    return runs


def train(run: Run) -> int:
    """Runs the training program as a process of its own; returns its exit status."""
    command = [
        sys.executable,
        "binaries/train.py",
        f"--gin_file={run.gin_file}",
        f"--gin_file={run.task_file}",
        f"--gin_bindings=TASK = '{run.task}'",
        f"--seed={run.seed}",
        f"--num_env_steps={_STEPS.value}",
        f"--root_dir={run.root}",
    ]
    run.root.parent.mkdir(parents=True, exist_ok=True)
    with open(run.root.parent / f"seed{run.seed}.log", "a") as log:
        env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(_PROJECT), *sys.path])}
        status = subprocess.run(command, cwd=_PROJECT, stdout=log, stderr=log, env=env).returncode
    outcome = "ok" if status == 0 else f"exit {status}"
    print(f"{run.experiment} {run.task} seed {run.seed}: {outcome}", flush=True)
    return status


def episode_curve(run: Run) -> tuple[np.ndarray, np.ndarray]:
    """Returns (env steps, mean return of the last hundred episodes) at the rows with episodes."""
    recent: collections.deque[tuple[float, int]] = collections.deque()
    steps, returns, total = [], [], 0
    with open(run.root / "metrics.csv", newline="") as file:
        for row in csv.DictReader(file):
            ended, total = int(row["episodes"]) - total, int(row["episodes"])
            if not ended:
                continue
            recent.append((float(row["episode_return_mean"]), ended))
            # Rows hold means over episodes: of the oldest row only as many count as are needed.
            while (excess := sum(count for _, count in recent) - _WINDOW) > 0:
                mean, count = recent.popleft()
                if count > excess:
                    recent.appendleft((mean, count - excess))
            values, weights = zip(*recent, strict=True)
            steps.append(int(row["env_step"]))
            returns.append(float(np.average(values, weights=weights)))
    return np.array(steps), np.array(returns)


def final_numbers(run: Run) -> tuple[float, float, float]:
    """Returns (final training return, final evaluation's return, env steps per second of the whole run)."""
    with open(run.root / "evaluation.csv", newline="") as file:
        evaluation = float(list(csv.DictReader(file))[-1]["return_mean"])
    with open(run.root / "metrics.csv", newline="") as file:
        last = list(csv.DictReader(file))[-1]
    return episode_curve(run)[1][-1], evaluation, int(last["env_step"]) / float(last["wall_time_s"])


def write_report(runs: list[Run], output: pathlib.Path) -> None:
    """Writes learning_table.md, learning_curves.csv and learning_curves.png."""
    output.mkdir(parents=True, exist_ok=True)
    groups: dict[tuple[str, str], list[Run]] = collections.defaultdict(list)
    for run in runs:
        groups[run.task, run.experiment].append(run)
    lines = ["| task | experiment | final return | final greedy evaluation | seeds' final returns |"]
    lines.append("|---|---|---|---|---|")
    for (task, experiment), members in groups.items():
        finals, evaluations, _ = zip(*map(final_numbers, members), strict=True)
        each = ", ".join(f"{value:.0f}" for value in finals)
        lines.append(
            f"| {task} | {experiment} | {np.mean(finals):.0f} ± {np.std(finals):.0f} | "
            f"{np.mean(evaluations):.0f} ± {np.std(evaluations):.0f} | {each} |"
        )
    (output / "learning_table.md").write_text("\n".join(lines) + "\n")
    with open(output / "learning_curves.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["task", "experiment", "seed", "env_step", "return_of_last_100_episodes"])
        for run in runs:
            steps, returns = episode_curve(run)
            # One point in about ten thousand steps is what the picture can show.
            for index in range(0, len(steps), max(1, len(steps) // 100)):
                writer.writerow([run.task, run.experiment, run.seed, steps[index], round(returns[index], 2)])
    draw(groups, output / "learning_curves.png")
    print((output / "learning_table.md").read_text())


def draw(groups: dict[tuple[str, str], list[Run]], path: pathlib.Path) -> None:
    """Draws a panel per task: every seed thin, the mean over seeds bold."""
    tasks = list(dict.fromkeys(task for task, _ in groups))
    figure = Figure(figsize=(4.6 * len(tasks), 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    panels = np.atleast_1d(figure.subplots(1, len(tasks)))
    experiments = dict.fromkeys(experiment for _, experiment in groups)
    colours = {experiment: f"C{index}" for index, experiment in enumerate(experiments)}
    for (task, experiment), members in groups.items():
        axes = panels[tasks.index(task)]
        curves = [episode_curve(run) for run in members]
        grid = np.linspace(max(steps[0] for steps, _ in curves), min(steps[-1] for steps, _ in curves), 200)
        values = [np.interp(grid, steps, returns) for steps, returns in curves]
        for each in values:
            axes.plot(grid, each, color=colours[experiment], linewidth=0.8, alpha=0.4)
        axes.plot(grid, np.mean(values, axis=0), color=colours[experiment], linewidth=2, label=experiment)
        axes.set_title(task)
        axes.set_xlabel("environment steps")
        axes.grid(alpha=0.2)
    panels[0].set_ylabel("training return, last 100 episodes")
    panels[0].legend(frameon=False, loc="lower right")
    figure.savefig(path, dpi=110)


def main(argv: list[str]) -> None:
    del argv
    runs = planned_runs()
    with concurrent.futures.ThreadPoolExecutor(_PARALLEL.value) as pool:
        statuses = list(pool.map(train, runs))
    failed = [run for run, status in zip(runs, statuses, strict=True) if status]
    if failed:
        raise SystemExit(f"{len(failed)} runs failed; see the logs in {_ROOT.value}.")
    write_report(runs, gin_syntax.user_directory() / _OUTPUT.value)


if __name__ == "__main__":
    app.run(main)
