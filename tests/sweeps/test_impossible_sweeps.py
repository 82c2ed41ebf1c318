"""Sweeps that cannot be meant are refused before the first run starts."""

from __future__ import annotations

import pathlib

import pytest

from expol_tf.cli.commands.sweep import sweep_main
from expol_tf.cli.commands.train import train_main
from expol_tf.errors import ConfigurationError
from expol_tf.sweeps import Sweep, plan_sweep, require_pool

EXPERIMENT = 'Sweep.experiments = {"a": "gin/sac.gin"}\n'


def refused(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture, text: str, *flags: str) -> str:
    """The message of a sweep that is refused before its runs are looked at."""
    (tmp_path / "sweep.gin").write_text(text)
    assert sweep_main(["expol-sweep", f"--sweep_file={tmp_path}/sweep.gin", "--dry_run", *flags]) == 2
    message = capsys.readouterr().err
    assert message.startswith("expol-sweep: ") and "Traceback" not in message and len(message) < 1000
    return message


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"bindings": ["NUM_ENVS = -3"]}, "train.num_envs must be 1 or more, or None; got -3"),
        ({"grid": {"NUM_ENVS": [4, "a"]}}, "train.num_envs must be int or None; got 'a'"),
        ({"grid": {"CriticFit.gamma": [1e999]}}, "CriticFit.gamma must be in [0, 1]; got inf"),
        ({"grid": {"NUM_ENV_STEPS": [1e999]}}, "train.num_env_steps must be int; got inf"),
        ({"grid": {"TASK": ["Hopper-v5", "Hopefully-v5"]}}, "The task 'Hopefully-v5' cannot be made"),
        ({"grid": {"NUM_ENVS": [False]}}, "train.num_envs must be int or None; got False"),
        (
            {"grid": {"OffPolicyRunner.batch_size": [8, 0]}},
            "batch_size must be 1 or more; got 0",
        ),
        (
            {"grid": {"OffPolicyRunner.iteration_steps": [20_000, 1_000_001]}},
            "OffPolicyRunner.iteration_steps must be at most the length of the run",
        ),
        # Rules between settings.
        (
            {
                "experiments": {"a": "gin/gaussian_acktr.gin"},
                "bindings": ["KroneckerUpdate.max_learning_rate = 0.1"],
                "grid": {"KroneckerUpdate.min_learning_rate": [0.1, 0.2]},
            },
            "KroneckerUpdate.min_learning_rate must be at most max_learning_rate; got 0.2 and 0.1",
        ),
        (
            {
                "experiments": {"a": "gin/gaussian_ppo.gin"},
                "grid": {"LogStd.bounds": [(-1.0, 1.0), (1.0, -1.0)]},
            },
            "LogStd.bounds must be (low, high) with low < high",
        ),
        (
            {"experiments": {"a": "gin/gaussian_trpo.gin"}, "grid": {"NUM_ENVS": [32, 30]}},
            "iteration_steps must be a multiple of the number of environments; got 2048 steps for 30",
        ),
        (
            {
                "experiments": {"a": "gin/gaussian_trpo.gin"},
                "grid": {"NUM_ENVS": [4, 16], "OnPolicyRunner.iteration_steps": [8]},
            },
            "got 8 steps for 16 environments",
        ),
        (
            {"bindings": ["train.runner = @OnPolicyRunner"]},
            "runner must be one for off-policy agents such as SacAgent; got OnPolicyRunner",
        ),
    ],
)
def test_fault_15_every_run_is_checked(arguments: dict, words: str, capsys: pytest.CaptureFixture) -> None:
    """As `check_runs` does it, in this process."""
    statuses = []
    for run in plan_sweep(Sweep(**{"experiments": {"a": "gin/sac.gin"}, **arguments})):
        flags = [f"--gin_file={file}" for file in run.gin_files]
        flags += [f"--gin_bindings={text}" for text in run.gin_bindings]
        statuses.append(train_main(["expol-train", *flags, "--print_config"]))
    assert statuses[-1] == 2 and statuses[:-1] == [0] * (len(statuses) - 1)
    assert words in capsys.readouterr().err


@pytest.mark.slow
def test_fault_15_the_program_checks_every_run(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture) -> None:
    text = EXPERIMENT + 'Sweep.grid = {"NUM_ENVS": [1, -3]}\n'
    message = refused(tmp_path, capsys, text)
    assert "the run a/HalfCheetah-v5/NUM_ENVS=-3/seed0 cannot be configured; nothing was started" in message


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('Sweep.grid = {"NUM_ENVS = 1\\nSEED": [3]}', "Sweep.grid must have names of parameters or macros"),
        ('Sweep.grid = {"NUM_ENVS\\n": [3]}', "Sweep.grid must have names of parameters or macros"),
        ('Sweep.grid = {"": [3]}', "Sweep.grid must have names of parameters or macros"),
        (
            'Sweep.draws = {"NUM_ENVS = 1\\nA": @Uniform()}\nUniform.low = 1\nUniform.high = 2',
            "Sweep.draws must have names of parameters or macros",
        ),
        ('Sweep.draw_seed = "a"', "Sweep.draw_seed must be int; got 'a'"),
        ("Sweep.draw_seed = -1", "Sweep.draw_seed must be 0 or more; got -1"),
        ("Sweep.seeds = (0, False)", "Sweep.seeds must be a sequence of int; got (0, False)"),
        (
            'Sweep.draws = {"A": @Uniform()}\nUniform.low = -1e999\nUniform.high = 2',
            "low must be finite",
        ),
        ('Sweep.experiments = {"a": ["gin/sac.gin", "SEED = 3"]}', "SEED is set by Sweep.seeds"),
        ('Sweep.grid = {"train.root_dir": ["x"]}', "train.root_dir is set by --root_dir"),
        ('Sweep.experiments = {3: "gin/sac.gin"}', "the name must be a text; got 3"),
        (f'Sweep.experiments = {{"{"a" * 300}": "gin/sac.gin"}}', "a directory's name of 300 bytes"),
    ],
)
def test_fault_15_a_sweep_that_cannot_be_meant(
    text: str, words: str, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture
) -> None:
    experiment = "" if "experiments" in text else EXPERIMENT
    assert words in refused(tmp_path, capsys, experiment + text)


@pytest.mark.parametrize(
    ("flag", "words"),
    [
        ("--gpus_per_run=nan", "gpus_per_run must be 0 or more; got nan"),
        ("--gpus_per_run=inf", "gpus_per_run must be 0 or more and finite; got inf"),
        ("--gpus_per_run=1.5", "gpus_per_run must be 0, a share of one GPU"),
        ("--gpus_per_run=1e-9", "gpus_per_run must be 0, a share of one GPU"),
        ("--cpus_per_run=1000000000", "cpus_per_run must be 1 or more and at most 1,024"),
        ("--max_parallel=1000000000", "max_parallel must be 1 or more and at most 1,024"),
    ],
)
def test_fault_15_numbers_of_the_program(
    flag: str, words: str, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture
) -> None:
    assert words in refused(tmp_path, capsys, EXPERIMENT, flag)


@pytest.mark.parametrize("value", [float("nan"), -0.5, True, "1", 1.5])
def test_fault_15_gpus_from_python(value: object) -> None:
    with pytest.raises(ConfigurationError, match="gpus_per_run must be"):
        require_pool(None, 1, value, 0)
    require_pool(3, 2, 0.25, 0)
    require_pool(None, 1, 2.0, 0)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "Sweep.grid = {" + ", ".join(f'"A{i}": {list(range(10))}' for i in range(7)) + "}",
            "must make 10,000 runs or fewer; got 10,000,000",
        ),
        (f"Sweep.seeds = {tuple(range(10_001))}", "must make 10,000 runs or fewer; got 10,001"),
        ("Sweep.bindings = 3", "Sweep.bindings must be a sequence of str; got 3"),
        ("Sweep.bindings = [3]", "Sweep.bindings must be a sequence of str; got [3]"),
        ("Sweep.bindings = 'NUM_ENVS = 3'", "Sweep.bindings must be a sequence of str; got 'NUM_ENVS = 3'"),
        ('Sweep.experiments = {"a": "gin/sac.gin/"}', "Sweep.experiments['a']"),
        ('Sweep.experiments = {"a": "~nouser/x.gin"}', "begins with the home directory of a user"),
    ],
)
def test_fault_16_a_sweep_that_would_never_be_planned(
    text: str, words: str, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture
) -> None:
    experiment = "" if "experiments" in text else EXPERIMENT
    assert words in refused(tmp_path, capsys, experiment + text)


@pytest.mark.parametrize(
    ("name", "words"),
    [("~nouser/x.gin", "begins with the home"), ("a" * 5000, "at most 255 bytes"), ("gin", "is a directory")],
)
def test_fault_16_a_sweep_file_that_cannot_be_read(
    name: str, words: str, capsys: pytest.CaptureFixture
) -> None:
    assert sweep_main(["expol-sweep", f"--sweep_file={name}", "--dry_run"]) == 2
    assert words in capsys.readouterr().err
