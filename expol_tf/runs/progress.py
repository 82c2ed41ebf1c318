"""How far a run is, as a line on the terminal."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TextIO

from expol_tf.runs.display import Display

_RATE_WINDOW_S = 30.0
# Five redraws a second are enough for the eye.
_REDRAW_S = 0.2


class Progress(Display):
    """Shows env steps, the given fields, env steps/s and the time left.

    On a terminal one line is redrawn; otherwise (a file, a pipe, CI) a plain line is printed at most every
    `line_interval_s`, and a last one when it closes.

    Args:
      total: The env steps at which the run ends.
      initial: The env steps already done (a resumed run), which do not count for the rate.
      description: The beginning of the line.
      stream: The file that it writes to; standard output by default.
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
        super().__init__(stream, line_interval_s, _REDRAW_S, _RATE_WINDOW_S, clock)
        self._total = total
        self._description = description
        self._env_step = initial
        self._fields: dict[str, Any] = {}
        self._add(initial)
        self._closed = False
        self._shown_step: int | None = None

    def update(self, env_step: int, **fields: Any) -> None:
        """Reports that the run is at `env_step`; fields keep their last value, None is shown as a dash."""
        self._env_step = env_step
        self._fields.update(fields)
        self._add(env_step)
        if self._is_due():
            self._shown_step = env_step
            self._show()

    def close(self) -> None:
        """Shows the last state and gives the terminal back. Calling it again does nothing."""
        if not self._closed and self._shown_step != self._env_step:
            self._show()
        self._closed = True
        super().close()

    def lines(self) -> list[str]:
        """Returns the line."""
        share = min(1.0, self._env_step / self._total) if self._total > 0 else 1.0
        parts = [f"{self._description}: {self._env_step:,} / {self._total:,} steps ({share:.0%})"]
        parts += [f"{name.replace('_', ' ')} {_short(value)}" for name, value in self._fields.items()]
        return [" | ".join([*parts, *self._speed(self._total - self._env_step)])]


def _short(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, int | str):
        return str(value)
    number = float(value)
    return f"{number:,.1f}" if abs(number) >= 100 else f"{number:.3g}"
