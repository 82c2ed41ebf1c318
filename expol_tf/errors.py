"""Errors that a user can mend.

Every message names the argument, the rule, the value got and the remedy. The command-line programs print
these messages without a traceback; anything else that is raised is a defect of the library.
"""

from __future__ import annotations

import traceback
import types


class ExpolError(Exception):
    """Base of all errors that are the caller's to mend."""


class ConfigurationError(ExpolError, ValueError):
    """A setting (argument, gin binding, flag) is unknown, missing or has a value outside its rule."""


class SpaceError(ExpolError, ValueError):
    """An observation or action space is of a kind that the library does not support."""


class UnknownEnvironmentError(ExpolError, ValueError):
    """No environment is registered under the given name, or it cannot be made here."""


class CapabilityError(ExpolError, TypeError):
    """An algorithm needs something that the policy's distribution cannot do."""


class NonFiniteError(ExpolError, ArithmeticError):
    """An observation, reward or parameter became NaN or infinite."""


class RunDirectoryError(ExpolError, RuntimeError):
    """A run directory is in use, belongs to another experiment, or cannot be written."""


class CheckpointError(ExpolError, RuntimeError):
    """A checkpoint cannot be written, or none that fits can be restored."""


class DependencyError(ExpolError, ImportError):
    """An optional package or system library is needed and not installed."""


class OutOfMemoryError(ExpolError, MemoryError):
    """There is too little memory now. At another time, or on another machine, there may be enough.

    So a program ends with another exit status than after a mistake, and a sweep tries the run again.
    """


class TaskError(ExpolError, RuntimeError):
    """An environment raised something, ended the program, or returned what its interface does not allow.

    Attributes:
      place: Which environment it was and when, the beginning of the message; "" if that is not known yet.
      raised: What the environment raised; None if it returned something wrong.
      frames: The environment's own part of the traceback, None if there is none.
    """

    # Without a value in the class: gin shows errors by proxies, which would take it for the error's own.
    place: str
    raised: BaseException | None
    frames: types.TracebackType | None

    def __init__(
        self,
        message: str,
        place: str = "",
        raised: BaseException | None = None,
        frames: types.TracebackType | None = None,
    ):
        super().__init__(f"{place}: {message}" if place else message)
        self.place = place
        self.raised = raised
        self.frames = frames

    def __reduce__(self) -> tuple[type[TaskError], tuple[str]]:
        # Tracebacks cannot be sent to another process.
        return TaskError, (str(self),)

    def environment_traceback(self) -> str:
        """Returns what Python prints of `raised`, with the environment's own frames; "" if there are none."""
        if self.raised is None or self.frames is None:
            return ""
        lines = traceback.format_exception(type(self.raised), self.raised, self.frames, chain=False)
        return "".join(lines).rstrip("\n")
