"""A live line of a run's progress on a terminal, plain lines elsewhere."""

from __future__ import annotations

import collections
import datetime
import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, TextIO

from rich.console import Console
from rich.live import Live
from rich.text import Text

_RATE_WINDOW_S = 30.0


class Progress:
    """Shows env steps, the given fields, env steps/s and the time left.

    On a terminal one line is redrawn; otherwise (a file, a pipe, CI) a plain line is printed at most every
    `line_interval_s`, and a last one when it closes.

    Args:
      total: The env steps at which the run ends.
      initial: The env steps already done (a resumed run), which do not count for the rate.
      description: What the line begins with.
      stream: Where to write; standard output by default.
      line_interval_s: The least time between two plain lines.
      clock: Seconds, monotonic; for tests.
    """

    def __init__(
        self,
        total: int,
        initial: int = 0,
        description: str = "training",
        stream: TextIO | None = None,
        line_interval_s: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
    ):
        self._total = total
        self._description = description
        self._stream = sys.stdout if stream is None else stream
        self._clock = clock
        self._env_step = initial
        self._fields: dict[str, Any] = {}
        self._points = collections.deque([(clock(), initial)])
        self._live: Live | None = None
        self._closed = False
        self._shown_step: int | None = None
        self._interval = line_interval_s
        self._last_shown = clock() - line_interval_s
        console = Console(file=self._stream)
        if console.is_terminal and not console.is_dumb_terminal:
            # A redraw a fifth of a second is enough for the eye, and no thread of rich's own is needed.
            self._interval = 0.2
            self._live = Live(Text(self._line()), console=console, auto_refresh=False)
            self._live.start()

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def update(self, env_step: int, **fields: Any) -> None:
        """Reports that the run is at `env_step`; fields keep their last value, None is shown as a dash."""
        now = self._clock()
        self._env_step = env_step
        self._fields.update(fields)
        self._points.append((now, env_step))
        while len(self._points) > 2 and now - self._points[1][0] > _RATE_WINDOW_S:
            self._points.popleft()
        if now - self._last_shown >= self._interval:
            self._last_shown = now
            self._show()

    def message(self, text: str) -> None:
        """Prints a line above the live one."""
        if self._live is not None and not self._closed:
            self._live.console.print(Text(text))
        else:
            print(text, file=self._stream, flush=True)

    def close(self) -> None:
        """Shows the last state and gives the terminal back. Calling it again does nothing."""
        if self._closed:
            return
        if self._shown_step != self._env_step:
            self._show()
        self._closed = True
        if self._live is not None:
            self._live.stop()

    def _show(self) -> None:
        self._shown_step = self._env_step
        if self._live is not None:
            self._live.update(Text(self._line(), no_wrap=True, overflow="ellipsis"), refresh=True)
        else:
            print(self._line(), file=self._stream, flush=True)

    def _line(self) -> str:
        share = min(1.0, self._env_step / self._total) if self._total > 0 else 1.0
        parts = [f"{self._description}: {self._env_step:,} / {self._total:,} steps ({share:.0%})"]
        parts += [f"{name.replace('_', ' ')} {_short(value)}" for name, value in self._fields.items()]
        (first_time, first_step), (last_time, last_step) = self._points[0], self._points[-1]
        if last_time > first_time and last_step > first_step:
            rate = (last_step - first_step) / (last_time - first_time)
            left = max(0.0, (self._total - self._env_step) / rate)
            parts += [f"{rate:,.0f} steps/s", f"ETA {datetime.timedelta(seconds=round(left))}"]
        return " | ".join(parts)


def _short(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, int | str):
        return str(value)
    number = float(value)
    return f"{number:,.1f}" if abs(number) >= 100 else f"{number:.3g}"
