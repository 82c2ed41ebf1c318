"""How far the runs of a sweep are."""

from __future__ import annotations

import collections
from collections.abc import Sequence
from pathlib import Path

from expol_tf.runs import Progress
from expol_tf.sweeps.table import RunState

_SHOWN_RUNS = 16


def report_progress(progress: Progress, states: Sequence[RunState], root: Path) -> None:
    """Reads how far the running runs of the sweep in `root` are, puts it down in `states` and reports it."""
    running = [state for state in states if state.status == "running"]
    for state in running:
        state.read_progress(root)
    counts = collections.Counter(state.status for state in states)
    notes = [f"{counts['finished']} of {len(states)} runs finished"]
    notes += [f"{counts[status]} {status}" for status in ("running", "failed", "pending") if counts[status]]
    done = sum(state.env_step or 0 for state in states)
    # What a failed run has not done, it will not do.
    left = sum(
        max(0, state.checked.num_env_steps - (state.env_step or 0))
        for state in states
        if state.status in ("running", "pending")
    )
    progress.update(done, done + left, notes, above=[_run_line(state) for state in running[:_SHOWN_RUNS]])


def _run_line(state: RunState) -> str:
    line = f"  {state.name}: {state.env_step or 0:,} / {state.checked.num_env_steps:,}"
    return line if state.episode_return is None else f"{line} | return {state.episode_return:,.1f}"
