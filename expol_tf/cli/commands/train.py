"""The program `expol-train`: flags → configuration → one call of `run_experiment`.

TensorFlow takes seconds to import, so whatever can be said without it (--help, a gin file that is not there)
is said before.
"""

from __future__ import annotations

import dataclasses
import importlib
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import gin
from absl import flags

from expol_tf.cli import RUN_PACKAGES, require_path, resume_command, run_program, user_path
from expol_tf.configuration import (
    CHOSEN_TITLE,
    UNWRITABLE_MARK,
    Configuration,
    applied,
    check_macros,
    check_objects,
    gin_syntax,
    recorded_values,
    resolve,
)
from expol_tf.configuration import resources as _resources
from expol_tf.errors import ConfigurationError
from expol_tf.runs import RunFiles, reading

_CONFIGURABLE_MODULES = (
    "expol_tf.agents",
    "expol_tf.networks",
    "expol_tf.environments",
    "expol_tf.training.devices",
    "expol_tf.training.evaluation",
    "expol_tf.training.experiment",
)


def train_main(argv: Sequence[str] | None = None) -> int:
    """Trains the experiment that the flags describe; returns the exit status."""
    return run_with_gin("expol-train", _define_flags, _train, argv)


def import_library() -> None:
    """Imports everything that registers configurables."""
    for module in _CONFIGURABLE_MODULES:
        importlib.import_module(module)


def _define_flags(values: flags.FlagValues) -> None:
    def string(name: str, default: str | None, text: str) -> None:
        flags.DEFINE_string(name, default, text, flag_values=values)

    files = "gin file of the experiment; repeatable, later ones override. See --list_experiments."
    flags.DEFINE_multi_string("gin_file", [], files, flag_values=values)
    bindings = "gin statement that overrides the files, such as \"TASK = 'Swimmer-v5'\"; repeatable."
    flags.DEFINE_multi_string("gin_bindings", [], bindings, flag_values=values)
    string("root_dir", None, "Directory of the run; by default runs/<gin files>/<task>/seed<seed>.")
    flags.DEFINE_integer("seed", None, "Seed of the run.", lower_bound=0, flag_values=values)
    length = "Length of the run in environment steps."
    flags.DEFINE_integer("num_env_steps", None, length, lower_bound=1, flag_values=values)
    devices = '"auto", "cpu", "gpu", "gpu:<index>", or several: "gpus", "gpu:0,gpu:1" (docs/devices.md).'
    string("device", None, devices)
    flags.DEFINE_bool("print_config", False, "Print the whole configuration and exit.", flag_values=values)
    text = "Check the configuration without a run: make everything, reset once, write nothing. Status 0 or 2."
    flags.DEFINE_bool("check", False, text, flag_values=values)
    flags.DEFINE_bool("list_experiments", False, "List the gin files that come along.", flag_values=values)


def run_with_gin(
    program: str,
    define_flags: Callable[[flags.FlagValues], None],
    main: Callable[[flags.FlagValues, list[str]], int],
    argv: Sequence[str] | None,
) -> int:
    """Runs a program that uses TensorFlow and gin; see `run_program`. What it gives to gin goes with it."""

    def main_of_its_own(values: flags.FlagValues, arguments: list[str]) -> int:
        try:
            return main(values, arguments)
        finally:
            # A program's configuration is its own, also when another program calls it.
            gin.clear_config()

    return run_program(
        program, define_flags, main_of_its_own, argv, packages=RUN_PACKAGES, uses_tensorflow=True,
        interrupted="what was saved before is untouched.",
    )  # fmt: skip


def _train(values: flags.FlagValues, arguments: list[str]) -> int:
    if values.list_experiments:
        print(_experiments())
        return 0
    files = list(values.gin_file)
    if not files and not values.gin_bindings:
        files = [_recorded_configuration(values.root_dir)]
    if values.check and values.print_config:
        raise ConfigurationError("--check and --print_config: give one of them; got both.")
    statements = gin_syntax.read_files(files) + gin_syntax.read_bindings(values.gin_bindings)
    texts = {file: gin_syntax.find_file(file).read_text(encoding="utf-8") for file in files}
    for file, text in texts.items():
        if UNWRITABLE_MARK in text:
            raise ConfigurationError(
                f"{file}: this run was started from Python with objects that a gin file cannot express; they "
                "are listed at its end. Call expol_tf.train again with the same arguments."
            )
    check_macros(statements)
    import_library()
    configuration = resolve(statements)
    if any(CHOSEN_TITLE in text for text in texts.values()):
        # The record of a run from Python: it goes on stating what its agent makes.
        configuration = dataclasses.replace(configuration, chosen=())
    for name in ("seed", "num_env_steps"):
        if values[name].value is not None:
            configuration = configuration.override(name, values[name].value)
    task = configuration.value("train.task")
    if task is None:
        raise ConfigurationError(
            "train.task: no task is set. Add --gin_file=gin/tasks/hopper.gin, or another of gin/tasks, or "
            "--gin_bindings=\"train.task = 'Hopper-v5'\"."
        )
    if isinstance(task, str) and configuration.value("train.backend") == "sync":
        from expol_tf.environments import require_registered

        require_registered(task)
    if values.device is not None:
        from expol_tf.training import require_device_name

        require_device_name(values.device)
    _require_iterations(configuration)
    if values.print_config:
        with applied(configuration):
            from expol_tf.training import check_parts

            check_objects(configuration)
            check_parts(gin.get_bindings("expol_tf.train", resolve_references=False))
        print(configuration.text, end="")
        return 0
    root = _root(values.root_dir, files, configuration)
    with applied(configuration):
        use_device(values.device)
        from expol_tf.training import Experiment, check_experiment, run_experiment

        experiment = Experiment.of(**gin.get_bindings("expol_tf.train") | {"root_dir": root})
        if values.check:
            print(check_experiment(experiment, configuration))
            return 0
        result = run_experiment(experiment, configuration)
    if result.interrupted_by is None:
        return 0
    print("Resume with:\n ", resume_command("expol-train", root, arguments), file=sys.stderr)
    return 128 + result.interrupted_by


def _require_iterations(configuration: Configuration) -> None:
    """Refuses an iteration that is longer than the run, also for --print_config: sweeps check runs by it."""
    from expol_tf.training import require_iteration

    values = recorded_values(configuration.text)
    for name, value in values.items():
        if name.endswith("Runner.iteration_steps") and isinstance(value, int):
            require_iteration(name, value, values["train.num_env_steps"])


def _recorded_configuration(root_dir: str | None) -> str:
    """Returns the config.gin of an existing run, so that --root_dir alone resumes it."""
    if root_dir:
        files = RunFiles(user_path(root_dir))
        if reading.is_there(files.config):
            # Before a name of that version is looked up in vain.
            files.require_resumable()
            files.read_config()
            return str(files.config)
    raise ConfigurationError(
        "--gin_file must name an experiment (or --root_dir a run to resume); got none. These come along:\n"
        + _experiments()
    )


def _root(flag: str | None, files: Sequence[str], configuration: Configuration) -> Path:
    """Returns the run's directory: that of the flag, of the configuration, or the default."""
    bound = configuration.value("train.root_dir")
    for name, given in (("--root_dir", flag), ("train.root_dir", bound)):
        if given is not None:
            return user_path(require_path(name, given))
    task, seed = configuration.value("train.task"), configuration.value("train.seed")
    return user_path(_default_root(files, task, seed))


def _default_root(files: Sequence[str], task: Any, seed: int) -> Path:
    stems = "+".join(Path(name).stem for name in files) or "bindings"
    name = task.name if isinstance(task, gin_syntax.Reference) else task if isinstance(task, str) else "task"
    # A Gymnasium id may have a namespace and a module: "module:expol/MultiGoal-v0".
    return Path("runs", stems, re.sub(r"[^\w.-]+", "-", str(name)), f"seed{seed}")


def _experiments() -> str:
    """Returns a line for each experiment and task file that comes along: its path and its first comment."""
    root = _resources.gin_root()
    lines = []
    for path in [*sorted(root.glob("*.gin")), *sorted(root.glob("tasks/*.gin"))]:
        first = path.read_text(encoding="utf-8").partition("\n")[0].lstrip("# ")
        lines.append(f"  {gin_syntax.library_name(path):<42} {first}")
    return "\n".join(lines)


def use_device(device: str | None) -> None:
    """Configures the device that a flag names; without it gin's binding or the default holds.

    In a process that has computed before, the flag is an error, and what nobody asked for is a warning.
    """
    from expol_tf.training import configure_devices, configure_if_possible

    # Without the flag gin's binding holds, which an argument would override.
    if device is None:
        configure_if_possible()
    else:
        configure_devices(device=device)
