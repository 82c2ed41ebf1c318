"""Hostile inputs of all kinds for all programs: no traceback, no hang, nothing wrong taken without a word.

    pytest -m slow tests/hostile                          all, with a table for each item
    python -m tests.hostile --trial=14/record/7           a single one, with all that it printed

How trials are drawn, run and judged is in the modules beside this one; `python -m tests.hostile --help` says
how to run some of them, or other ones.
"""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys

import pytest

from tests.hostile import catalogue, trial
from tests.hostile.trial import Ended, Meant, Trial, Verdict, judge

_ROOT = pathlib.Path(__file__).parent.parent.parent
_MIN_TRIALS = 60


def _run(
    arguments: list[str], tmp_path: pathlib.Path, capsys: pytest.CaptureFixture
) -> dict[str, dict[str, int]]:
    """Runs trials in a process that has not used TensorFlow, and shows what it prints; returns the counts."""
    result = tmp_path / "counts.json"
    command = [sys.executable, "-m", "tests.hostile", f"--json={result}", *arguments]
    path = os.pathsep.join([str(_ROOT), *filter(None, sys.path)])
    with capsys.disabled():
        print(flush=True)
        subprocess.run(command, cwd=_ROOT, env={**os.environ, "PYTHONPATH": path}, check=False)
    assert result.exists(), "the trials could not be run"
    return json.loads(result.read_text())


@pytest.mark.slow
@pytest.mark.parametrize("item", catalogue.ITEMS)
def test_fault_hostile_trials_of_item(
    item: int, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture
) -> None:
    counts = _run([f"--items={item}"], tmp_path, capsys)[str(item)]
    assert counts.pop("trials") >= _MIN_TRIALS
    assert not any(counts.values()), counts


@pytest.mark.slow
def test_killed_runs_of_every_experiment_stay_what_they_were(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture
) -> None:
    counts = _run(["--kills"], tmp_path, capsys)["0"]
    assert counts.pop("trials") >= 30
    assert not any(counts.values()), counts


def _ended(output: str, status: int | None) -> Ended:
    return Ended(status, output, pathlib.Path("/trial/here"))


_OURS = """\
Traceback (most recent call last):
  File "/trial/here/my_task.py", line 3, in step
    1 / 0
ZeroDivisionError: division by zero
"""
_THEIRS = _OURS.replace("/trial/here/my_task.py", "/lib/expol_tf/x.py")


@pytest.mark.parametrize(
    ("meant", "output", "status", "verdict"),
    [
        (Meant.EITHER, "", 0, Verdict.FINE),
        (Meant.NONSENSE, "error: no", 2, Verdict.FINE),
        (Meant.NONSENSE, "", 0, Verdict.ACCEPTED),
        (Meant.NONSENSE, "note: metrics.csv has fewer rows", 0, Verdict.FINE),
        (Meant.EITHER, "", 2, Verdict.ACCEPTED),
        (Meant.EITHER, "PROBLEM: a file was changed", 3, Verdict.ACCEPTED),
        (Meant.EITHER, f"PROBLEM: {trial.LATE} after 15", 3, Verdict.HANG),
        (Meant.VALID, "error: no", 2, Verdict.REFUSED),
        (Meant.EITHER, "", None, Verdict.HANG),
        (Meant.EITHER, "", -11, Verdict.TRACEBACK),
        (Meant.EITHER, _THEIRS, 1, Verdict.TRACEBACK),
        (Meant.EITHER, _OURS, 2, Verdict.FINE),
        (Meant.EITHER, _OURS + _THEIRS, 2, Verdict.TRACEBACK),
        (Meant.EITHER, "Traceback (most recent call last):\nKeyError", 1, Verdict.TRACEBACK),
    ],
)
def test_trials_are_judged(meant: Meant, output: str, status: int | None, verdict: Verdict) -> None:
    tried = Trial("", lambda: 0, meant, word="metrics")
    assert judge(tried, _ended(output, status))[0] is verdict


def test_enough_trials_are_drawn_and_the_same_again() -> None:
    counts = {
        item: sum(kind.count for kind in catalogue.KINDS if kind.item == item) for item in catalogue.ITEMS
    }
    assert set(counts) == set(range(13, 19))
    assert min(counts.values()) >= _MIN_TRIALS and sum(counts.values()) >= 500, counts
    # What can be configured is known once TensorFlow is imported, which takes seconds.
    for kind in (kind for kind in catalogue.KINDS if kind.name != "values"):
        name = f"{kind.item}/{kind.name}/0"
        assert catalogue.trial(name, "first").what == catalogue.trial(name, "first").what
