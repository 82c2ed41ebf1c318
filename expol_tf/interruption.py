"""SIGINT, SIGTERM and SIGHUP as a request to stop at the next safe point, which is acknowledged at once."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType

# Windows has no SIGHUP.
_HANGUP = getattr(signal, "SIGHUP", None)
_SIGNALS = tuple(number for number in (signal.SIGINT, signal.SIGTERM, _HANGUP) if number is not None)
# A wrapper (`bazel run`, a batch script) passes on the signal that the terminal has sent already.
_SAME_S = 0.25
# How long a second request waits for a compiled call to return before the process is ended.
_PATIENCE_S = 3.0
_END = b"\0"


class Stopped(KeyboardInterrupt):
    """A signal asked for a stop, and this is a safe point.

    Like `KeyboardInterrupt` it is no `Exception`, so that nobody takes it for an error of a task.

    Attributes:
      signal_number: The signal.
    """

    def __init__(self, signal_number: int) -> None:
        super().__init__(f"stopped by {signal.Signals(signal_number).name}")
        self.signal_number = signal_number


class StopRequest:
    """While the context is open, the first SIGINT, SIGTERM or SIGHUP asks for a stop.

    A thread acknowledges the signal at once, because Python calls no handler before a long compiled call
    returns. A second SIGINT or SIGTERM does what it did before the context was opened. If a compiled call
    keeps Python from that, the process ends nevertheless, after three seconds. Signals within a quarter of a
    second are one request. A SIGHUP that is ignored (`nohup`) stays ignored.

    Outside the main thread, where Python delivers no signals, the context does nothing.

    Args:
      after: What is finished before the stop; the end of "stopping after …".
      raises: Whether the signal raises a `KeyboardInterrupt` wherever Python is, for work that has nothing to
        save.
      say: Called with the acknowledgement, in another thread; by default it goes to standard error.

    Attributes:
      signal_number: The signal received, or None.
      acknowledged: Set when that was said.
    """

    def __init__(
        self,
        after: str = "the present step",
        raises: bool = False,
        say: Callable[[str], None] | None = None,
    ) -> None:
        self.signal_number: int | None = None
        self.acknowledged = threading.Event()
        self._after = after
        self._raises = raises
        self._say = say or _say_on_stderr
        self._noted_at = 0.0
        self._previous: dict[int, object] = {}
        self._former_wakeup: int | None = None
        self._second_noted = threading.Event()

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is not threading.main_thread():
            return self
        self._terminals = [descriptor for descriptor in (1, 2) if _is_terminal(descriptor)]
        # A socket, because Windows can be woken by nothing else.
        self._reader, self._writer = socket.socketpair()
        self._writer.setblocking(False)
        self._thread = threading.Thread(target=self._listen, name="signals", daemon=True)
        self._thread.start()
        self._former_wakeup = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        _open.append(self)
        for number in _SIGNALS:
            previous = signal.getsignal(number)
            # None is a handler of another library's in C, which Python could not put back.
            if previous is not None and not (number == _HANGUP and previous == signal.SIG_IGN):
                self._previous[number] = previous
                signal.signal(number, self._note)
        return self

    def __exit__(self, *exception: object) -> None:
        if self not in _open:
            return
        self._restore()
        _open.remove(self)
        self._second_noted.set()
        self._writer.send(_END)
        self._thread.join()
        self._reader.close()
        self._writer.close()

    def working_on(self, after: str) -> None:
        """Changes what is finished before a stop, unless that was asked for already."""
        if self.signal_number is None:
            self._after = after

    def _note(self, number: int, frame: FrameType | None) -> None:
        """The handler, which Python calls in the main thread between two instructions."""
        if self.signal_number is None:
            self.signal_number, self._noted_at = number, time.monotonic()
            self._leave_lost_terminal(number)
            if self._raises:
                # Not `Stopped`: this may be in the middle of anything.
                raise KeyboardInterrupt
        elif _counts_as_second(number, self._noted_at):
            self._second_noted.set()
            previous = self._previous[number]
            self._restore()
            if callable(previous):
                previous(number, frame)
            elif previous == signal.SIG_DFL:
                os.kill(os.getpid(), number)

    def _restore(self) -> None:
        """Puts back handlers and wakeup descriptor; for a second time does nothing."""
        for number, handler in self._previous.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        self._previous = {}
        if self._former_wakeup is not None:
            signal.set_wakeup_fd(self._former_wakeup, warn_on_full_buffer=False)
            self._former_wakeup = None

    def _listen(self) -> None:
        """The thread: reads the numbers of signals as they arrive, also inside a compiled call."""
        first_at: float | None = None
        while (byte := self._reader.recv(1)) not in (b"", _END):
            number = byte[0]
            self._pass_on(byte)
            if number not in _SIGNALS:
                continue
            name = signal.Signals(number).name
            if first_at is None:
                first_at = time.monotonic()
                self._leave_lost_terminal(number)
                self._tell(f"stopping after {self._after} ({name}; a second Ctrl-C or SIGTERM ends at once)")
                self.acknowledged.set()
            elif _counts_as_second(number, first_at) and not self._second_noted.wait(_PATIENCE_S):
                # The main thread is inside a call that may never return.
                self._tell(f"ended at once ({name}); what was saved before is untouched")
                os._exit(128 + number)

    def _pass_on(self, byte: bytes) -> None:
        """Gives a signal's number to whoever listened before (asyncio does), if that is not another of us."""
        former = self._former_wakeup
        ours = [request._writer.fileno() for request in list(_open)]
        if former is not None and former not in (-1, *ours):
            with contextlib.suppress(OSError):
                os.write(former, byte)

    def _tell(self, text: str) -> None:
        # The terminal may be the one that was hung up.
        with contextlib.suppress(OSError, ValueError):
            self._say(text)

    def _leave_lost_terminal(self, number: int) -> None:
        """After a hangup every write to the terminal fails, which must not keep a run from being saved."""
        for descriptor in self._terminals if number == _HANGUP else ():
            if not _is_terminal(descriptor):
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, descriptor)
                os.close(nowhere)


# Those that are open, the innermost last; only the main thread opens any.
_open: list[StopRequest] = []


def stop_requested() -> bool:
    """Returns whether a signal has asked the innermost open `StopRequest` for a stop."""
    return bool(_open) and _open[-1].signal_number is not None


def raise_if_stopped() -> None:
    """Raises `Stopped` if a signal has asked for a stop: for the safe points of long loops."""
    if _open and (number := _open[-1].signal_number) is not None:
        raise Stopped(number)


def _counts_as_second(number: int, first_at: float) -> bool:
    # A lost terminal may be told more than once, by the shell and by the system.
    return number != _HANGUP and time.monotonic() - first_at > _SAME_S


def _is_terminal(descriptor: int) -> bool:
    with contextlib.suppress(OSError):
        return os.isatty(descriptor)
    return False


def _say_on_stderr(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _restore_in_child() -> None:
    """A forked child (an environment's worker) ends by a signal, and wakes nobody in its parent."""
    while _open:
        _open.pop()._restore()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_restore_in_child)
