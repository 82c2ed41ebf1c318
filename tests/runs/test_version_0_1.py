"""Runs of version 0.1: they cannot be resumed, stay as they are, and can be reported."""

from __future__ import annotations

import json
import pathlib
import re
import shutil
from collections.abc import Callable

import pytest

import expol_tf
from expol_tf.cli.commands import train as command_line
from expol_tf.configuration import gin_syntax
from expol_tf.errors import CheckpointError, RunDirectoryError
from expol_tf.reports import find_runs
from expol_tf.runs import RunDirectory
from expol_tf.training import task_record
from expol_tf.training.checkpointing import FORMAT_VERSION, CheckpointStore
from tests.runs import version_0_1

# One sentence with both versions.
REFUSED = re.compile(
    rf"root_dir \S+ holds a run of expol_tf 0\.1\.0, which expol_tf {re.escape(expol_tf.__version__)} cannot "
    r"resume: give another root_dir, or resume it with expol_tf 0\.1\.0\.\n?$"
)


@pytest.fixture
def root(tmp_path: pathlib.Path) -> pathlib.Path:
    return version_0_1.write_run(tmp_path / "run")


def test_the_directory_is_refused_before_anything_in_it_changes(root: pathlib.Path) -> None:
    before = version_0_1.content(root)
    with pytest.raises(RunDirectoryError) as raised:
        RunDirectory(root).__enter__()
    assert REFUSED.fullmatch(str(raised.value))
    assert version_0_1.content(root) == before


def _environment(text: str) -> Callable[[pathlib.Path], None]:
    return lambda root: (root / "environment.json").write_text(text) and None


def _fingerprint_alone(root: pathlib.Path) -> None:
    fingerprint = (root / "fingerprint.json").read_bytes()
    shutil.rmtree(root)
    root.mkdir()
    (root / "fingerprint.json").write_bytes(fingerprint)


ASK_IT = "resume it with the version that began it"
UNKNOWN = r"a run of an unknown version of expol_tf \(none is in environment\.json\)"


@pytest.mark.parametrize(
    ("change", "run", "remedy"),
    [
        *(
            (_environment(text), UNKNOWN, ASK_IT)
            for text in ("{}", '{"versions": {"numpy": "1.26"}}', '{"versions": {"expol_tf": null}}')
        ),
        *(
            (_environment(json.dumps({"versions": {"expol_tf": version}})), f"a run of expol_tf {version}",
             f"resume it with expol_tf {version}")
            for version in ("abc", "0.3.0", "0.10.0", "1.0", "0.1.9")
        ),
        (lambda root: (root / "environment.json").unlink(), UNKNOWN, ASK_IT),
        (_fingerprint_alone, UNKNOWN, ASK_IT),
        (
            _environment(json.dumps({"versions": {"expol_tf": expol_tf.__version__}})),
            "a run without configuration.json, as versions before 0.2 left them",
            "restore configuration.json",
        ),
    ],
)  # fmt: skip
def test_a_run_that_does_not_say_that_it_fits_is_refused_likewise(
    root: pathlib.Path, change: Callable[[pathlib.Path], None], run: str, remedy: str
) -> None:
    change(root)
    before = version_0_1.content(root)
    with pytest.raises(RunDirectoryError) as raised:
        RunDirectory(root).__enter__()
    assert re.fullmatch(
        rf"root_dir \S+ holds {run}, which expol_tf {re.escape(expol_tf.__version__)} cannot resume: "
        rf"give another root_dir, or {remedy}\.",
        str(raised.value),
    )
    assert version_0_1.content(root) == before


def test_a_newer_run_with_its_whole_record_is_refused_too(root: pathlib.Path) -> None:
    (root / "configuration.json").write_text("{}")
    (root / "environment.json").write_text(json.dumps({"versions": {"expol_tf": "0.3.0"}}))
    with pytest.raises(RunDirectoryError, match=r"holds a run of expol_tf 0\.3\.0, which"):
        RunDirectory(root).__enter__()
    # A patch changes no format.
    (root / "environment.json").write_text(json.dumps({"seed": 0, "versions": {"expol_tf": "0.2.99"}}))
    with RunDirectory(root) as run:
        assert run.exists


@pytest.mark.parametrize(
    "files", [[], ["--gin_file=gin/gaussian_trpo.gin", "--gin_file=gin/tasks/pendulum.gin"]]
)
def test_the_program_refuses_it_by_the_same_sentence(
    root: pathlib.Path, files: list[str], capsys: pytest.CaptureFixture
) -> None:
    """Whatever is asked for: neither names that went nor another fingerprint is complained of."""
    before = version_0_1.content(root)
    assert command_line.train_main(["expol-train", *files, f"--root_dir={root}"]) == 2
    assert REFUSED.search(capsys.readouterr().err)
    assert version_0_1.content(root) == before


@pytest.mark.parametrize("read_only", [False, True])
def test_its_checkpoints_are_no_damage(root: pathlib.Path, read_only: bool) -> None:
    before = version_0_1.content(root)
    with pytest.raises(CheckpointError, match=f"format version 1; expol_tf .* reads .*{FORMAT_VERSION}"):
        CheckpointStore(root / "checkpoints").restore({}, read_only)
    assert version_0_1.content(root) == before


@pytest.mark.parametrize("version", ["1", "2", "", [], True, 2.5])
def test_a_format_version_that_is_no_number_is_none_either(root: pathlib.Path, version: object) -> None:
    manifest = root / "checkpoints" / "checkpoint-000000000512" / "manifest.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"format_version": version}))
    before = version_0_1.content(root)
    with pytest.raises(CheckpointError, match=re.escape(f"has format version {version!r}; expol_tf")):
        CheckpointStore(root / "checkpoints").restore({})
    assert version_0_1.content(root) == before


def test_it_can_be_reported(root: pathlib.Path) -> None:
    (run,) = find_runs([root]).runs
    assert (run.task, run.seed, run.progress.env_step, run.progress.target_env_steps) == (
        "Pendulum-v1",
        3,
        512,
        500,
    )
    assert (
        run.record.values["train.agent"] == "@NameThatWentAgent"
        and run.record.values["train.wrappers"] == "()"
    )
    assert run.episodes.return_mean.tolist() == [-1200.0, -1100.0]
    assert run.evaluations.return_mean.tolist() == [-1000.0] and run.record.versions["expol_tf"] == "0.1.0"


def test_evaluation_needs_no_name_that_went(root: pathlib.Path) -> None:
    statements = gin_syntax.read_files([str(root / "config.gin")])
    assert [item.name for item in task_record._needed_statements(statements)] == [
        "TASK",
        "train.task",
        "train.wrappers",
        "train.make_kwargs",
    ]


def test_what_a_task_refers_to_is_needed() -> None:
    text = (
        "import mine\nN = 3\nM = 4\ntrain.wrappers = [@a/Flatten]\na/mine.Flatten.size = %N\nOther.m = %M\n"
    )
    text += "configure_devices.inter_op_threads = 0\n"
    needed = task_record._needed_statements(gin_syntax.read_bindings([text]))
    assert [getattr(item, "name", "import") for item in needed] == [
        "import",
        "N",
        "train.wrappers",
        "a/mine.Flatten.size",
        "configure_devices.inter_op_threads",
    ]
