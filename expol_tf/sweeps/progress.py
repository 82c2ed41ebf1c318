"""What a sweep shows while it runs: a line for each change of a run, and how far everything is."""

from __future__ import annotations

import collections
import datetime
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from expol_tf.sweeps import table as sweep_table
from expol_tf.sweeps.table import RunState

_RATE_WINDOW_S = 300.0
_SHOWN_RUNS = 16


class SweepProgress:
    """On a terminal the running runs and the whole are redrawn; elsewhere a plain line now and then.

    Args:
      root: The sweep's directory.
      states: Its runs; read at every update.
      stream: Where to write; standard output by default.
      line_interval_s: The least time between two plain lines of the whole.
      clock: Seconds, monotonic; for tests.
    """

    def __init__(
        self,
        root: Path,
        states: Sequence[RunState],
        stream: TextIO | None = None,
        line_interval_s: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._root = root
        self._states = states
        self._stream = sys.stdout if stream is None else stream
        self._clock = clock
        self._points: collections.deque[tuple[float, int]] = collections.deque()
        self._returns: dict[str, str] = {}
        self._interval = line_interval_s
        self._last_shown = clock()
        self._live: Live | None = None
        console = Console(file=self._stream)
        if console.is_terminal and not console.is_dumb_terminal:
            self._interval = 0.5
            self._live = Live(Text(""), console=console, auto_refresh=False)
            self._live.start()

    def __enter__(self) -> SweepProgress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def message(self, text: str) -> None:
        """Prints a line that stays."""
        if self._live is not None:
            self._live.console.print(Text(text))
        else:
            print(text, file=self._stream, flush=True)

    def update(self) -> None:
        """Reads how far the running runs are, and shows it when it is time to."""
        for state in self._states:
            if state.status == "running":
                row = sweep_table.last_row(state.metrics_csv(self._root))
                step = row.get("env_step", "")
                state.env_step = int(step) if step.isdigit() else state.env_step
                if row.get("episode_return_mean"):
                    self._returns[state.name] = f"{float(row['episode_return_mean']):,.1f}"
        now = self._clock()
        self._points.append((now, self._done()))
        while len(self._points) > 2 and now - self._points[1][0] > _RATE_WINDOW_S:
            self._points.popleft()
        if now - self._last_shown < self._interval:
            return
        self._last_shown = now
        if self._live is not None:
            running = [state for state in self._states if state.status == "running"][:_SHOWN_RUNS]
            lines = [Text(self._run_line(state), no_wrap=True, overflow="ellipsis") for state in running]
            self._live.update(Group(*lines, Text(self.line(), no_wrap=True)), refresh=True)
        else:
            print(self.line(), file=self._stream, flush=True)

    def line(self) -> str:
        """Returns how far the whole is: runs by status, steps, steps/s, time left."""
        counts = collections.Counter(state.status for state in self._states)
        parts = [f"sweep: {counts['finished']} / {len(self._states)} runs finished"]
        parts += [
            f"{counts[status]} {status}" for status in ("running", "failed", "pending") if counts[status]
        ]
        done = self._done()
        # What a failed run has not done, it will not do.
        left = sum(
            max(0, state.checked.num_env_steps - (state.env_step or 0))
            for state in self._states
            if state.status in ("running", "pending")
        )
        parts.append(f"{done:,} / {done + left:,} steps")
        if len(self._points) > 1:
            (first_time, first), (last_time, last) = self._points[0], self._points[-1]
            if last_time > first_time and last > first:
                rate = (last - first) / (last_time - first_time)
                parts += [f"{rate:,.0f} steps/s", f"ETA {datetime.timedelta(seconds=round(left / rate))}"]
        return " | ".join(parts)

    def _done(self) -> int:
        return sum(state.env_step or 0 for state in self._states)

    def _run_line(self, state: RunState) -> str:
        total = state.checked.num_env_steps
        line = f"  {state.name}: {state.env_step or 0:,} / {total:,}"
        return line + (f" | return {self._returns[state.name]}" if state.name in self._returns else "")
