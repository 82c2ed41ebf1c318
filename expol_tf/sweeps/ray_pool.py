"""Runs attempts on Ray: on a cluster that is there, or on one made on this machine."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import secrets
import socket
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from expol_tf.errors import ConfigurationError, DependencyError, ExpolError
from expol_tf.sweeps import leftovers
from expol_tf.sweeps.process import Attempt, AttemptResult, inherited_variables, make_attempt

# Ray passes arguments and results of a few kilobytes through its store; 30 % of the memory is its default.
_OBJECT_STORE_BYTES = 100 * 2**20
# How often a task takes notice of what happened.
_WAIT_S = 0.5
_CONNECT_S = 10.0


class RayPool:
    """Makes several attempts at once; the context starts or joins Ray, and leaves or ends it.

    The arguments are those of `run_sweep`, a run here being an attempt.

    Attributes:
      slots: The number of attempts at once.
    """

    def __init__(
        self, address: str | None, max_parallel: int | None, cpus_per_run: int, gpus_per_run: float
    ) -> None:
        self._address = address
        self._max_parallel = max_parallel
        self._cpus, self._gpus = cpus_per_run, gpus_per_run
        self._ray: Any = None
        self._leaving = contextlib.ExitStack()
        self._running: dict[Any, Any] = {}
        self.slots = 0

    def __enter__(self) -> RayPool:
        self._ray = import_ray(local=self._address is None)
        try:
            self._leaving.enter_context(leftovers.hangup_is_an_exit())
            self._start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Leaves the cluster, or ends the local one and whatever is left of it."""
        try:
            self._ray.shutdown()
        finally:
            self._leaving.close()

    @property
    def running(self) -> int:
        """The number of attempts under way."""
        return len(self._running)

    def submit(self, key: Any, attempt: Attempt) -> None:
        """Starts an attempt, or queues it in Ray."""
        # A killed worker is an attempt that failed: the sweep counts and retries, not Ray. A worker makes one
        # attempt only, so that what Ray puts into a worker for one GPU does not stay for the next.
        options = dict(num_cpus=self._cpus, num_gpus=self._gpus, max_retries=0, max_calls=1)
        self._running[self._ray.remote(**options)(make_attempt).remote(attempt)] = key

    def wait(self) -> Iterable[tuple[Any, AttemptResult]]:
        """Returns the attempts that have ended, with the keys they were submitted with; waits a moment."""
        if not self._running:
            return []
        ended, _ = self._ray.wait(list(self._running), num_returns=len(self._running), timeout=_WAIT_S)
        return [(self._running.pop(reference), self._result(reference)) for reference in ended]

    def _result(self, reference: Any) -> AttemptResult:
        try:
            return self._ray.get(reference)
        except self._ray.exceptions.RayTaskError as error:
            # It was raised while the attempt was prepared: the run's log may be no file that can be written.
            message = f"the attempt could not be made: {described(error.cause)}"
            return AttemptResult(-1, message[:300], retry=True, stopped=False)
        except self._ray.exceptions.RayError as error:
            message = f"Ray lost the worker: {described(error)}"
            return AttemptResult(-1, message[:300], retry=True, stopped=False)

    def _start(self) -> None:
        options: dict[str, Any] = dict(log_to_driver=False, logging_level=logging.ERROR)
        try:
            if self._address is None:
                leftovers.clean()
                place = self._leaving.enter_context(leftovers.RayDirectory())
                places = self._max_parallel or max(1, (os.cpu_count() or 1) // self._cpus)
                options |= dict(
                    address="local", num_cpus=places * self._cpus, include_dashboard=False,
                    object_store_memory=_OBJECT_STORE_BYTES, _temp_dir=str(place),
                )  # fmt: skip
            else:
                place = Path(os.sep)
                # The nodes' servers run already, so that workers have this process's imports from Ray.
                variables = {"PYTHONPATH": inherited_variables()["PYTHONPATH"]}
                options |= dict(address=self._address, runtime_env={"env_vars": variables})
                _require_listener(self._address)
            with self._apart(place):
                self._ray.init(**options)
        except ExpolError:
            raise
        except (OSError, ValueError, RuntimeError, self._ray.exceptions.RayError) as error:
            if self._address is None:
                raise DependencyError(
                    f"Ray cannot be started on this machine ({described(error)}). Free memory, and space in "
                    "the temporary directory, or give --address of a cluster that is running."
                ) from error
            raise ConfigurationError(
                f"--address must be that of a running Ray cluster; {self._address!r} does not answer "
                f"({described(error)}). Start one with "
                "`ray start --head`; set RAY_AUTH_MODE=token here too if it wants a token; or leave "
                "--address out to use this machine."
            ) from error
        self.slots = self._count_slots()

    @staticmethod
    @contextlib.contextmanager
    def _apart(place: Path) -> Iterator[None]:
        """Lets Ray start in a directory without modules, with this process's imports.

        Ray puts the directory where it is started in front of its workers' paths, where a user's file that is
        called like a module of the standard library would stand in for it.
        """
        directory, former = os.getcwd(), os.environ.get("PYTHONPATH")
        os.environ["PYTHONPATH"] = inherited_variables()["PYTHONPATH"]
        os.chdir(place)
        try:
            yield
        finally:
            os.chdir(directory)
            if former is None:
                del os.environ["PYTHONPATH"]
            else:
                os.environ["PYTHONPATH"] = former

    def _count_slots(self) -> int:
        needs = {"CPU": self._cpus, "GPU": self._gpus}
        nodes = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        slots = [
            min(int(node.get(name, 0) / need) for name, need in needs.items() if need > 0) for node in nodes
        ]
        if not sum(slots):
            wanted = f"{self._cpus} CPU(s)" + (f" and {self._gpus:g} GPU(s)" if self._gpus else "")
            raise ConfigurationError(
                f"--cpus_per_run and --gpus_per_run must fit on one machine; "
                f"none of {len(nodes)} has {wanted}."
            )
        return min(sum(slots), self._max_parallel or sum(slots))


def described(error: BaseException) -> str:
    """Returns an error's type and the first line of its text, without the colours that Ray gives it."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error)).strip()
    return ": ".join(filter(None, [type(error).__name__, text.partition("\n")[0].rstrip(".")]))


def import_ray(local: bool) -> Any:
    """Returns the module `ray`, told to keep quiet.

    Args:
      local: Whether Ray will be started on this machine, for this process alone.

    Raises:
      DependencyError: Ray is not installed.
    """
    # Read when Ray is imported. A user's own settings stand.
    settings = dict(
        RAY_USAGE_STATS_ENABLED="0",
        RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO="0",
        RAY_enable_metrics_collection="0",
        # A worker that has to end would kill its training, which is asked to save and end instead.
        RAY_kill_child_processes_on_worker_exit="0",
    )
    if local and "ray" not in sys.modules and not any(name.startswith("RAY_AUTH_") for name in os.environ):
        # So that other users of the machine cannot run code through this Ray. By itself Ray would do the same
        # with a file in the home directory.
        settings |= dict(RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=secrets.token_hex(32))
    for name, value in settings.items():
        os.environ.setdefault(name, value)
    try:
        import ray
    except ImportError as error:
        raise DependencyError(
            f"Sweeps run on Ray, which cannot be imported here ({error}). Install it: "
            "pip install 'expol-tf[sweeps]'."
        ) from error
    return ray


def _require_listener(address: str) -> None:
    """Raises an OSError if nothing listens at `host:port`, which Ray would try for many minutes."""
    match = re.fullmatch(r"(?:ray://)?\[?(.+?)\]?:(\d+)", address)
    if match:
        socket.create_connection((match.group(1), int(match.group(2))), timeout=_CONNECT_S).close()
