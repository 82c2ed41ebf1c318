"""What a report says of runs not done, that do not compare, or whose names are no text for a page."""

from __future__ import annotations

import importlib
import json
import os
import pathlib
import subprocess
import sys

import pytest

from expol_tf import reports
from expol_tf.errors import ConfigurationError, DependencyError, RunDirectoryError
from expol_tf.reports import find_runs, write_report
from expol_tf.reports.output import escaped, printable
from expol_tf.runs import LOCK, DirectoryLock
from tests.reports.synthetic import write_run
from tests.runs import damage

SCRIPT = "<script>alert(1)<script>"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A report on runs with tags and links wherever a run has a name."""
    root = tmp_path_factory.mktemp("runs")
    for seed in (0, 1):
        write_run(
            root / SCRIPT / f"seed{seed}",
            f"{SCRIPT}-v0",
            seed,
            settings={"A.b": repr(f"<b>{seed}[x](javascript:y)$\\bad$")},
            versions={"<i>": "<img src=x>"},
        )
    (root / SCRIPT / "seed0" / "config.gin").write_text(
        (root / SCRIPT / "seed0" / "config.gin").read_text().replace("Hopper", SCRIPT)
    )
    write_run(root / "$\\bad$" / "seed0", f"{SCRIPT}-v0")
    with (root / "sweep.csv").open("w") as file:
        file.write("experiment,task,seed,directory,status,message\n")
        file.write("<em>,t,5,gone,failed,<object data=x>\n")
    report = write_report([root], root / "out", repetitions=10, command="expol-report ```\n<style>")
    assert all(path.stat().st_size for path in report.files)
    assert "\n<" not in report.table and "\x1b" not in "".join(report.notes)
    return report.page.read_text()


@pytest.mark.parametrize("tag", ["<script", "<b>", "<i>", "<img", "<em>", "<object", "](javascript"])
def test_fault_18_names_are_no_tags(page: str, tag: str) -> None:
    assert tag not in page
    assert escaped(tag) in page or tag in ("<b>", "](javascript")


def test_fault_18_a_command_ends_no_block_of_code(page: str) -> None:
    assert "\n````\nexpol-report ```\N{REPLACEMENT CHARACTER}<style>\n````\n" in page


def test_text_is_escaped_as_markdown_has_it() -> None:
    assert escaped("a_b <b> & [x](y)") == "a_b &lt;b> &amp; [x]\\(y)"
    assert printable("\x1b[31mé\n") == "\N{REPLACEMENT CHARACTER}[31mé\N{REPLACEMENT CHARACTER}"


@pytest.mark.parametrize(
    ("left", "sentence"),
    [
        ((), r"One is being started in \S+ \(process \d+ on .*\): it can be reported when its first episode"),
        (
            ("config.gin", "fingerprint.json"),
            "A run can be reported when its first episode has ended. Wait",
        ),
        (("config.gin", "fingerprint.json", "metrics.csv"), "A run can be reported when its first episode"),
    ],
)
def test_fault_18_a_run_that_has_just_begun(tmp_path: pathlib.Path, left: tuple, sentence: str) -> None:
    run = write_run(tmp_path / "runs" / "a", returns=[float("nan")])
    for path in run.iterdir():
        if path.name not in (*left, "environment.json" if left else ""):
            path.unlink()
    with DirectoryLock(run / LOCK), pytest.raises((RunDirectoryError, ConfigurationError), match=sentence):
        write_report([tmp_path / "runs"], tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("rliable", r"aggregates need rliable.*pip install 'expol-tf\[reports\]'"),
        ("matplotlib.figure", r"reports need a package.*matplotlib.*pip install 'expol-tf\[reports\]'"),
    ],
)
def test_fault_13_reports_without_extras(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, name: str, words: str
) -> None:
    write_run(tmp_path / "a")
    monkeypatch.setitem(sys.modules, name, None)
    if name != "rliable":
        for module in [name for name in sys.modules if name.startswith("expol_tf.reports.")]:
            monkeypatch.delitem(sys.modules, module)
    with pytest.raises(DependencyError, match=words):
        reports.__getattr__("write_report")([tmp_path], tmp_path / "out", repetitions=10)
    assert not (tmp_path / "out").exists()
    monkeypatch.undo()
    importlib.import_module("expol_tf.reports.report")


@pytest.mark.parametrize(
    "tasks", [("Hopper-v4", "Walker2d-v4"), ("Hopper-v4", "expol/MultiGoal-v0", "Ant-v4")]
)
def test_fault_13_mixed_tasks_in_a_report(tmp_path: pathlib.Path, tasks: tuple[str, ...]) -> None:
    for i, task in enumerate(tasks):
        write_run(tmp_path / f"experiment{i}", task)
    with pytest.raises(
        ConfigurationError, match="must have a task in common to be compared; got experiment0"
    ):
        write_report([tmp_path], tmp_path / "out", repetitions=10)
    # Beside a task that all have, the others are left out of the aggregates, and named.
    for i in range(len(tasks)):
        write_run(tmp_path / f"common{i}" / "experiment" / "Swimmer-v4" / f"seed{i}", "Swimmer-v4", i)
    assert len(find_runs([tmp_path]).runs) == 2 * len(tasks)


@pytest.mark.parametrize("kind", damage.ANY | damage.NOT_UTF_8 | {"field": (None, "field larger than")})
def test_fault_14_a_table_of_a_peer(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    change, words = (damage.ANY | damage.NOT_UTF_8).get(kind, (None, "field larger than field limit"))
    path = tmp_path / "peer.csv"
    path.write_text("peer,task,seed,env_step,episode_return\n" + "1" * 200_000 + "\n")
    if change is not None:
        change(path)
    damage.refuse(monkeypatch, path)
    with pytest.raises(RunDirectoryError) as raised:
        reports.read_peer_curves(path)
    assert f"--peer_csv: {path} cannot be read: {words}" in str(raised.value)


def test_fault_14_a_task_of_another_type_is_no_name(tmp_path: pathlib.Path) -> None:
    run = write_run(tmp_path / "a")
    (run / "configuration.json").write_text(
        json.dumps({"train.task": ["Hopper-v4"], "train.num_env_steps": 3})
    )
    with pytest.raises(RunDirectoryError, match="train.task must be a name"):
        find_runs([tmp_path])


def test_fault_18_a_directory_whose_name_is_no_utf_8(tmp_path: pathlib.Path) -> None:
    """Python reads such a byte as half of a character, which no file holds."""
    root = tmp_path / "a\udcffb"
    for seed in (0, 1):
        write_run(root / f"seed{seed}", "Hopper-v4", seed)
    report = write_report([root], tmp_path / "out", repetitions=10, command=f"expol-report --root_dir={root}")
    assert f"--root_dir={tmp_path}/a\N{REPLACEMENT CHARACTER}b" in report.page.read_text(encoding="utf-8")
    assert "a?b" in (tmp_path / "out" / "results.csv").read_text(encoding="utf-8")
    assert all("\udcff" not in text for text in (report.table, *report.notes))


def test_fault_18_the_program_shows_such_a_name(tmp_path: pathlib.Path) -> None:
    write_run(tmp_path / "runs" / "seed0", "Hopper-v4")
    flags = [f"--root_dir={tmp_path}/runs", f"--output_dir={tmp_path}/a\udcffb", "--repetitions=10"]
    script = "import sys; from expol_tf import console; sys.exit(console.report())"
    done = subprocess.run(
        [sys.executable, "-c", script, *flags], capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONIOENCODING": "utf-8"},
    )  # fmt: skip
    assert done.returncode == 0 and "a\\udcffb/report.md and" in done.stdout, done.stderr
