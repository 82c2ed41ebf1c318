"""Makes a registered figure: numbers, a CSV file and pictures."""

from __future__ import annotations

import importlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from expol_tf.checked import checked
from expol_tf.cli import did_you_mean, home_path, import_user_module, nearest_module
from expol_tf.errors import ConfigurationError
from expol_tf.papers.registry import FIGURES, RunOptions, Work
from expol_tf.reports import markdown

# Every folder's figures register themselves when their module is imported.
for _path in sorted(Path(__file__).parent.glob("*/*figure.py")):
    importlib.import_module(f"{__package__}.{_path.parent.name}.{_path.stem}")


class Figure(NamedTuple):
    """What `make_figure` wrote: a table of the numbers over all seeds, as text, and the files."""

    table: str
    files: tuple[Path, ...]


@checked
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
      name: One of `FIGURES`, or `module:name` for a figure that a module of your own registers.
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
    module, colon, own_name = str(name).partition(":")
    if colon:
        _import_figures(module)
        name = own_name
    if name not in FIGURES:
        hint = did_you_mean(str(name), FIGURES)
        raise ConfigurationError(f"figure must be one of {', '.join(FIGURES)}; got {name!r}.{hint}")
    for argument, value in (("num_seeds", num_seeds), ("iterations", iterations)):
        if value is not None and value < 1:
            raise ConfigurationError(f"{argument} must be 1 or more; got {value}.")
    if seed < 0:
        raise ConfigurationError(f"seed must be 0 or more; got {seed}.")
    registered, options = FIGURES[name], run_options or RunOptions()
    if registered.num_seeds is None or registered.iterations is None:
        if num_seeds is not None or iterations is not None:
            raise ConfigurationError(f"num_seeds and iterations are not for {name}, which trains nothing.")
        directory = _run_figure_directory(output_dir, root_dirs)
        registered.refuse_unused(name, 1, options)
        work = Work(name, directory, seed, root_dirs=root_dirs, options=options)
    else:
        if root_dirs or options != RunOptions():
            given = f"--root_dir ({root_dirs[0]})" if root_dirs else "an option"
            raise ConfigurationError(
                f"--root_dir is for figures of runs, and {name} trains by itself; got {given}. Leave it out."
            )
        if output_dir is None:
            raise ConfigurationError("--output_dir must name the directory for the figure; got none.")
        num_seeds, iterations = num_seeds or registered.num_seeds, iterations or registered.iterations
        registered.refuse_unused(name, num_seeds, options)
        work = Work(name, home_path(output_dir), seed, num_seeds, iterations)
    heading, *rows = registered.make(work)
    return Figure(markdown(heading, rows), tuple(work.files))


def _import_figures(module: str) -> None:
    problem = f"there is none.{nearest_module(module)}"
    try:
        if import_user_module(module):
            return
    except ImportError as error:
        problem = f"{error}."
    raise ConfigurationError(
        f"figure: the module {module!r} cannot be imported: {problem} "
        "It must be installed, or lie in the directory where the program is started."
    )


def summaries() -> str:
    """Returns a line for every figure: its name and what it shows."""
    return "\n".join(f"  {name:<16} {registered.summary}" for name, registered in FIGURES.items())


def _run_figure_directory(
    output_dir: str | os.PathLike[str] | None, root_dirs: Sequence[str | os.PathLike[str]]
) -> Path:
    if not root_dirs:
        raise ConfigurationError("--root_dir must name a directory with runs; got none.")
    if output_dir is not None:
        return home_path(output_dir)
    if len(root_dirs) > 1:
        raise ConfigurationError(
            f"--output_dir must name the directory for a figure of {len(root_dirs)} --root_dir; got none."
        )
    return home_path(root_dirs[0]) / "figures"
