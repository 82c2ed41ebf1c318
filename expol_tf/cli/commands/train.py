"""The programs: flags → configuration → one call of the library.

TensorFlow takes seconds to import, so whatever can be said without it (--help, a gin file that is not there)
is said before.
"""

from __future__ import annotations

import importlib
import re
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import gin
from absl import flags

from expol_tf.cli import RUN_PACKAGES, command_start, run_program, shown, user_path
from expol_tf.configuration import gin_syntax
from expol_tf.configuration import resources as _resources
from expol_tf.errors import ConfigurationError, RunDirectoryError

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
    return _run("expol-train", _define_train_flags, _train, argv)


def evaluate_main(argv: Sequence[str] | None = None) -> int:
    """Evaluates the policy of a run; returns the exit status."""
    return _run("expol-evaluate", _define_evaluate_flags, _evaluate, argv)


def import_library() -> None:
    """Imports everything that registers configurables."""
    for module in _CONFIGURABLE_MODULES:
        importlib.import_module(module)


def _define_train_flags(values: flags.FlagValues) -> None:
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
    flags.DEFINE_bool("list_experiments", False, "List the gin files that come along.", flag_values=values)


def _define_evaluate_flags(values: flags.FlagValues) -> None:
    flags.DEFINE_string("root_dir", None, "Directory of the run.", flag_values=values)
    flags.DEFINE_integer("episodes", 10, "Number of episodes.", lower_bound=1, flag_values=values)
    flags.DEFINE_bool("deterministic", True, "Greedy actions instead of sampled ones.", flag_values=values)
    flags.DEFINE_integer("seed", 0, "Seed of episodes and actions.", lower_bound=0, flag_values=values)
    flags.DEFINE_string("video_path", None, "Write a video of one episode: .gif or .mp4.", flag_values=values)
    flags.DEFINE_string("device", None, '"auto", "cpu", "gpu" or "gpu:<index>".', flag_values=values)


def _run(
    program: str,
    define_flags: Callable[[flags.FlagValues], None],
    main: Callable[[flags.FlagValues, list[str]], int],
    argv: Sequence[str] | None,
) -> int:
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
    statements = gin_syntax.read_files(files) + gin_syntax.read_bindings(values.gin_bindings)
    import expol_tf
    from expol_tf import configuration as configurations

    for file in files:
        path = gin_syntax.find_file(file)
        if path is not None and configurations.UNWRITABLE_MARK in path.read_text(encoding="utf-8"):
            raise ConfigurationError(
                f"{file}: this run was started from Python with objects that a gin file cannot express; they "
                "are listed at its end. Call expol_tf.train again with the same arguments."
            )
    configurations.check_macros(statements)
    import_library()
    configuration = configurations.resolve(statements)
    for name in ("seed", "num_env_steps"):
        if values[name].value is not None:
            configuration = configuration.override(name, values[name].value)
    task = configuration.value("train.task")
    if task is None:
        raise ConfigurationError(
            "train.task: no task is set. Add --gin_file=gin/tasks/hopper.gin, or another of gin/tasks, or "
            "--gin_bindings=\"train.task = 'Hopper-v5'\"."
        )
    if values.print_config:
        print(configuration.text, end="")
        return 0
    root = (
        values.root_dir
        or configuration.value("train.root_dir")
        or _default_root(files, task, configuration.value("train.seed"))
    )
    root = user_path(root)
    with configurations.applied(configuration):
        _configure_devices(values.device)
        result = expol_tf.train(root_dir=root)
    return _report(result, root, arguments)


def _evaluate(values: flags.FlagValues, arguments: list[str]) -> int:
    del arguments
    if not values.root_dir:
        raise ConfigurationError("--root_dir must name the directory of a run; got none.")
    root = user_path(values.root_dir)
    recorded = root / "config.gin"
    if not recorded.is_file():
        raise RunDirectoryError(
            f"--root_dir must be the directory of a run; {root} holds no config.gin. "
            "Train one with expol-train."
        )
    statements = gin_syntax.read_files([str(recorded)])
    from expol_tf.training import check_video_path, record_video

    if values.video_path:
        video_path = user_path(values.video_path)
        check_video_path(video_path)
    import_library()
    from expol_tf.configuration import resolve
    from expol_tf.environments import load_vector
    from expol_tf.random import stream
    from expol_tf.training import evaluate_policy, load_policy

    resolve(statements).apply()
    given = gin.get_bindings("expol_tf.train")
    if "task" not in given:
        raise ConfigurationError(
            f"{recorded} names no task: the run was started from Python with an environment of its own. "
            "Evaluate it there, with expol_tf.load_policy."
        )
    _configure_devices(values.device)
    policy = load_policy(root, stream(values.seed, "acting"))
    task = given["task"]
    options = {name: given[name] for name in ("wrappers", "make_kwargs") if name in given}

    def act(observation: Any) -> Any:
        return policy.act(observation, deterministic=values.deterministic)

    seed = stream(values.seed, "evaluation")
    env = load_vector(task, min(values.episodes, 10), seed, **options)
    try:
        result = evaluate_policy(act, env, values.episodes)
    finally:
        env.close()
    actions = "greedy" if values.deterministic else "sampled"
    print(result.table(f"{task}, {values.episodes} episodes, {actions} actions"))
    if values.video_path:
        frames = record_video(act, task, video_path, 1, seed, **options)
        print(f"{frames} frames in {video_path}")
    return 0


def _report(result: Any, root: Path, arguments: list[str]) -> int:
    signal_number = getattr(result, "interrupted_by", None)
    if signal_number is None:
        return 0
    print(f"Resume with:\n  {resume_command(root, arguments)}", file=sys.stderr)
    return 128 + int(signal_number)


def resume_command(root: Path, arguments: Sequence[str]) -> str:
    """Returns the command that goes on with the run, to be typed in the directory of the first one."""
    kept: list[str] = []
    skip = False
    for argument in arguments:
        if skip:
            skip = False
        elif re.fullmatch(r"--?root_dir", argument):
            skip = True
        elif not re.match(r"--?root_dir=", argument):
            kept.append(argument)
    return " ".join(map(_quote, [*command_start("expol-train"), *kept, f"--root_dir={shown(root)}"]))


def _quote(argument: str) -> str:
    """Returns shell syntax for the argument, in double quotes where shlex would cut up its single quotes."""
    if "'" in argument and not set(argument) & set('"$`\\!'):
        return f'"{argument}"'
    return shlex.quote(argument)


def _recorded_configuration(root_dir: str | None) -> str:
    """Returns the config.gin of an existing run, so that --root_dir alone resumes it."""
    if root_dir:
        recorded = user_path(root_dir) / "config.gin"
        if recorded.is_file():
            return str(recorded)
    raise ConfigurationError(
        "--gin_file must name an experiment (or --root_dir a run to resume); got none. These come along:\n"
        + _experiments()
    )


def _default_root(files: Sequence[str], task: Any, seed: int) -> Path:
    stems = "+".join(Path(name).stem for name in files) or "bindings"
    name = task if isinstance(task, str) else getattr(task, "name", "task")
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


def _configure_devices(device: str | None) -> None:
    from expol_tf.training import configure_devices

    # Without the flag gin's binding holds, which an argument would override.
    configure_devices(**({} if device is None else {"device": device}))
