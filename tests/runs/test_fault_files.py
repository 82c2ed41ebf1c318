"""A run's files are data: whatever is wrong with one is a sentence that names it, and nothing is lost."""

from __future__ import annotations

import hashlib
import json
import os
import pathlib
import shutil
from typing import Any

import numpy as np
import pytest

import expol_tf
from expol_tf.errors import RunDirectoryError
from expol_tf.reports import find_runs
from expol_tf.runs import RunDirectory, RunFiles, RunTables, atomic_files, read_text_table
from expol_tf.runs.lock import DirectoryLock
from expol_tf.sweeps import table as sweep_table
from tests.runs import damage

CONFIG = "# The complete configuration.\n\nSEED = 3\n\ntrain.task = 'Hopper-v4'\ntrain.seed = %SEED\n"
VALUES = {"train.task": "Hopper-v4", "train.seed": 3, "train.num_env_steps": 2000}
ENVIRONMENT = {"seed": 3, "versions": {"expol_tf": expol_tf.__version__, "envpool": None}}
METRICS = "iteration,env_step,wall_time_s,episode_return_mean,episodes\n1,1000,1.0,5.0,2\n2,2000,2.0,6.0,4\n"
EVALUATION = "env_step,return_mean,return_std\n1000,5.5,0.1\n2000,6.5,0.1\n"


@pytest.fixture
def run(tmp_path: pathlib.Path) -> RunFiles:
    files = RunFiles(tmp_path / "root" / "run")
    files.root.mkdir(parents=True)
    files.config.write_text(CONFIG + "train.num_env_steps = 2000\n")
    files.configuration.write_text(json.dumps(VALUES))
    files.environment.write_text(json.dumps(ENVIRONMENT))
    files.fingerprint.write_text(json.dumps({"train.task": "'Hopper-v4'"}))
    files.metrics_csv.write_text(METRICS)
    files.evaluation_csv.write_text(EVALUATION)
    return files


def resumed(files: RunFiles) -> None:
    with RunDirectory(files.root) as run:
        run.prepare("", {}, {"train.task": "'Hopper-v4'"}, ENVIRONMENT)


def content(root: pathlib.Path) -> dict[str, object]:
    return {path.name: os.lstat(path).st_mtime_ns for path in root.iterdir() if path.name != ".lock"}


def one_message(error: BaseException, path: pathlib.Path, words: str) -> None:
    text = str(error)
    assert str(path) in text and words in text and "\n" not in text
    assert any(remedy in text for remedy in ("Restore", "Remove it", "remove it"))


def test_the_run_itself_is_good(run: RunFiles) -> None:
    resumed(run)
    (found,) = find_runs([run.root]).runs
    assert found.seed == 3 and found.progress.outcome == "finished" and len(found.evaluations.env_step) == 2
    assert run.read_config().endswith("2000\n")


@pytest.mark.parametrize("kind", damage.JSON)
@pytest.mark.parametrize("name", ["environment.json", "fingerprint.json", "configuration.json"])
def test_fault_14_a_record_in_json(
    run: RunFiles, monkeypatch: pytest.MonkeyPatch, name: str, kind: str
) -> None:
    change, words = damage.JSON[kind]
    path = run.root / name
    change(path)
    damage.refuse(monkeypatch, path)
    before = content(run.root)
    with pytest.raises(RunDirectoryError) as reported:
        find_runs([run.root])
    one_message(reported.value, path, words)
    if name == "configuration.json":
        # Training needs nothing of it, and writes it anew.
        resumed(run)
        return
    with pytest.raises(RunDirectoryError) as trained:
        resumed(run)
    one_message(trained.value, path, words)
    assert content(run.root) == before and not (run.root / ".lock").exists()


@pytest.mark.parametrize(
    ("name", "wrong", "words"),
    [
        ("environment.json", {**ENVIRONMENT, "seed": "3"}, "'seed' must be a whole number"),
        ("environment.json", {**ENVIRONMENT, "seed": -1}, "'seed' must be a whole number"),
        ("environment.json", {**ENVIRONMENT, "seed": 0.5}, "'seed' must be a whole number"),
        ("environment.json", {**ENVIRONMENT, "seed": True}, "'seed' must be a whole number"),
        ("environment.json", {**ENVIRONMENT, "seed": [3]}, "'seed' must be a whole number"),
        ("environment.json", {**ENVIRONMENT, "versions": [1]}, "'versions' must be an object"),
        ("environment.json", {**ENVIRONMENT, "versions": {"expol_tf": 2}}, "'expol_tf' must be a text"),
        ("environment.json", {**ENVIRONMENT, "threads": "many"}, "'threads' must be an object"),
        ("environment.json", {**ENVIRONMENT, "device": {}}, "'device' must be a text"),
        ("fingerprint.json", {"train.task": 5}, "'train.task' must be a text"),
        ("fingerprint.json", {"train.task": ["'Hopper-v4'"]}, "'train.task' must be a text"),
        ("configuration.json", {**VALUES, "train.task": 5}, "train.task must be a name; got 5"),
        ("configuration.json", {**VALUES, "train.task": {"a": 1}}, "train.task must be a name"),
        ("configuration.json", {**VALUES, "train.num_env_steps": "many"}, "a number of environment steps"),
        ("configuration.json", {**VALUES, "train.num_env_steps": -1}, "a number of environment steps"),
        ("configuration.json", {**VALUES, "train.num_env_steps": [1]}, "a number of environment steps"),
    ],
)  # fmt: skip
def test_fault_14_a_record_of_other_types(run: RunFiles, name: str, wrong: object, words: str) -> None:
    (run.root / name).write_text(json.dumps(wrong))
    with pytest.raises(RunDirectoryError) as reported:
        find_runs([run.root])
    assert words in str(reported.value) and str(run.root) in str(reported.value)
    if name != "configuration.json":
        with pytest.raises(RunDirectoryError, match="'"):
            resumed(run)


@pytest.mark.parametrize("name", ["environment.json", "fingerprint.json"])
def test_fault_14_a_part_of_the_record_is_lost(run: RunFiles, name: str) -> None:
    (run.root / name).unlink()
    run.checkpoints.mkdir()
    with pytest.raises(RunDirectoryError, match=name.replace(".", r"\.")):
        resumed(run)


def test_fault_14_a_seed_is_not_guessed(run: RunFiles) -> None:
    run.environment.write_text(json.dumps({"versions": ENVIRONMENT["versions"]}))
    with pytest.raises(RunDirectoryError, match="it has no 'seed'"):
        resumed(run)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        *((kind, words) for kind, (_, words) in {**damage.ANY, **damage.NOT_UTF_8}.items()),
        ("empty", "it is empty"),
        ("half", "it is cut off"),
        ("half_at_a_line", "it has no train.num_env_steps, which configuration.json has"),
    ],
)
def test_fault_14_a_configuration(
    run: RunFiles, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, kind: str, words: str
) -> None:
    changes = {name: change for name, (change, _) in (damage.JSON | damage.NOT_UTF_8).items()}
    changes["half_at_a_line"] = lambda path: path.write_text(CONFIG)
    changes[kind](run.config)
    damage.refuse(monkeypatch, run.config)
    with pytest.raises(RunDirectoryError) as raised:
        run.read_config()
    one_message(raised.value, run.config, words)
    if kind == "directory":
        return
    with RunDirectory(run.root) as training:
        training.write_config("train.task = 'Hopper-v4'\n", {"train.task": "Hopper-v4"})
    assert f"{words}. It is written anew." in capsys.readouterr().out
    assert run.config.read_text() == "train.task = 'Hopper-v4'\n"


@pytest.mark.parametrize("kind", damage.ANY | damage.NOT_UTF_8)
@pytest.mark.parametrize("name", ["metrics.csv", "evaluation.csv"])
def test_fault_14_a_table_that_cannot_be_read(
    run: RunFiles, monkeypatch: pytest.MonkeyPatch, name: str, kind: str
) -> None:
    change, words = (damage.ANY | damage.NOT_UTF_8)[kind]
    path = run.root / name
    change(path)
    damage.refuse(monkeypatch, path)
    with pytest.raises(RunDirectoryError) as reported:
        find_runs([run.root])
    one_message(reported.value, path, words)
    if kind != "not_utf_8":
        with pytest.raises(RunDirectoryError) as trained:
            tables(run).restore(2000, 2000, {}, {})
        one_message(trained.value, path, words)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (METRICS.replace("1000", "first"), "could not convert"),
        (METRICS.replace("1,1000", "1,-1000"), "env_step does not grow"),
        (METRICS.replace("2,2000", "2,500"), "env_step does not grow"),
        (METRICS.replace("2,2000", "2,1e999"), "env_step is above"),
        (METRICS.replace("2,2000", "2,2000.5"), "env_step does not grow"),
        (METRICS.replace("5.0,2", "5.0,x"), "could not convert"),
        (METRICS.replace("6.0,4", "6.0,1"), "episodes must be whole numbers that do not fall"),
        (METRICS.replace("6.0,4", "6.0,"), "episodes must be whole numbers"),
        (METRICS.replace("1,1000,1.0,5.0,2", "1,1000"), "line 2 has 2 cells instead of 5"),
        (METRICS.replace("2,2000", "\0\0\0"), "it holds bytes of zero"),
        (METRICS.replace("5.0", "5" * 200_000), "line 2 is no row"),
        (METRICS + "\n", "line 4 is no row"),
        (METRICS + "3,3000\n", "line 4 has 2 cells instead of 5"),
        ("[" * 100_000, "it does not begin with the names of columns"),
        ("1" * 5_000 + "\n", "no column env_step"),
    ],
)
def test_fault_14_a_table_of_something_else(run: RunFiles, text: str, words: str) -> None:
    run.metrics_csv.write_text(text)
    with pytest.raises(RunDirectoryError) as raised:
        find_runs([run.root])
    one_message(raised.value, run.metrics_csv, words)


@pytest.mark.parametrize("kind", damage.ANY | damage.NOT_UTF_8)
def test_fault_14_the_table_of_a_sweep(run: RunFiles, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    path = run.root.parent / "sweep.csv"
    path.write_text("experiment,task,seed,directory,status\n")
    change, words = (damage.ANY | damage.NOT_UTF_8)[kind]
    change(path)
    damage.refuse(monkeypatch, path)
    for use in (lambda: find_runs([path.parent]), lambda: sweep_table.read_index(path.parent)):
        with pytest.raises(RunDirectoryError) as raised:
            use()
        one_message(raised.value, path, words)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("nfp,Hopper-v4,0,run,finished\nnfp,Hopper-v4\nnfp,Hopper-v4,1,run1,finished\n", "line 3 has 2 cells"),
        ("nfp,Hopper-v4,0,run,finished,many\n", "attempts"),
        ("nfp,Hopper-v4,0,run,finished,-1\n", "attempts"),
    ],
)
def test_fault_14_a_row_of_a_sweep(run: RunFiles, row: str, words: str) -> None:
    header = "experiment,task,seed,directory,status" + (",attempts" if "many" in row or "-1" in row else "")
    (run.root.parent / "sweep.csv").write_text(f"{header}\n{row}")
    with pytest.raises(RunDirectoryError, match=words):
        sweep_table.read_index(run.root.parent)


def test_fault_14_an_unreadable_directory_among_runs(run: RunFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    below = run.root.parent / "closed"
    below.mkdir()
    listed = pathlib.Path.iterdir

    def guarded(path: pathlib.Path):
        if path == below:
            raise PermissionError(13, "Permission denied")
        return listed(path)

    monkeypatch.setattr(pathlib.Path, "iterdir", guarded)
    with pytest.raises(RunDirectoryError, match=r"closed cannot be read: Permission denied\. Make it readable"):
        find_runs([run.root.parent])


def tables(run: RunFiles) -> RunTables:
    return RunTables(run, ("iteration", "env_step"), ("env_step", "return_mean", "return_std"))


@pytest.fixture
def known(run: RunFiles) -> tuple[dict, dict]:
    """What a checkpoint knows of ten rows and two evaluations."""
    run.metrics_csv.unlink()
    run.evaluation_csv.unlink()
    written = tables(run)
    for i in range(1, 11):
        written.add_metrics({"iteration": i, "env_step": 100 * i, "kl": 0.25})
    for step in (500, 1000):
        written.add_evaluation({"env_step": step, "return_mean": 1.0, "return_std": 0.5})
    written.close()
    return written.get_state(), json.loads(json.dumps(written.get_values()))


def test_whole_tables_are_no_news(run: RunFiles, known: tuple[dict, dict]) -> None:
    assert tables(run).restore(1000, 1000, *known) == []
    assert tables(run).restore(1000, 1000, {}, {}) == []
    # Of rows after the checkpoint nothing is said.
    more = tables(run)
    more.restore(1000, 1000, *known)
    more.add_metrics({"iteration": 11, "env_step": 1100, "kl": 0.5})
    assert len(more.get_state()["rows/metrics.csv"]) == 11
    more.close()
    assert tables(run).restore(1000, 1000, *known) == []


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("deleted", "metrics.csv has 0 of the 10 rows that the checkpoint of env_step 1,000 knows of; missing are "
         "those at env_step 100 to 1,000. The run goes on without them."),
        ("emptied", "metrics.csv has 0 of the 10 rows"),
        ("cut", "has 4 of the 10 rows that the checkpoint of env_step 1,000 knows of; missing are those at "
         "env_step 500 to 1,000."),
        ("gaps", "has 6 of the 10 rows that the checkpoint of env_step 1,000 knows of; missing are those at "
         "env_step 200 to 300, 500, 900."),
        ("damaged", "has 9 of the 10 rows that the checkpoint of env_step 1,000 knows of; missing are those at "
         "env_step 300."),
        ("edited", "metrics.csv has rows that are not those of the checkpoint of env_step 1,000"),
        ("of_another_run", "metrics.csv has 0 of the 10 rows"),
        ("of_another_length", "has 5 of the 10 rows that the checkpoint of env_step 1,000 knows of; missing are "
         "those at env_step 100, 300, 500 and 2 more gaps."),
        ("no_text", "metrics.csv has 0 of the 10 rows"),
    ],
)  # fmt: skip
def test_fault_14_rows_that_a_checkpoint_knows(
    run: RunFiles, known: tuple[dict, dict], change: str, sentence: str
) -> None:
    path = run.metrics_csv
    lines = path.read_text().splitlines(keepends=True)
    if change == "deleted":
        path.unlink()
    elif change == "of_another_run":
        path.write_text("iteration,env_step,q_mean\n1,100,7.0\n")
    elif change == "no_text":
        path.write_bytes(b"\xff\xfe\n" + b"".join(line.encode() for line in lines))
    else:
        kept = {
            "emptied": [],
            "cut": lines[:5] + ["5,5"],
            "gaps": [line for i, line in enumerate(lines) if i not in (2, 3, 5, 9)],
            "damaged": [*lines[:3], "3,3\0\n", *lines[4:]],
            "edited": [*lines[:3], "3,300,0.5\n", *lines[4:]],
            "of_another_length": [lines[0], *(f"{i},{200 * i},0.25\n" for i in range(1, 6))],
        }
        path.write_text("".join(kept[change]))
    resumed_tables = tables(run)
    notes = resumed_tables.restore(1000, 1000, *known)
    assert sentence in notes[-1] and len(notes) == (2 if change in ("of_another_run", "no_text") else 1)
    if len(notes) == 2:
        assert notes[0] == "metrics.csv has not the columns of this run; it is kept as metrics.csv.damaged."
        assert path.with_name("metrics.csv.damaged").is_file()
    resumed_tables.add_metrics({"iteration": 11, "env_step": 1100, "kl": 0.5})
    resumed_tables.close()
    assert read_text_table(path)[-1]["env_step"] == "1100"
    # The next checkpoint knows what is there, so that it is said once.
    assert tables(run).restore(1100, 1000, resumed_tables.get_state(), resumed_tables.get_values()) == []


def test_fault_14_evaluations_that_a_checkpoint_knows(run: RunFiles, known: tuple[dict, dict]) -> None:
    run.evaluation_csv.unlink()
    (note,) = tables(run).restore(1000, 1000, *known)
    assert note.startswith("evaluation.csv has 0 of the 2 rows")
    run.evaluation_csv.write_text("env_step,length_mean\n500,3\n")
    notes = tables(run).restore(1000, 1000, *known)
    assert len(notes) == 2 and run.evaluation_csv.with_name("evaluation.csv.damaged").is_file()


def forged(*path: str, value: object = None) -> Any:
    """Changes an array or a value of what a checkpoint knows, or removes it."""

    def change(state: dict, values: dict) -> None:
        damage.set_entry(state if path[0].startswith("rows/") else values, path, value)

    return change


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (forged("rows/metrics.csv"), "it has no 'rows/metrics.csv'"),
        (forged("rows/evaluation.csv"), "it has no 'rows/evaluation.csv'"),
        (forged("rows/metrics.csv", value=np.zeros(0, np.int64)), "has 0 rows, which are not those"),
        (forged("rows/metrics.csv", value=np.array("text")), "must be integers of rank 1; got <U4 of rank 0"),
        (forged("rows/evaluation.csv", value=np.array(["a", "b"])), "'rows/evaluation.csv' must be integers"),
        (forged("rows/metrics.csv", value=np.zeros([10, 1], np.int64)), "rank 1; got int64 of rank 2"),
        (forged("rows/metrics.csv", value=np.zeros(10)), "must be integers of rank 1; got float64"),
        (forged("rows/metrics.csv", value=np.array([-1])), "must be steps from 0 to 1000"),
        (forged("rows/metrics.csv", value=np.array([1001])), "must be steps from 0 to 1000"),
        (forged("metrics.csv"), "'tables' has no 'metrics.csv'"),
        (forged("metrics.csv", "columns", value=["env_step", "kl"]), "'columns' has no 'iteration'"),
        (forged("evaluation.csv", "columns", value=["env_step"]), "'columns' has no 'return_mean'"),
        (forged("metrics.csv", "sha256", value=hashlib.sha256().hexdigest()), "has 10 rows, which are not those"),
    ],
)
def test_fault_14_what_a_checkpoint_knows_of_rows_is_none(
    run: RunFiles, known: tuple[dict, dict], change: Any, words: str
) -> None:
    assert tables(run).problem_with(1000, *known) is None
    change(*known)
    assert words in tables(run).problem_with(1000, *known)


def test_a_checkpoint_of_no_rows_is_whole(run: RunFiles) -> None:
    new = tables(run)
    assert new.problem_with(0, new.get_state(), new.get_values()) is None
    # The first runs of 0.2 know nothing of their tables.
    assert new.problem_with(1000, {}, {}) is None


@pytest.mark.parametrize("name", [".metrics.csv.tmp", ".lock"])
@pytest.mark.parametrize("target", ["file", "nothing"])
def test_fault_18_links_are_not_followed(tmp_path: pathlib.Path, name: str, target: str) -> None:
    mine = tmp_path / "mine"
    if target == "file":
        mine.write_text("of the user")
    root = tmp_path / "run"
    root.mkdir()
    (root / name).symlink_to(mine)
    if name == ".lock":
        with pytest.raises(RunDirectoryError, match=r"\.lock must be a lock file; it is a symbolic link.*Remove it"):
            RunDirectory(root).__enter__()
        assert DirectoryLock(root / ".lock").holder() is None
    else:
        atomic_files.write_atomically(root / "metrics.csv", "new")
        assert (root / "metrics.csv").read_text() == "new" and not (root / name).is_symlink()
    assert mine.read_text() == "of the user" if target == "file" else not mine.exists()


def test_fault_18_a_link_in_place_of_a_directory_is_removed_alone(tmp_path: pathlib.Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "file").touch()
    (tmp_path / ".policy.new").symlink_to(mine)
    atomic_files.remove(tmp_path / ".policy.new")
    atomic_files.remove(tmp_path / ".policy.new")
    assert (mine / "file").exists() and not os.path.lexists(tmp_path / ".policy.new")
    shutil.rmtree(mine)


def test_fault_18_a_temporary_file_that_cannot_be_removed_is_one_error(tmp_path: pathlib.Path) -> None:
    (tmp_path / ".a.tmp").mkdir()
    with pytest.raises(OSError, match="Is a directory"):
        atomic_files.write_atomically(tmp_path / "a", "new")


def test_the_holder_of_a_lock(tmp_path: pathlib.Path) -> None:
    assert DirectoryLock(tmp_path / ".lock").holder() is None
    with DirectoryLock(tmp_path / ".lock"):
        assert f"process {os.getpid()} on " in (DirectoryLock(tmp_path / ".lock").holder() or "")
        (tmp_path / ".lock").write_text("[" * 4000)
        assert DirectoryLock(tmp_path / ".lock").holder() == "another process"
    assert DirectoryLock(tmp_path / ".lock").holder() is None
