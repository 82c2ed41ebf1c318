"""Turns what an environment raises into one message that says where, with the environment's own traceback."""

from __future__ import annotations

import os
import types
from pathlib import Path
from typing import Any

import gin
import gymnasium
import numpy as np

import expol_tf
from expol_tf.environments.packages import package_versions, versions_remedy
from expol_tf.errors import ExpolError, TaskError

# Frames of these are left out everywhere, those of Gymnasium in front of the environment's own.
_OUR_FILES = tuple(f"{Path(package.__file__ or '').parent}{os.sep}" for package in (expol_tf, gin))
_GYMNASIUM_FILES = f"{Path(gymnasium.__file__ or '').parent}{os.sep}"
# Characters of an exception's text that a message has; the traceback has them all.
_LONGEST_TEXT = 300
_OLD_RESET = (
    " Define reset(self, *, seed=None, options=None), which returns (observation, info); that of gym before "
    "0.26 had no arguments."
)


def task_error(error: BaseException, place: str, call: str, maker: str | None = None) -> BaseException:
    """Returns what to raise in the place of what an environment raised.

    ```python
    try:
        result = env.step(action)
    except BaseException as error:
        raise task_error(error, "MyTask, step 3", "step()") from None
    ```

    An interrupt stays what it is. So does an error of the library's own, but a `TaskError` gets the place if
    it has none yet.

    Args:
      error: What was raised.
      place: Which environment it was, and when.
      call: What was called.
      maker: The module that has the environment's class or maker, if it is known. Its package is named with
        its version, and so are those that the error went through.
    """
    if isinstance(error, TaskError):
        return error if error.place else TaskError(str(error), place, error.raised, error.frames)
    if isinstance(error, ExpolError | KeyboardInterrupt):
        return error
    if isinstance(error, SystemExit):
        status = "" if error.code is None else repr(error.code)
        text = f"called sys.exit({status}), which would end the program"
    else:
        text = f"raised {described(error)}"
    old = call == "reset()" and isinstance(error, TypeError) and "unexpected keyword argument" in text
    versions = package_versions(error, maker)
    remedy = versions_remedy(versions) if versions else _OLD_RESET if old else " Mend it."
    return TaskError(f"{call} {text}.{remedy}", place, *_own_part(error))


def described(error: BaseException) -> str:
    """Returns an exception's type and the first line of its text."""
    try:
        lines = str(error).strip().splitlines()
    except Exception:  # The text is the environment's to make, which may fail too.
        lines = []
    name = type(error).__name__
    if not lines:
        return name
    text = lines[0] if len(lines[0]) <= _LONGEST_TEXT else f"{lines[0][:_LONGEST_TEXT]}…"
    return f"{name}: {text.rstrip('.')}"


def shown(value: Any) -> str:
    """Returns how a message names a value that an environment returned."""
    kind = type(value).__name__
    if isinstance(value, np.ndarray):
        kind = f"the {kind}" if type(value) is not np.ndarray else "an array"
        kind = "a masked array" if isinstance(value, np.ma.MaskedArray) else kind
        return f"{kind} of shape {value.shape} and dtype {value.dtype}"
    try:
        text = repr(value)
    except Exception:  # As above.
        return f"a {kind}"
    text = text if len(text) <= 80 else f"{text[:80]}…"
    return text if value is None or isinstance(value, bool) else f"the {kind} {text}"


def _own_part(error: BaseException) -> tuple[BaseException, types.TracebackType | None]:
    """Returns the exception with the environment's own frames, that which caused it where it has none."""
    cause: BaseException | None = error
    while cause is not None:
        frames = _own_frames(cause.__traceback__)
        if frames is not None:
            return cause, frames
        # gymnasium.make raises another exception in the place of the environment's.
        cause = cause.__cause__
    return error, None


def _own_frames(frames: types.TracebackType | None) -> types.TracebackType | None:
    """Returns a traceback without this library's frames, and without Gymnasium's in front of the others."""
    kept: list[types.TracebackType] = []
    while frames is not None:
        file = frames.tb_frame.f_code.co_filename
        if not file.startswith(_OUR_FILES) and (kept or not file.startswith(_GYMNASIUM_FILES)):
            kept.append(frames)
        frames = frames.tb_next
    rebuilt = None
    for frame in reversed(kept):
        rebuilt = types.TracebackType(rebuilt, frame.tb_frame, frame.tb_lasti, frame.tb_lineno)
    return rebuilt
