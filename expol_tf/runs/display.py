"""What a long-running program shows: lines redrawn on a terminal, plain lines now and then elsewhere."""

from __future__ import annotations

import collections
import datetime
import sys
from collections.abc import Callable, Sequence
from typing import Self, TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text


class Display:
    """Shows how far something is; a base class, whose `lines` say it.

    On a terminal the lines are redrawn in place; otherwise (a file, a pipe, CI) only the last one is printed.

    Args:
      stream: The file that it writes to; None for standard output.
      line_interval_s: The least time between two plain lines.
      redraw_interval_s: The least time between two redraws on a terminal.
      rate_window_s: The time over which the speed is measured.
      clock: Seconds, monotonic.
    """

    def __init__(
        self,
        stream: TextIO | None,
        line_interval_s: float,
        redraw_interval_s: float,
        rate_window_s: float,
        clock: Callable[[], float],
    ) -> None:
        self._stream = sys.stdout if stream is None else stream
        self._clock = clock
        self._interval = line_interval_s
        self._window = rate_window_s
        self._points: collections.deque[tuple[float, int]] = collections.deque()
        self._next = clock()
        self._live: Live | None = None
        console = Console(file=self._stream)
        if console.is_terminal and not console.is_dumb_terminal:
            self._interval = redraw_interval_s
            # Redrawn when it is told to: no thread of rich's own is needed.
            self._live = Live(Text(""), console=console, auto_refresh=False)
            self._live.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def lines(self) -> Sequence[str]:
        """Returns what is shown now, the line that stands for everything last."""
        raise NotImplementedError

    def message(self, text: str) -> None:
        """Prints a line that stays, above the redrawn ones."""
        if self._live is not None:
            self._live.console.print(Text(text))
        else:
            print(text, file=self._stream, flush=True)

    def close(self) -> None:
        """Gives the terminal back; what is printed later is plain."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _add(self, step: int) -> None:
        """Notes, for the speed, that `step` steps are done now."""
        now = self._clock()
        self._points.append((now, step))
        while len(self._points) > 2 and now - self._points[1][0] > self._window:
            self._points.popleft()

    def _is_due(self) -> bool:
        """Whether the interval since lines were last shown has passed."""
        return self._clock() >= self._next

    def _show(self) -> None:
        self._next = self._clock() + self._interval
        if self._live is not None:
            lines = [Text(line, no_wrap=True, overflow="ellipsis") for line in self.lines()]
            self._live.update(Group(*lines), refresh=True)
        else:
            print(self.lines()[-1], file=self._stream, flush=True)

    def _speed(self, left: int) -> list[str]:
        """Returns the steps per second, and the time that `left` more take; nothing before they are known."""
        if not self._points:
            return []
        (first_time, first), (last_time, last) = self._points[0], self._points[-1]
        if not (last_time > first_time and last > first):
            return []
        rate = (last - first) / (last_time - first_time)
        return [f"{rate:,.0f} steps/s", f"ETA {datetime.timedelta(seconds=round(max(0, left) / rate))}"]
