"""A stop is heard at once, also inside a compiled call, and leaves handlers as they were."""

from __future__ import annotations

import asyncio
import hashlib
import os
import pty
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator

import pytest

from expol_tf.interruption import Stopped, StopRequest, raise_if_stopped, stop_requested

NUMBERS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


def name(number: int) -> str:
    return signal.Signals(number).name


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """Every test leaves handlers and wakeup descriptor as it found them."""
    before = [signal.getsignal(number) for number in NUMBERS]
    yield
    assert [signal.getsignal(number) for number in NUMBERS] == before
    assert signal.set_wakeup_fd(-1) == -1
    assert not stop_requested()


def compiled_call(rounds: int = 300_000) -> None:
    """Takes some tenths of a second and, like TensorFlow, lets other threads run, but no handler."""
    hashlib.pbkdf2_hmac("sha256", b"password", b"salt", rounds)


def send_soon(number: int) -> None:
    threading.Timer(0.05, os.kill, (os.getpid(), number)).start()


@pytest.mark.parametrize("number", NUMBERS, ids=name)
def test_fault_10_a_stop_is_acknowledged_inside_a_compiled_call(number: int) -> None:
    said: list[tuple[str, bool]] = []
    inside = True

    def say(text: str) -> None:
        said.append((text, inside))

    with StopRequest("the present update", say=say) as stop:
        send_soon(number)
        compiled_call()
        inside = False
        assert stop.signal_number == number and stop_requested()
        with pytest.raises(Stopped) as stopped:
            raise_if_stopped()
        assert stopped.value.signal_number == number
    ((text, was_inside),) = said
    assert text.startswith(f"stopping after the present update ({name(number)}") and was_inside


def test_nothing_is_asked_for_without_a_signal() -> None:
    with StopRequest() as stop:
        raise_if_stopped()
        assert stop.signal_number is None and not stop_requested()
    raise_if_stopped()


def test_what_is_said_goes_to_standard_error_and_names_the_present_work(capsys: pytest.CaptureFixture) -> None:
    with StopRequest("the warm-up") as stop:
        stop.working_on("the export")
        os.kill(os.getpid(), signal.SIGTERM)
    assert capsys.readouterr().err.startswith("stopping after the export (SIGTERM; ")


def test_a_terminal_that_is_gone_ends_nothing() -> None:
    def say(text: str) -> None:
        raise OSError(5, "Input/output error")

    with StopRequest(say=say) as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.signal_number == signal.SIGTERM


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=name)
def test_fault_10_a_second_signal_acts_as_it_did_before(number: int) -> None:
    calls: list[int] = []
    before = signal.signal(number, lambda received, frame: calls.append(received))
    try:
        with StopRequest(say=lambda text: None):
            os.kill(os.getpid(), number)
            # A wrapper's copy of the same signal.
            os.kill(os.getpid(), number)
            assert not calls
            time.sleep(0.3)
            os.kill(os.getpid(), number)
            assert calls == [number]
    finally:
        signal.signal(number, before)


def test_fault_10_a_second_ctrl_c_is_a_keyboard_interrupt() -> None:
    with pytest.raises(KeyboardInterrupt) as interrupt, StopRequest(say=lambda text: None):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.3)
        os.kill(os.getpid(), signal.SIGINT)
    # No safe point: what was going on is not to be saved.
    assert not isinstance(interrupt.value, Stopped)


def test_a_lost_terminal_may_be_told_more_than_once() -> None:
    with StopRequest(say=lambda text: None) as stop:
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGHUP)
            time.sleep(0.3)
        assert stop.signal_number == signal.SIGHUP


def test_a_hangup_that_nohup_ignores_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with StopRequest() as stop:
            os.kill(os.getpid(), signal.SIGHUP)
            assert stop.signal_number is None and signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_work_that_has_nothing_to_save_ends_wherever_it_is() -> None:
    with pytest.raises(KeyboardInterrupt), StopRequest(raises=True, say=lambda text: None) as stop:
        os.kill(os.getpid(), signal.SIGTERM)
    assert stop.signal_number == signal.SIGTERM


def test_the_innermost_request_is_asked() -> None:
    said: list[str] = []
    with StopRequest("the outer", say=said.append) as outer:
        with StopRequest("the inner", say=said.append) as inner:
            os.kill(os.getpid(), signal.SIGTERM)
            assert stop_requested() and outer.signal_number is None
        assert inner.signal_number == signal.SIGTERM and not stop_requested()
        os.kill(os.getpid(), signal.SIGHUP)
        assert stop_requested()
    assert [text.partition(" (")[0] for text in said] == ["stopping after the inner", "stopping after the outer"]


def test_outside_the_main_thread_it_does_nothing() -> None:
    failures: list[BaseException] = []

    def work() -> None:
        try:
            with StopRequest() as stop:
                raise_if_stopped()
                assert stop.signal_number is None
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert not failures


def test_an_event_loop_hears_its_own_signals_meanwhile() -> None:
    heard: list[str] = []

    async def main() -> None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, heard.append, "SIGUSR1")
        with StopRequest(say=lambda text: None) as stop:
            os.kill(os.getpid(), signal.SIGUSR1)
            await asyncio.sleep(0.05)
            assert heard == ["SIGUSR1"] and stop.signal_number is None

    asyncio.run(main())


def test_a_forked_child_ends_by_a_signal() -> None:
    said: list[str] = []
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        with StopRequest(say=said.append) as stop:
            reads, writes = os.pipe()
            child = os.fork()
            if not child:
                os.write(writes, b"begun")
                time.sleep(10.0)
                os._exit(0)
            os.read(reads, 5)
            os.kill(child, signal.SIGTERM)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGTERM
            assert stop.signal_number is None
    finally:
        signal.signal(signal.SIGTERM, before)
    assert not said


def program(text: str, **arguments: object) -> subprocess.Popen:
    code = textwrap.dedent(text).replace("compiled_call()", "hashlib.pbkdf2_hmac('sha256', b'', b'', 10**9)")
    return subprocess.Popen(
        [sys.executable, "-c", code], text=True, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        **arguments,  # type: ignore[call-overload]
    )  # fmt: skip


def ended(process: subprocess.Popen) -> int:
    try:
        return process.wait(timeout=60)
    finally:
        process.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=name)
def test_fault_10_a_second_signal_ends_a_compiled_call_that_never_returns(number: int) -> None:
    process = program(
        """
        import hashlib
        from expol_tf.interruption import StopRequest
        with StopRequest():
            print("begun", flush=True)
            compiled_call()
        """,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout.readline() == "begun\n"
    process.send_signal(number)
    assert process.stderr.readline().startswith("stopping after the present step")
    time.sleep(0.5)
    process.send_signal(number)
    assert process.stderr.readline().startswith(f"ended at once ({name(number)})")
    assert ended(process) == 128 + number


def test_fault_10_a_lost_terminal_keeps_nothing_from_being_saved(tmp_path) -> None:
    terminal, its_end = pty.openpty()
    process = program(
        f"""
        import fcntl, termios, pathlib, time
        from expol_tf.interruption import StopRequest
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        with StopRequest() as stop:
            print("begun", flush=True)
            while stop.signal_number is None:
                time.sleep(0.01)
            print("saving", flush=True)
            pathlib.Path({str(tmp_path / "saved")!r}).write_text(str(stop.signal_number))
        print("saved", flush=True)
        """,
        stdin=its_end,
        stdout=its_end,
        stderr=its_end,
        start_new_session=True,
    )
    os.close(its_end)
    assert os.read(terminal, 100).startswith(b"begun")
    os.close(terminal)
    assert ended(process) == 0
    assert (tmp_path / "saved").read_text() == str(int(signal.SIGHUP))
