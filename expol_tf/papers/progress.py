"""What a figure's program says while it works."""

from __future__ import annotations

import datetime
import sys
import time
from typing import TextIO


class FigureProgress:
    """Says after each part of the work what came out and how long the rest will take.

    On a terminal one line is rewritten, elsewhere every part gets its own.

    Args:
      figure: The figure's name.
      total: Number of parts.
      stream: Where to write; standard error by default, as the table goes to standard output.
    """

    def __init__(self, figure: str, total: int, stream: TextIO | None = None):
        self._figure = figure
        self._total = total
        self._stream = sys.stderr if stream is None else stream
        self._done = 0
        self._started = time.monotonic()

    def part(self, text: str) -> None:
        """Reports that one more part is done."""
        self._done += 1
        passed = time.monotonic() - self._started
        left = datetime.timedelta(seconds=round(passed / self._done * (self._total - self._done)))
        line = f"{self._figure} {self._done}/{self._total}: {text} | ETA {left}"
        if self._stream.isatty():
            end = "\n" if self._done == self._total else ""
            print(f"\r\x1b[K{line[:110]}", end=end, file=self._stream, flush=True)
        else:
            print(line, file=self._stream, flush=True)
