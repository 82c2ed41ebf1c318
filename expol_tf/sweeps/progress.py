"""What a sweep shows while it runs: a line for each change of a run, and how far everything is."""

from __future__ import annotations

import collections
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TextIO

from expol_tf.runs import Display, last_row
from expol_tf.sweeps.table import RunState

_RATE_WINDOW_S = 300.0
_REDRAW_S = 0.5
_SHOWN_RUNS = 16


class SweepProgress(Display):
    """On a terminal the running runs and the whole are redrawn; elsewhere a plain line now and then.

    Args:
      root: The sweep's directory.
      states: Its runs; read at every update.
      stream: The file that it writes to; standard output by default.
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
        super().__init__(stream, line_interval_s, _REDRAW_S, _RATE_WINDOW_S, clock)
        # Nothing is known at the beginning.
        self._next += self._interval
        self._root = root
        self._states = states
        self._returns: dict[str, str] = {}

    def update(self) -> None:
        """Reads how far the running runs are, and shows it when it is time to."""
        for state in self._running():
            row = last_row(state.files(self._root).metrics_csv)
            state.env_step = row.get("env_step") or state.env_step
            if row.get("episode_return_mean") is not None:
                self._returns[state.name] = f"{row['episode_return_mean']:,.1f}"
        self._add(self._done())
        if self._is_due():
            self._show()

    def lines(self) -> list[str]:
        """Returns a line for each running run, and the line of the whole."""
        return [*map(self._run_line, self._running()[:_SHOWN_RUNS]), self.line()]

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
        return " | ".join([*parts, *self._speed(left)])

    def _running(self) -> list[RunState]:
        return [state for state in self._states if state.status == "running"]

    def _done(self) -> int:
        return sum(state.env_step or 0 for state in self._states)

    def _run_line(self, state: RunState) -> str:
        total = state.checked.num_env_steps
        line = f"  {state.name}: {state.env_step or 0:,} / {total:,}"
        return line + (f" | return {self._returns[state.name]}" if state.name in self._returns else "")
