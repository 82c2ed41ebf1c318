"""Figures of runs look at environments with the runs' wrappers, or refuse."""

from __future__ import annotations

import json

import pytest

from expol_tf.cli.commands.figures import figures_main
from expol_tf.configuration import UNWRITABLE_MARK
from expol_tf.environments import NoisyObservation
from expol_tf.errors import ConfigurationError
from expol_tf.papers.entropy import run_entropies
from expol_tf.papers.multi_goal.examination import goal_run
from expol_tf.reports import find_runs
from tests.papers.goal_runs import write_run

WRITTEN = {
    "of the library": "train.wrappers = [@one/NoisyObservation]\none/NoisyObservation.sigma = 2.0\n",
    "of Gymnasium": "import gymnasium.wrappers\ntrain.wrappers = [@FlattenObservation]\n",
    "of Python": f"\n{UNWRITABLE_MARK}\n# train.wrappers = [<__main__.Local>] code[3.11]=5b04 source=4d3b\n",
}


def wrapped_run(directory, kind):
    write_run(directory)
    config = directory / "config.gin"
    config.write_text(config.read_text() + WRITTEN[kind])
    if kind == "of Python":
        values = {"train.task": "expol/MultiGoal-v0", "train.seed": 0, "train.wrappers": "[<__main__.Local>]"}
        (directory / "configuration.json").write_text(json.dumps(values))
    (run,) = find_runs([directory]).runs
    return run


@pytest.mark.parametrize("kind", WRITTEN)
def test_client_08_figures_of_physics_refuse_wrappers(kind, tmp_path):
    run = wrapped_run(tmp_path / "run", kind)
    with pytest.raises(
        ConfigurationError, match="would leave wrappers out; .*run was trained with wrappers = "
    ):
        goal_run(run)


def test_client_08_run_entropy_rebuilds_the_environment(tmp_path):
    with run_entropies._environment(wrapped_run(tmp_path / "run", "of the library")) as env:
        assert isinstance(env, NoisyObservation) and env._sigma == 2.0
    with run_entropies._environment(wrapped_run(tmp_path / "flat", "of Gymnasium")) as env:
        assert type(env).__name__ == "FlattenObservation"


def test_client_08_run_entropy_refuses_what_only_python_has(tmp_path, capfd):
    wrapped_run(tmp_path / "run", "of Python")
    arguments = [f"--root_dir={tmp_path / 'run'}", f"--output_dir={tmp_path / 'out'}"]
    assert figures_main(["figures", "--figure=run_entropy", *arguments]) == 2
    assert "cannot say what wrappers of expol_tf.train were" in capfd.readouterr().err
