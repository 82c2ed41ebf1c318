"""`run_sweep`: trains every run in a process of its own, and tries again what failed."""

from __future__ import annotations

import collections
import contextlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from expol_tf.argument_types import require
from expol_tf.checked import checked
from expol_tf.cli import home_path
from expol_tf.errors import ConfigurationError, RunDirectoryError
from expol_tf.number_types import NonNegative, PoolSize, WholeNumber
from expol_tf.runs import DirectoryLock, Progress, StopRequest, atomic_files, reading
from expol_tf.sweeps import table as sweep_table
from expol_tf.sweeps.check import CheckedRun
from expol_tf.sweeps.plan import LOGS, SWEEP_LOCK
from expol_tf.sweeps.process import Attempt, AttemptResult, inherited_variables
from expol_tf.sweeps.progress import report_progress
from expol_tf.sweeps.ray_pool import RayPool
from expol_tf.sweeps.table import RunState

_STOP = ".stop"
# Ray counts shares of a GPU in ten-thousandths.
_SMALLEST_SHARE = 1e-4


class SweepResult(NamedTuple):
    """How a sweep ended.

    Attributes:
      states: Every run with its status.
      interrupted_by: The signal that stopped it, or None.
    """

    states: list[RunState]
    interrupted_by: int | None

    @property
    def failed(self) -> list[RunState]:
        """The runs that were given up."""
        return [state for state in self.states if state.status == "failed"]


@checked
def run_sweep(
    runs: Sequence[CheckedRun],
    root_dir: str | os.PathLike[str],
    address: str | None = None,
    max_parallel: PoolSize | None = None,
    cpus_per_run: PoolSize = 1,
    gpus_per_run: NonNegative = 0.0,
    retries: WholeNumber = 2,
    device: str | None = None,
) -> SweepResult:
    """Trains the runs on Ray and keeps `root_dir/sweep.csv`; called again, it goes on where it was.

    A run is a process: its crash, or its end by the kernel when memory is short, ends nothing else. It is
    started again in its directory, where it resumes from its checkpoint. A mistake in its settings is not
    tried again. Finished runs are passed over. SIGINT and SIGTERM let the running ones save and end.

    Args:
      runs: The runs; see `plan_sweep` and `check_runs`.
      root_dir: The sweep's directory. A run's own is `<experiment>/<task>[/<parameters>]/seed<seed>` in it,
        its output is in `logs/`.
      address: The address of a Ray cluster whose nodes have this environment and `root_dir` at the same
        paths; None for this machine.
      max_parallel: Runs at once; None for as many as the CPUs allow.
      cpus_per_run: CPUs reserved for a run. It does not set a run's threads: that is `configure_devices`.
      gpus_per_run: GPUs reserved for a run, also a fraction of one.
      retries: Further attempts at a run that fails.
      device: `--device` of the runs.

    Raises:
      ExpolError: Ray is missing or does not answer, or `root_dir` cannot be used.
    """
    require_pool(max_parallel, cpus_per_run, gpus_per_run, retries)
    root = home_path(root_dir).absolute()
    lock = DirectoryLock(root / SWEEP_LOCK, holder="another sweep, ")
    try:
        (root / LOGS).mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except OSError as error:
        raise _cannot_write(root, error) from error
    with lock:
        scheduler = _Scheduler(runs, root, retries, device)
        if not scheduler.open:
            return SweepResult(scheduler.states, None)
        with RayPool(address, max_parallel, cpus_per_run, gpus_per_run) as pool:
            return SweepResult(scheduler.states, scheduler.run(pool))


def require_pool(max_parallel: Any, cpus_per_run: Any, gpus_per_run: Any, retries: Any) -> None:
    """Raises a `ConfigurationError` for numbers that `run_sweep` does not take."""
    for name, value, hint in (
        ("max_parallel", max_parallel, PoolSize | None),
        ("cpus_per_run", cpus_per_run, PoolSize),
        ("gpus_per_run", gpus_per_run, NonNegative),
        ("retries", retries, WholeNumber),
    ):
        require(name, value, hint)
    # What Ray can reserve.
    if not (0 == gpus_per_run or _SMALLEST_SHARE <= gpus_per_run <= 1 or gpus_per_run == round(gpus_per_run)):
        raise ConfigurationError(
            f"gpus_per_run must be 0, a share of one GPU of {_SMALLEST_SHARE} or more, or a whole number; "
            f"got {gpus_per_run!r}."
        )


def _cannot_write(path: Path, error: OSError) -> RunDirectoryError:
    return RunDirectoryError(
        f"cannot write in root_dir: {path}: {atomic_files.reason(error)}. Make it writable, remove what is "
        "in the way, or give another."
    )


class _Scheduler:
    """Decides which run is started when, and keeps the state of each."""

    def __init__(self, runs: Sequence[CheckedRun], root: Path, retries: int, device: str | None) -> None:
        self._root = root
        self._retries = retries
        self._device = device
        self._variables = inherited_variables()
        self._failures: collections.Counter[str] = collections.Counter()
        before = sweep_table.read_index(root)
        self.states = [self._first_state(run, before.get(run.run.name, {})) for run in runs]
        self._queue = collections.deque(state for state in self.states if state.status == "pending")
        try:
            atomic_files.remove(root / _STOP)
        except OSError as error:
            raise _cannot_write(root / _STOP, error) from error
        self._write()

    @property
    def open(self) -> bool:
        """Whether anything is left to do."""
        return bool(self._queue)

    def run(self, pool: RayPool) -> int | None:
        """Makes attempts until nothing is left to do; returns the signal that ended it early, or None."""
        # Ray sets handlers of its own when it starts.
        steps = sum(state.env_step or 0 for state in self.states)
        shown = Progress(steps, steps, "sweep", line_interval_s=60.0, rate_window_s=300.0)
        after = "the running runs, which save and end"
        with shown as progress, StopRequest(after, say=progress.message) as stop:
            done = len(self.states) - len(self._queue)
            skipped = f", {done} of them finished before" if done else ""
            progress.message(f"{len(self.states)} runs{skipped}; {pool.slots} at once; {self._root}")
            try:
                while pool.running or (self._queue and stop.signal_number is None):
                    while self._queue and stop.signal_number is None and pool.running < pool.slots:
                        self._start(pool, self._queue.popleft(), progress.message)
                    for state, result in pool.wait():
                        self._end(state, result, progress.message)
                    if stop.signal_number is not None and not (self._root / _STOP).exists():
                        self._ask_to_stop()
                        progress.message(f"interrupted: {pool.running} runs save and end")
                    report_progress(progress, self.states, self._root)
            finally:
                self._write()
                # Runs whose worker has gone get their signal from the kernel. What cannot be removed now is
                # named at the next start.
                with contextlib.suppress(OSError):
                    atomic_files.remove(self._root / _STOP)
            return stop.signal_number

    def _ask_to_stop(self) -> None:
        try:
            atomic_files.write_atomically(self._root / _STOP, "")
        except OSError as error:
            # The sweep ends, and with it Ray's workers, so that the runs get their signal from the kernel.
            raise _cannot_write(self._root / _STOP, error) from error

    def _first_state(self, checked: CheckedRun, before: dict[str, str]) -> RunState:
        state = RunState(checked)
        state.attempts = int(before.get("attempts") or 0)
        state.read_progress(self._root)
        # A run that an observer of its own ended early is finished too, unless it is to be another now.
        same = before.get("status") == "finished" and self._recorded(checked) == checked.text
        if state.files(self._root).is_complete and (same or (state.env_step or 0) >= checked.num_env_steps):
            state.status = "finished"
        return state

    def _start(self, pool: RayPool, state: RunState, message: Callable[[str], None]) -> None:
        run = state.checked.run
        state.attempts += 1
        state.status = "running"
        recorded = self._logs(state.checked, ".gin")
        try:
            recorded.parent.mkdir(parents=True, exist_ok=True)
            # What was checked is what runs, also when a gin file is edited meanwhile.
            atomic_files.write_atomically(recorded, state.checked.text)
        except OSError as error:
            raise _cannot_write(recorded, error) from error
        arguments = [f"--gin_file={self._logs(state.checked, '.gin')}", f"--seed={run.seed}"]
        arguments += [f"--root_dir={self._root / run.directory}"]
        arguments += [f"--device={self._device}"] if self._device else []
        attempt = Attempt(
            tuple(arguments), self._logs(state.checked, ".log"), self._root / _STOP, os.getcwd(),
            self._variables, f"{run.name}, attempt {state.attempts}",
        )  # fmt: skip
        pool.submit(state, attempt)
        at = f", at env_step {state.env_step:,}" if state.env_step else ""
        message(f"{run.name}: started, attempt {state.attempts}{at}")
        self._write()

    def _end(self, state: RunState, result: AttemptResult, message: Callable[[str], None]) -> None:
        state.read_progress(self._root)
        state.message = result.message
        at = f"at env_step {state.env_step or 0:,}"
        if result.returncode == 0:
            state.status = "finished"
            message(f"{state.name}: finished {at}")
        elif result.stopped:
            state.status, state.message = "interrupted", ""
            message(f"{state.name}: interrupted {at}")
        else:
            self._failures[state.name] += 1
            if result.retry and self._failures[state.name] <= self._retries:
                state.status = "pending"
                message(f"{state.name}: {result.message}, {at}; will be resumed")
                # At the end: if this was the machine's doing, others come first.
                self._queue.append(state)
            else:
                state.status = "failed"
                log = self._logs(state.checked, ".log")
                message(f"{state.name}: failed {at}: {result.message}\n  see {log}")
        self._write()

    def _logs(self, checked: CheckedRun, suffix: str) -> Path:
        """Returns the place of a run's file outside its directory, which holds only what `train` writes."""
        place = self._root / LOGS / checked.run.directory
        return place.with_name(place.name + suffix)

    def _recorded(self, checked: CheckedRun) -> str | None:
        try:
            return reading.read_text(self._logs(checked, ".gin"))
        except RunDirectoryError:
            # It is only compared: the run then counts as another one, which is started.
            return None

    def _write(self) -> None:
        sweep_table.write_index(self._root, self.states)
