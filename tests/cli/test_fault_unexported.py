"""`expol-evaluate` and `load_policy` of a run that has exported nothing yet."""

from __future__ import annotations

import json
import pathlib
import re
from collections.abc import Callable

import pytest

import expol_tf
from expol_tf import load_policy
from expol_tf.cli.commands.evaluate import evaluate_main
from expol_tf.cli.commands.train import train_main
from expol_tf.errors import ConfigurationError, RunDirectoryError
from expol_tf.runs import LOCK, DirectoryLock

TRAINING = (
    r"It is training at env_step 1,000 of 5,000 \(process \d+ on .*\) and exports its policy when it ends"
)
ENDED = r"It ended at env_step 1,000 of 5,000 without exporting one\. Resume it: it exports its policy"


@pytest.fixture
def run(tmp_path: pathlib.Path) -> pathlib.Path:
    (tmp_path / "config.gin").write_text("train.task = 'Hopper-v4'\ntrain.num_env_steps = 5000\n")
    (tmp_path / "configuration.json").write_text(json.dumps({"train.num_env_steps": 5000}))
    (tmp_path / "fingerprint.json").write_text("{}")
    environment = {"seed": 0, "versions": {"expol_tf": expol_tf.__version__}}
    (tmp_path / "environment.json").write_text(json.dumps(environment))
    (tmp_path / "metrics.csv").write_text("iteration,env_step\n1,1000\n")
    return tmp_path


@pytest.mark.parametrize("state", ["training", "ended", "starting", "before its first row"])
def test_fault_18_evaluate_says_when_it_can_be(
    run: pathlib.Path, capsys: pytest.CaptureFixture, state: str
) -> None:
    if state == "starting":
        for path in run.iterdir():
            path.unlink()
    elif state.startswith("before"):
        (run / "metrics.csv").unlink()
    if state == "ended":
        assert evaluate_main(["expol-evaluate", f"--root_dir={run}"]) == 2
    else:
        with DirectoryLock(run / LOCK):
            assert evaluate_main(["expol-evaluate", f"--root_dir={run}"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("expol-evaluate: error: --root_dir") and said.count("\n") == 1
    if state == "starting":
        assert "A run is being started there (process " in said and "wait for it" in said
        return
    assert f"the run in {run} has exported no policy yet. " in said
    words = {
        "training": TRAINING,
        "ended": ENDED,
        "before its first row": "It is training before its first row",
    }
    assert re.search(words[state], said)


def test_fault_18_load_policy_says_when_it_can_be(run: pathlib.Path) -> None:
    with DirectoryLock(run / LOCK), pytest.raises(ConfigurationError, match=TRAINING):
        load_policy(run)
    with pytest.raises(ConfigurationError, match=ENDED):
        load_policy(run)
    (run / "policy").mkdir()
    with pytest.raises(RunDirectoryError, match=r"policy is damaged \(it has no saved_model\.pb\)\. Remove"):
        load_policy(run)


@pytest.mark.parametrize("damage", ["empty", "cut", "directory", "dangling", "not UTF-8", "another run's"])
@pytest.mark.parametrize("main", [evaluate_main, train_main])
def test_fault_14_the_configuration_of_a_run_is_damaged(
    run: pathlib.Path, capsys: pytest.CaptureFixture, main: Callable[[list[str]], int], damage: str
) -> None:
    path = run / "config.gin"
    if damage in ("directory", "dangling"):
        path.unlink()
        path.mkdir() if damage == "directory" else path.symlink_to("nowhere")
    else:
        content = {
            "empty": b"",
            "cut": b"train.task = 'Hop",
            "not UTF-8": b"\xff\n",
            "another run's": b"A = 1\n",
        }
        path.write_bytes(content[damage])
    assert main(["expol-x", f"--root_dir={run}"]) == 2
    said = capsys.readouterr().err
    assert said.startswith(
        f"expol-{main.__name__.removesuffix('_main')}: error: {path} is damaged or cannot be read: "
    )
    assert said.count("\n") == 1 and "Restore it from a copy" in said
