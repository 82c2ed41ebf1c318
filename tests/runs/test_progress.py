import contextlib
import io
import math
import os
import pty

import pytest

from expol_tf.runs.progress import Progress


class _Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


def test_plain_lines_where_there_is_no_terminal():
    stream, clock = io.StringIO(), _Clock()
    with Progress(100_000, description="Hopper-v5", stream=stream, clock=clock) as progress:
        for env_step in range(2_000, 52_000, 2_000):
            clock.now += 1.0
            progress.update(env_step, episode_return=env_step / 100, kl=0.0123456)
    lines = stream.getvalue().splitlines()
    # The first update, then one each ten seconds, then the last state: 25 updates in 25 seconds.
    assert len(lines) == 4
    assert "\x1b" not in stream.getvalue() and "\r" not in stream.getvalue()
    expected = "Hopper-v5: 50,000 / 100,000 steps (50%) | episode return 500.0 | kl 0.0123 | 2,000 steps/s"
    assert lines[-1] == f"{expected} | ETA 0:00:25"


def test_a_resumed_runs_earlier_steps_do_not_count_for_the_rate():
    stream, clock = io.StringIO(), _Clock()
    progress = Progress(1_000_000, initial=900_000, stream=stream, clock=clock)
    clock.now += 10.0
    progress.update(910_000)
    assert stream.getvalue() == "training: 910,000 / 1,000,000 steps (91%) | 1,000 steps/s | ETA 0:01:30\n"
    progress.close()
    progress.close()
    assert len(stream.getvalue().splitlines()) == 1


def test_the_rate_follows_recent_speed():
    stream, clock = io.StringIO(), _Clock()
    progress = Progress(10**6, stream=stream, clock=clock)
    step = 0
    for seconds, rate in ((100, 10), (100, 1000)):
        for _ in range(seconds):
            clock.now += 1.0
            step += rate
            progress.update(step)
    progress.close()
    assert " 1,000 steps/s" in stream.getvalue().splitlines()[-1]


def test_fields_keep_their_last_value_and_may_be_unknown():
    stream, clock = io.StringIO(), _Clock()
    with Progress(10, stream=stream, clock=clock) as progress:
        progress.update(1, episode_return=None, episodes=0)
        progress.update(2, episodes=1)
    first, last = stream.getvalue().splitlines()
    assert "episode return – | episodes 0" in first
    assert "2 / 10 steps (20%) | episode return – | episodes 1" in last


def test_slow_parts_with_a_line_each():
    """Of the whole time, as parts take their time."""
    stream, clock = io.StringIO(), _Clock()
    with Progress(4, 0, "kl_ball", "parts", stream, 0.0, math.inf, clock) as progress:
        for done, seconds in ((1, 10.0), (2, 190.0), (3, 100.0)):
            clock.now += seconds
            progress.update(done, notes=[f"part {done}"])
        progress.update(3, total=3)
    assert stream.getvalue().splitlines() == [
        "kl_ball: 1 / 4 parts (25%) | part 1 | ETA 0:00:30",
        "kl_ball: 2 / 4 parts (50%) | part 2 | ETA 0:03:20",
        "kl_ball: 3 / 4 parts (75%) | part 3 | ETA 0:01:40",
        "kl_ball: 3 / 3 parts (100%) | ETA 0:00:00",
    ]


@pytest.mark.parametrize("total", [0, 5])
def test_a_run_past_its_end_shows_all_of_it(total):
    stream = io.StringIO()
    with Progress(total, stream=stream, clock=_Clock()) as progress:
        progress.update(7)
    assert "(100%)" in stream.getvalue()


def test_one_line_is_redrawn_on_a_terminal(monkeypatch):
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "120")
    reader, writer = pty.openpty()
    clock = _Clock()
    with open(writer, "w") as terminal:
        with Progress(100_000, description="Hopper-v5", stream=terminal, clock=clock) as progress:
            for env_step in (10_000, 20_000, 30_000):
                clock.now += 1.0
                progress.update(env_step, episode_return=12.5)
            progress.message("resumed at env_step 0")
    output = b""
    # The other end is closed: what is left comes in pieces, then an error.
    with contextlib.suppress(OSError):
        while piece := os.read(reader, 100_000):
            output += piece
    os.close(reader)
    output = output.decode()
    assert "\x1b[" in output
    assert "resumed at env_step 0" in output
    # Redrawn in place: a redraw costs no line of its own.
    assert output.count("\n") <= 3
    final = output.rpartition("Hopper-v5: ")[2]
    expected = "30,000 / 100,000 steps (30%) | episode return 12.5 | 10,000 steps/s | ETA 0:00:07"
    assert final.startswith(expected)
