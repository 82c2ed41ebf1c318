"""One hostile trial: an input, what runs it, and what its outcome says about the library."""

from __future__ import annotations

import dataclasses
import enum
import re
from collections.abc import Callable
from pathlib import Path

# Seconds after which a trial counts as a hang, on a machine that others share.
LIMIT_S = 60.0
# How a trial that consists of several processes says what it found; with `LATE` in it, a process hung.
PROBLEM = "PROBLEM: "
LATE = "still running"


class Meant(enum.Enum):
    """What the generator knows about its input."""

    VALID = "valid"  # It must succeed: a library that refuses everything would pass otherwise.
    NONSENSE = "nonsense"  # It cannot be meant: success without a word is a failure.
    EITHER = "either"  # Both are fine, a traceback and a hang are not.


class Verdict(enum.Enum):
    """How a trial ended. `FINE` is the only good end."""

    FINE = "fine"
    TRACEBACK = "traceback"  # Also an exception from Python that is not the library's, and a crash.
    HANG = "hang"
    ACCEPTED = "accepted"  # Nonsense was taken, or something was refused, without a word.
    REFUSED = "refused"  # A valid input was not taken.


@dataclasses.dataclass(frozen=True)
class Ended:
    """How a trial's process ended.

    Attributes:
      status: The exit status, minus the signal's number if one killed it, None if it had to be killed.
      output: What it wrote to both streams.
      directory: Where it ran.
    """

    status: int | None
    output: str
    directory: Path


@dataclasses.dataclass(frozen=True)
class Trial:
    """An input and how it is run.

    Attributes:
      what: The input, for whoever reads about a failure.
      act: Runs it, in a process of its own whose working directory is new; returns the exit status.
      meant: What is known about it.
      word: A pattern; where the output has it, nonsense was not taken silently.
      limit_s: Seconds after which it is a hang.
    """

    what: str
    act: Callable[[], int | None]
    meant: Meant = Meant.EITHER
    word: str = ""
    limit_s: float = LIMIT_S


def judge(trial: Trial, ended: Ended) -> tuple[Verdict, str]:
    """Returns the verdict, and why."""
    if ended.status is None:
        return Verdict.HANG, f"still running after {trial.limit_s:g} s"
    if foreign := foreign_frames(ended.output, ended.directory):
        return Verdict.TRACEBACK, foreign
    if ended.status < 0:
        return Verdict.TRACEBACK, f"killed by signal {-ended.status}"
    if problem := re.search(rf"^{PROBLEM}(.*)", ended.output, re.MULTILINE):
        return Verdict.HANG if LATE in problem[1] else Verdict.ACCEPTED, problem[1]
    if ended.status == 0:
        silent = not (trial.word and re.search(trial.word, ended.output, re.IGNORECASE))
        if trial.meant is Meant.NONSENSE and silent:
            return Verdict.ACCEPTED, "taken without a word"
    else:
        if trial.meant is Meant.VALID:
            return Verdict.REFUSED, f"exit status {ended.status}"
        if not ended.output.strip():
            return Verdict.ACCEPTED, f"exit status {ended.status} without a word"
    return Verdict.FINE, ""


def foreign_frames(output: str, directory: Path) -> str:
    """Returns what was raised by the first traceback in `output` with a frame outside of `directory`.

    A traceback whose frames are all the environment's own (the user's) is what the user needs to see.
    """
    # What a task gives to exec() is its own as well.
    own = (str(directory), str(directory.resolve()), "<string>")
    lines = output.splitlines()
    for start, line in enumerate(lines):
        if "Traceback (most recent call last)" not in line:
            continue
        files, raised = [], ""
        for following in lines[start + 1 :]:
            frame = re.match(r'[\s|+]*File "(.*?)", line \d+', following)
            if frame is not None:
                files.append(frame[1])
            elif not following.startswith((" ", "\t")):
                raised = following
                break
        if not files or not all(file.startswith(own) for file in files):
            return raised[:300] or "a traceback"
    return ""
