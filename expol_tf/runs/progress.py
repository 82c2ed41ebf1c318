"""How far a long-running program is: lines redrawn on a terminal, plain lines now and then elsewhere."""

from __future__ import annotations

import collections
import datetime
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, Self, TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

# Five redraws a second are enough for the eye.
_REDRAW_S = 0.2


class Progress:
    """Shows steps done, notes, the given fields, steps/s and the time left.

    On a terminal lines are redrawn in place; otherwise (a file, a pipe, CI) one plain line is printed at most
    every `line_interval_s`, and a last one when it closes.

    Args:
      total: The steps at which the work ends.
      initial: The steps already done (a resumed run), which do not count for the rate.
      description: The beginning of the line.
      unit: What a step is called.
      stream: The file that it writes to; standard output by default.
      line_interval_s: The least time between two plain lines.
      rate_window_s: The time over which the speed is measured.
      clock: Seconds, monotonic; for tests.
    """

    def __init__(
        self,
        total: int,
        initial: int = 0,
        description: str = "training",
        unit: str = "steps",
        stream: TextIO | None = None,
        line_interval_s: float = 10.0,
        rate_window_s: float = 30.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._total = total
        self._description = description
        self._unit = unit
        self._stream = sys.stdout if stream is None else stream
        self._interval = line_interval_s
        self._window = rate_window_s
        self._clock = clock
        self._notes: Sequence[str] = ()
        self._above: Sequence[str] = ()
        self._fields: dict[str, Any] = {}
        self._points = collections.deque([(clock(), initial)])
        self._next = clock()
        self._is_shown = False
        self._live: Live | None = None
        console = Console(file=self._stream)
        if console.is_terminal and not console.is_dumb_terminal:
            self._interval = _REDRAW_S
            # Redrawn when it is told to: no thread of rich's own is needed.
            self._live = Live(Text(""), console=console, auto_refresh=False)
            self._live.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def update(
        self,
        done: int,
        total: int | None = None,
        notes: Sequence[str] = (),
        above: Sequence[str] = (),
        **fields: Any,
    ) -> None:
        """Reports how many steps are done.

        Args:
          done: The steps.
          total: The steps at which the work ends, if that has changed.
          notes: What the line says besides, in front of the fields.
          above: Lines shown above it on a terminal.
          **fields: Numbers by name; they keep their last value, None is shown as a dash.
        """
        self._total = self._total if total is None else total
        self._notes, self._above = notes, above
        self._fields.update(fields)
        now = self._clock()
        self._points.append((now, done))
        while len(self._points) > 2 and now - self._points[1][0] > self._window:
            self._points.popleft()
        self._is_shown = False
        if now >= self._next:
            self._show()

    def message(self, text: str) -> None:
        """Prints a line that stays, above the redrawn ones."""
        if self._live is not None:
            self._live.console.print(Text(text))
        else:
            print(text, file=self._stream, flush=True)

    def close(self) -> None:
        """Shows the last state and gives the terminal back. Calling it again does nothing."""
        if not self._is_shown:
            self._show()
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _show(self) -> None:
        self._is_shown = True
        self._next = self._clock() + self._interval
        if self._live is not None:
            lines = [Text(line, no_wrap=True, overflow="ellipsis") for line in (*self._above, self._line())]
            self._live.update(Group(*lines), refresh=True)
        else:
            print(self._line(), file=self._stream, flush=True)

    def _line(self) -> str:
        (first_time, first), (last_time, done) = self._points[0], self._points[-1]
        share = min(1.0, done / self._total) if self._total > 0 else 1.0
        parts = [f"{self._description}: {done:,} / {self._total:,} {self._unit} ({share:.0%})", *self._notes]
        parts += [f"{name.replace('_', ' ')} {_short(value)}" for name, value in self._fields.items()]
        if last_time > first_time and done > first:
            rate = (done - first) / (last_time - first_time)
            left = datetime.timedelta(seconds=round(max(0, self._total - done) / rate))
            parts += [f"{rate:,.0f} {self._unit}/s"] if rate >= 1 else []
            parts.append(f"ETA {left}")
        return " | ".join(parts)


def _short(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, int | str):
        return str(value)
    number = float(value)
    return f"{number:,.1f}" if abs(number) >= 100 else f"{number:.3g}"
