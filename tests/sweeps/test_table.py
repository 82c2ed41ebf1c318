"""The index of a sweep."""

from __future__ import annotations

import io
import pathlib
from pathlib import PurePosixPath

import pandas as pd
import pytest

from expol_tf.errors import RunDirectoryError
from expol_tf.runs import Progress, last_row
from expol_tf.sweeps import CheckedRun, SweepRun
from expol_tf.sweeps import table as sweep_table
from expol_tf.sweeps.progress import report_progress
from expol_tf.sweeps.table import RunState


def state(experiment: str, seed: int, parameters: dict | None = None, **fields) -> RunState:
    place = PurePosixPath(experiment, "Hopper-v4", f"seed{seed}")
    run = SweepRun(experiment, "Hopper-v4", parameters or {}, seed, place, (), ())
    return RunState(CheckedRun(run, "", 1000), **fields)


def test_pandas_reads_the_index(tmp_path: pathlib.Path) -> None:
    states = [
        state("nfp", 0, {"TrustRegion.max_kl": "0.01"}, status="finished", attempts=1, env_step=1024),
        state("nfp", 1, {"TrustRegion.max_kl": "0.02"}, status="failed", message='exit status 1: "a", b'),
        state("gaussian", 0, {"AffineConditioner.units": "(3, 3)"}),
    ]
    sweep_table.write_index(tmp_path, states)
    table = pd.read_csv(tmp_path / "sweep.csv")
    assert list(table.columns) == [
        "experiment", "task", "seed", "TrustRegion.max_kl", "AffineConditioner.units",
        "directory", "status", "attempts", "env_step", "message",
    ]  # fmt: skip
    assert list(table["status"]) == ["finished", "failed", "pending"]
    assert table["TrustRegion.max_kl"].dropna().tolist() == [0.01, 0.02]
    assert table["message"][1] == 'exit status 1: "a", b' and table["AffineConditioner.units"][2] == "(3, 3)"
    assert sweep_table.read_index(tmp_path)["nfp/Hopper-v4/seed0"]["env_step"] == "1024"
    assert [path.name for path in tmp_path.iterdir()] == ["sweep.csv"]


def test_an_index_that_cannot_be_written_is_the_users_to_mend(tmp_path: pathlib.Path) -> None:
    with pytest.raises(RunDirectoryError, match="cannot write"):
        sweep_table.write_index(tmp_path / "missing", [state("nfp", 0)])


def test_no_index_no_rows(tmp_path: pathlib.Path) -> None:
    assert sweep_table.read_index(tmp_path) == {}
    (tmp_path / "sweep.csv").write_bytes(b"experiment,ta")
    assert sweep_table.read_index(tmp_path) == {}
    (tmp_path / "sweep.csv").write_bytes(b"\xff\xfe broken")
    with pytest.raises(RunDirectoryError, match=r"sweep\.csv is damaged .*Restore it, or remove it"):
        sweep_table.read_index(tmp_path)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (None, None),
        ("", None),
        ("iteration,env_step,kl\n", None),
        ("iteration,env_step,kl\n1,128,0.5\n2,256,0.25\n", 256),
        # The last line is being written.
        ("iteration,env_step,kl\n1,128,0.5\n2,25", 128),
        ("iteration,env_step,kl\n" + "1,128,0.5\n" * 1000 + "2,256,0.25\n", 256),
    ],
)
def test_how_far_a_run_is(tmp_path: pathlib.Path, content: str | None, expected: int | None) -> None:
    if content is not None:
        (tmp_path / "metrics.csv").write_text(content)
    assert last_row(tmp_path / "metrics.csv").get("env_step") == expected


def test_the_summary_counts_and_names_failures() -> None:
    states = [
        state("nfp", 0, status="finished"),
        state("nfp", 1, status="failed", attempts=3, message="killed by SIGKILL"),
        state("gaussian", 0, status="finished"),
    ]
    assert sweep_table.summary(states).splitlines() == [
        "experiment  task       runs  finished  failed",
        "nfp         Hopper-v4     2         1       1",
        "gaussian    Hopper-v4     1         1       0",
        "failed: nfp/Hopper-v4/seed1 (attempts: 3): killed by SIGKILL",
    ]


def test_progress_counts_steps_and_time(tmp_path: pathlib.Path) -> None:
    now = [0.0]
    running = state("nfp", 0, status="running")
    states = [running, state("nfp", 1, status="pending"), state("nfp", 2, status="failed", env_step=200)]
    stream = io.StringIO()
    metrics = running.files(tmp_path).metrics_csv
    metrics.parent.mkdir(parents=True)
    clock = lambda: now[0]  # noqa: E731
    with Progress(300, 300, "sweep", stream=stream, line_interval_s=10.0, clock=clock) as progress:
        for now[0], step in ((0.0, 100), (5.0, 200), (10.0, 300)):
            metrics.write_text(f"env_step,episode_return_mean\n{step},1.5\n")
            report_progress(progress, states, tmp_path)
        assert running.env_step == 300
    # 200 steps in 10 s; 700 of the running and 1,000 of the pending run are left, none of the failed one.
    assert stream.getvalue().splitlines()[1:] == [
        "sweep: 500 / 2,200 steps (23%) | 0 of 3 runs finished | 1 running | 1 failed | 1 pending"
        " | 20 steps/s | ETA 0:01:25"
    ]
