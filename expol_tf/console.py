"""Where the programs `expol-…` start: a Ctrl-C ends them quietly before they can answer it, too.

Nothing is imported here but what every Python has, so that little comes before.
"""

from __future__ import annotations

import importlib
import io
import signal
import sys


def train() -> int:
    """Runs `expol-train` with the command line of the process; returns the exit status."""
    return _run("train")


def evaluate() -> int:
    """Runs `expol-evaluate` with the command line of the process; returns the exit status."""
    return _run("evaluate")


def sweep() -> int:
    """Runs `expol-sweep` with the command line of the process; returns the exit status."""
    return _run("sweep")


def report() -> int:
    """Runs `expol-report` with the command line of the process; returns the exit status."""
    return _run("report")


def figures() -> int:
    """Runs `expol-figures` with the command line of the process; returns the exit status."""
    return _run("figures")


def _run(command: str) -> int:
    """Imports a command and calls it.

    During the import and after the call SIGINT ends the process, as SIGTERM does. Python's own handler would
    raise an exception inside of some import, and NumPy makes one of another kind of it.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        # As on standard error: a name of a file that is no text is shown all the same.
        sys.stdout.reconfigure(errors="backslashreplace")
    handler = signal.getsignal(signal.SIGINT)
    # A process in the background ignores the signal, which stays so.
    is_pythons = handler is signal.default_int_handler
    if is_pythons:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    main = getattr(importlib.import_module(f"expol_tf.cli.commands.{command}"), f"{command}_main")
    if is_pythons:
        signal.signal(signal.SIGINT, handler)
    try:
        return main()
    finally:
        if is_pythons:
            signal.signal(signal.SIGINT, signal.SIG_DFL)
