"""Finding and reading run directories."""

from __future__ import annotations

import json

import pytest

from expol_tf.cli.commands import train as command_line
from expol_tf.configuration import recorded_values
from expol_tf.errors import RunDirectoryError
from expol_tf.reports import recorded, runs
from expol_tf.runs import RunFiles
from tests.reports.synthetic import write_run

HEADER = "experiment,task,seed,TrustRegion.max_kl,directory,status,attempts,env_step,message\n"


def test_a_run_is_read_from_its_record(tmp_path):
    directory = write_run(
        tmp_path / "nfp_trpo" / "Hopper-v4" / "seed3",
        "Hopper-v4",
        3,
        [1.0, float("nan"), 2.0],
        episodes=[10, 10, 25],
        evaluations=[(2000, 4.0), (3000, 5.0)],
        settings={"train.agent": "@TrpoAgent"},
        num_env_steps=5000,
    )
    (run,) = runs.find_runs([tmp_path]).runs
    assert (run.experiment, run.task, run.seed, run.directory) == ("nfp_trpo", "Hopper-v4", 3, directory)
    assert (run.progress.env_step, run.progress.target_env_steps, run.progress.outcome) == (
        3000,
        5000,
        "unfinished",
    )
    # The row without an episode is none.
    assert run.episodes.env_step.tolist() == [1000, 3000]
    assert run.episodes.return_mean.tolist() == [1.0, 2.0] and run.episodes.count.tolist() == [10, 15]
    assert run.evaluations.return_mean.tolist() == [4.0, 5.0]
    assert run.record.settings["train.agent"] == "@TrpoAgent"
    assert run.record.values["TrustRegion.max_kl"] == "0.01" and run.record.values["train.seed"] == "3"
    assert run.record.versions["tensorflow"] == "2.15.1" and run.progress.wall_time_s == 6.0


def test_runs_are_found_at_any_depth_and_once(tmp_path):
    for seed in (10, 9):
        write_run(tmp_path / "study" / "a" / "Hopper-v4" / f"seed{seed}", seed=seed)
    inside = tmp_path / "study" / "a" / "Hopper-v4" / "seed9" / "checkpoints"
    write_run(inside / "copy")
    (tmp_path / "study" / "notes").mkdir()
    found = runs.find_runs([tmp_path, tmp_path / "study" / "a"]).runs
    assert [run.seed for run in found] == [9, 10]


@pytest.mark.parametrize(
    ("path", "task", "name"),
    [
        ("nfp_trpo+hopper/Hopper-v4/seed0", "Hopper-v4", "nfp_trpo+hopper"),
        ("nfp/Hopper-v4/max_kl=0.01/seed0", "Hopper-v4", "nfp"),
        ("nfp/expol-MultiGoal-v0/seed0", "expol/MultiGoal-v0", "nfp"),
        ("mine/big/seed0", "Hopper-v4", "mine/big"),
        ("mine", "Hopper-v4", "mine"),
        ("seed0", "Hopper-v4", "seed0"),
    ],
)
def test_the_experiment_is_named_by_its_path_and_task(tmp_path, path, task, name):
    write_run(tmp_path / path, task, 0)
    (run,) = runs.find_runs([tmp_path]).runs
    assert (run.experiment, run.task) == (name, task)


def test_the_name_does_not_depend_on_where_one_looks(tmp_path):
    write_run(tmp_path / "nfp" / "Hopper-v4" / "seed0")
    for root in ("nfp", "nfp/Hopper-v4", "nfp/Hopper-v4/seed0"):
        (run,) = runs.find_runs([tmp_path / root]).runs
        assert run.experiment == "nfp"


def test_a_sweeps_table_names_experiments_parameters_and_failures(tmp_path):
    write_run(tmp_path / "a" / "Hopper-v4" / "kl=1" / "seed0", settings={"TrustRegion.max_kl": "0.1"})
    write_run(tmp_path / "a" / "Hopper-v4" / "kl=2" / "seed0", num_env_steps=9000)
    (tmp_path / "sweep.csv").write_text(
        HEADER
        + "flow,Hopper-v4,0,0.1,a/Hopper-v4/kl=1/seed0,finished,1,3000,\n"
        + 'flow,Hopper-v4,0,0.2,a/Hopper-v4/kl=2/seed0,failed,3,3000,"NaN, at once"\n'
        + "flow,Hopper-v4,1,0.2,a/Hopper-v4/kl=2/seed1,failed,3,,no such file\n"
        + "flow,Hopper-v4,2,0.2,a/Hopper-v4/kl=2/seed2,pending,0,,\n"
    )
    found = runs.find_runs([tmp_path])
    assert [run.experiment for run in found.runs] == ["flow", "flow"]
    assert [run.record.drawn for run in found.runs] == [
        {"TrustRegion.max_kl": "0.1"},
        {"TrustRegion.max_kl": "0.2"},
    ]
    assert [run.progress.outcome for run in found.runs] == ["finished", "failed"]
    assert found.runs[1].progress.failure == "NaN, at once"
    assert found.lost == (
        "flow on Hopper-v4, seed 1: no such file",
        "flow on Hopper-v4, seed 2: pending",
    )


def test_a_damaged_sweep_table_is_one_message(tmp_path):
    write_run(tmp_path / "a")
    (tmp_path / "sweep.csv").write_text("one,two\n1,2\n")
    with pytest.raises(RunDirectoryError, match="not the table of a sweep: it has no column experiment"):
        runs.find_runs([tmp_path])


def test_directories_without_runs_are_named(tmp_path):
    write_run(tmp_path / "full" / "a")
    empty = tmp_path / "empty"
    empty.mkdir()
    (empty / "config.gin").write_text("SEED = 1\n")
    with pytest.raises(RunDirectoryError, match=f"{empty} holds none"):
        runs.find_runs([tmp_path / "full", empty])
    with pytest.raises(RunDirectoryError, match="there is no directory .*missing"):
        runs.find_runs([tmp_path / "missing"])


@pytest.mark.parametrize("end", ["4,4000,8.0,500.0,99", "4,4000,8.0,500.0,99.0,100.0,4", "4"])
def test_a_half_written_last_line_does_not_count(tmp_path, end):
    directory = write_run(tmp_path / "a", returns=[1.0, 2.0, 3.0])
    with (directory / "metrics.csv").open("a") as file:
        file.write(end)
    (run,) = runs.find_runs([tmp_path]).runs
    assert run.progress.env_step == 3000 and run.episodes.return_mean.tolist() == [1.0, 2.0, 3.0]


@pytest.mark.parametrize(
    "text", ["", "iteration,env_st", "iteration,env_step,episode_return_mean,episodes\n"]
)
def test_a_run_that_has_just_begun_has_no_rows(tmp_path, text):
    directory = write_run(tmp_path / "a")
    (directory / "metrics.csv").write_text(text)
    (run,) = runs.find_runs([tmp_path]).runs
    assert (
        run.progress.env_step == 0 and not len(run.episodes.env_step) and run.progress.outcome == "unfinished"
    )
    (directory / "metrics.csv").unlink()
    assert len(runs.find_runs([tmp_path]).runs) == 1


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("iteration,env_step\n1,2\n", "no column episode_return_mean"),
        ("env_step,episode_return_mean,episodes\n1000,good,2\n", "could not convert"),
        ("env_step,episode_return_mean,episodes\n1000,1,2,3,4\n1,1\n", "line 2 has 5 cells instead of 3"),
        ("env_step,episode_return_mean,episodes\n1000,1,2\n1000,1,2\n", "env_step does not grow"),
        ("env_step,episode_return_mean,episodes\n1000.5,1,2\n", "env_step does not grow"),
        ("env_step,episode_return_mean,episodes\n1e999,1,2\n", "env_step is above"),
        ("env_step,episode_return_mean,episodes\n1000,1,\n", "episodes must be whole numbers"),
        ("env_step,episode_return_mean,episodes\n1000,1,2\n2000,1,1\n", "episodes must be whole numbers"),
        ("env_step,episode_return_mean,episodes\n,1,2\n", "env_step does not grow"),
    ],
)
def test_a_foreign_table_is_one_message(tmp_path, text, reason):
    directory = write_run(tmp_path / "a")
    (directory / "metrics.csv").write_text(text)
    with pytest.raises(RunDirectoryError, match=reason):
        runs.find_runs([tmp_path])


def test_a_record_that_cannot_be_read_is_one_message(tmp_path):
    directory = write_run(tmp_path / "a")
    (directory / "fingerprint.json").write_text('{"train.task"')
    with pytest.raises(RunDirectoryError, match="fingerprint.json is damaged"):
        runs.find_runs([tmp_path])


def test_a_run_needs_a_task(tmp_path):
    directory = write_run(tmp_path / "a")
    (directory / "config.gin").write_text("SEED = 1\n")
    (directory / "fingerprint.json").write_text("{}")
    with pytest.raises(RunDirectoryError, match="config.gin has no train.task"):
        runs.find_runs([tmp_path])


def test_an_environment_from_python_is_a_task(tmp_path):
    directory = write_run(tmp_path / "a")
    config = (directory / "config.gin").read_text().replace("train.task = %TASK\n", "")
    (directory / "config.gin").write_text(config + "# train.task = <function make>\n")
    (directory / "fingerprint.json").write_text(json.dumps({"train.task": "<function make>"}))
    assert runs.find_runs([tmp_path]).runs[0].task == "<function make>"


def test_configurations_have_their_macros_replaced(tmp_path):
    path = tmp_path / "config.gin"
    path.write_text(
        "# A comment.\nGAMMA = 0.99\nTASK = 'Hopper-v4'\n\ntrain.task = %TASK\n"
        "expol_tf.TrpoAgent.gamma = %GAMMA  # default\na/B.pair = (%GAMMA, 1)\n"
    )
    assert recorded.read_configuration(RunFiles(tmp_path)) == {
        "train.task": "'Hopper-v4'",
        "TrpoAgent.gamma": "0.99",
        "a/B.pair": "(0.99, 1)",
    }


def test_a_configuration_as_json_reads_like_the_gin_file(tmp_path):
    directory = write_run(tmp_path / "a", settings={"train.agent": "@TrpoAgent", "Flow.units": "(4, 4)"})
    (from_gin,) = runs.find_runs([tmp_path]).runs
    values = recorded_values((directory / "config.gin").read_text())
    (directory / "configuration.json").write_text(json.dumps(values))
    (directory / "config.gin").write_text("")
    (run,) = runs.find_runs([tmp_path]).runs
    assert run.record.values == from_gin.record.values and run.record.values["Flow.units"] == "(4, 4)"
    assert (run.task, run.seed, run.progress.target_env_steps) == ("Hopper-v4", 0, 3000)


def test_a_real_runs_record_has_what_is_read(tmp_path, capsys):
    """The record as `train` writes it, without training."""
    assert command_line.train_main(["expol-train", "--gin_file=nfp_trpo.gin", "--print_config"]) == 0
    path = tmp_path / "config.gin"
    path.write_text(capsys.readouterr().out)
    values = recorded.read_configuration(RunFiles(tmp_path))
    assert recorded.literal(values["train.task"]).startswith("Hopper-v")
    assert recorded.literal(values["train.num_env_steps"]) == 1_000_000
    assert isinstance(recorded.literal(values["train.seed"]), int)
