"""What all programs share: flags, --help, --version, errors as one message, the command that resumes.

Nothing here imports TensorFlow, which takes seconds: a program that needs it imports it in its `main`, after
whatever can be said without it.
"""

from __future__ import annotations

import itertools
import os
import pathlib
import re
import shlex
import signal
import stat
import sys
import traceback
from collections.abc import Callable, Sequence

from absl import flags

from expol_tf.cli.paths import shown, user_directory
from expol_tf.cli.versions import installed_versions
from expol_tf.errors import ExpolError, TaskError
from expol_tf.interruption import StopRequest
from expol_tf.memory import is_shortage_of_memory, memory_errors

# The exit status of a mistake that the user has to correct.
USAGE_ERROR = 2
# That of a failure which another attempt may not have, as when the machine had too little memory.
FAILURE = 1
_LARGEST_FLAG_FILE = 10**6

# --help shows the flags that are defined here among those of the program.
flags.disclaim_key_flags()


def run_program(
    name: str,
    define_flags: Callable[[flags.FlagValues], None],
    main: Callable[[flags.FlagValues, list[str]], int],
    argv: Sequence[str] | None,
    *,
    interrupted: str,
    packages: Sequence[str] = ("expol_tf",),
    uses_tensorflow: bool = False,
    more_help: str = "",
) -> int:
    """Parses flags, calls `main(flags, arguments)`, and turns errors of the user's into one message.

    The flags that --help lists are those of the module in which `define_flags` stands.

    Args:
      name: The program's name, as the user types it.
      define_flags: Defines the program's own flags; --version, --debug and --help are added.
      main: Does the work; returns the exit status.
      argv: The command line, the program's name first; by default that of the process.
      interrupted: The end of the message about a stop: in what state it left things.
      packages: The packages whose versions --version prints.
      uses_tensorflow: Whether TensorFlow's own messages have to be suppressed.
      more_help: Text after the flags in --help.

    Returns:
      The exit status: that of `main`, 2 for a mistake that the user has to correct, 1 for too little memory,
      130 for Ctrl-C, 143 for SIGTERM, 129 for SIGHUP.
    """
    # A set of flags of its own: programs share names of flags, and tests call several in one process.
    values = flags.FlagValues()
    define_flags(values)
    flags.DEFINE_bool("version", False, "Print the versions and exit.", flag_values=values)
    shows = "tracebacks and TensorFlow's own messages" if uses_tensorflow else "tracebacks"
    flags.DEFINE_bool("debug", False, f"Show {shows}.", flag_values=values)
    flags.DEFINE_bool("help", False, "Show this.", short_name="h", flag_values=values)
    argv = list(sys.argv if argv is None else argv)
    stop = StopRequest("the present operation", raises=True)
    try:
        with stop:
            status = _parse(name, values, argv)
            if status is not None:
                return status
            if values.help:
                print(f"usage: {name} [flags]\n{values.module_help(define_flags.__module__)}{more_help}")
                return 0
            if values.version:
                for package, version in installed_versions(packages).items():
                    print(package, version or "(not installed)")
                return 0
            if uses_tensorflow and not values.debug:
                _silence_tensorflow()
            with memory_errors():
                return main(values, argv[1:])
    except (Exception, KeyboardInterrupt) as error:
        debug = values.is_parsed() and values.debug
        # Where a stop reaches the import of a library in C, that may raise an error of its own in place of
        # the KeyboardInterrupt, as NumPy does.
        if isinstance(error, KeyboardInterrupt) or stop.signal_number is not None:
            if debug:
                raise
            # The terminal shows ^C on the line, perhaps after a progress bar.
            start = "\n" if sys.stderr.isatty() else ""
            print(f"{start}{name}: interrupted; {interrupted}", file=sys.stderr)
            return 128 + (getattr(error, "signal_number", stop.signal_number) or signal.SIGINT)
        if not isinstance(error, ExpolError):
            raise
        if debug:
            if isinstance(error, TaskError) and error.raised is not None:
                # With all frames: of the error itself only the environment's are left.
                traceback.print_exception(error.raised)
            raise
        print(f"{name}: error: {error_message(error)}", file=sys.stderr)
        if isinstance(error, TaskError) and (own := error.environment_traceback()):
            print(f"Where the environment raised it:\n{own}", file=sys.stderr)
        return FAILURE if is_shortage_of_memory(error) else USAGE_ERROR


def _parse(name: str, values: flags.FlagValues, argv: list[str]) -> int | None:
    """Gives the flags their values; returns the exit status where that cannot be done, otherwise None."""
    try:
        _require_flag_files(argv[1:])
        rest = values(argv)[1:]
        if rest:
            raise flags.Error(f"Unexpected argument {rest[0]!r}: every option starts with --.")
    except (flags.Error, OSError, ValueError, RecursionError) as error:  # A --flagfile may be anything.
        print(f"{name}: {error}\nSee {name} --help.", file=sys.stderr)
        return USAGE_ERROR
    return None


def _require_flag_files(arguments: Sequence[str]) -> None:
    """Refuses a --flagfile that could be read without end, or whose opening waits: devices, pipes, huge ones.

    The files that are named in such files are looked at, too.
    """
    names, seen = _flag_files(arguments), set()
    while names:
        path = os.path.expanduser(names.pop().strip())
        if path in seen:
            continue
        seen.add(path)
        try:
            status = os.stat(path)
            if not stat.S_ISREG(status.st_mode) or status.st_size > _LARGEST_FLAG_FILE:
                raise flags.Error(
                    f"--flagfile must name a regular file of at most {_LARGEST_FLAG_FILE:,} bytes; got "
                    f"{path!r}. Write the flags into a file, one a line."
                )
            names += _flag_files(pathlib.Path(path).read_text().splitlines())
        except (OSError, ValueError):
            continue  # Reading the flags says why.


def _flag_files(arguments: Sequence[str]) -> list[str]:
    """Returns the names that are given as `--flagfile=name` or `--flagfile name`."""
    names = [match[1] for text in arguments if (match := re.match(r"--?flagfile=(.*)", text, re.DOTALL))]
    pairs = itertools.pairwise(arguments)
    return names + [value for flag, value in pairs if flag in ("--flagfile", "-flagfile")]


def command_start(name: str) -> list[str]:
    """Returns the words with which the user started the program `expol-…`, before its flags.

    They hold in the user's directory, for a program that was started by Bazel, as a file or by its name.
    """
    workspace = os.environ.get("BUILD_WORKSPACE_DIRECTORY")
    if workspace:
        bazelw = os.path.relpath(os.path.join(workspace, "bazelw"), user_directory())
        target = f"//binaries:{name.removeprefix('expol-')}"
        return [bazelw if os.sep in bazelw else f"./{bazelw}", "run", target, "--"]
    return ["python", sys.argv[0]] if sys.argv[0].endswith(".py") else [name]


def resume_command(name: str, root: pathlib.Path, arguments: Sequence[str]) -> str:
    """Returns the command that goes on in the directory `root`, to be typed where the first one was.

    All other `arguments` of the first command stay.
    """
    kept: list[str] = []
    skip = False
    for argument in arguments:
        if skip:
            skip = False
        elif re.fullmatch(r"--?root_dir", argument):
            skip = True
        elif not re.match(r"--?root_dir=", argument):
            kept.append(argument)
    return " ".join(map(_quote, [*command_start(name), *kept, f"--root_dir={shown(root)}"]))


def _quote(argument: str) -> str:
    """Returns shell syntax for the argument, in double quotes where shlex would cut up its single quotes."""
    if "'" in argument and not set(argument) & set('"$`\\!'):
        return f'"{argument}"'
    return shlex.quote(argument)


def error_message(error: Exception) -> str:
    """Returns the error's message without the call stack that gin appends to it."""
    supplied = r"\n  (No values supplied by Gin|Gin had values bound|Caller supplied values).*"
    text = re.sub(supplied, "", str(error))
    return re.sub(r"\n  In call to configurable '.*?' \(.*\)( in scope '.*')?", "", text)


def _silence_tensorflow() -> None:
    """Keeps what TensorFlow and gym say about themselves off the terminal; a user's own setting stands."""
    # Level 3, since TensorFlow calls a second registration of its CUDA plugins an error.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        from gym_notices import notices

        notices.notices.clear()
    except ImportError:
        pass
