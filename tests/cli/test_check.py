"""`expol-train --check`: everything is made, nothing is trained, nothing is left on the disk."""

from __future__ import annotations

import pathlib

import pytest

from expol_tf.cli.commands.train import train_main

SMALL = [
    "--gin_file=gin/gaussian_trpo.gin",
    "--gin_file=gin/tasks/pendulum.gin",
    "--gin_bindings=OnPolicyRunner.iteration_steps = 64",
    "--gin_bindings=GaussianActorNetwork.hidden_units = (4,)",
    "--gin_bindings=expol_tf.ValueNetwork.hidden_units = (4,)",
    "--gin_bindings=Acting.jit_compile = False",
]
HELPERS = """
import gin

@gin.configurable
def helper(size=1):
    return size

@gin.configurable(module="lab")
def unused(size=1):
    return size
"""


@pytest.fixture(autouse=True)
def user_directory(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    monkeypatch.setenv("BUILD_WORKING_DIRECTORY", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.dont_write_bytecode", True)
    return tmp_path


def check(*bindings: str, root_dir: str = "run") -> int:
    flags = [f"--gin_bindings={text}" for text in bindings]
    return train_main(["expol-train", *SMALL, *flags, "--check", f"--root_dir={root_dir}"])


def test_fault_15_a_good_configuration_is_checked_in_one_line(
    user_directory: pathlib.Path, capsys: pytest.CaptureFixture
) -> None:
    assert check() == 0
    output = capsys.readouterr()
    assert output.out.startswith("checked, nothing written: Pendulum-v1, 32 environments made and reset")
    assert "observations [3], actions [1]" in output.out and output.out.count("\n") == 1
    assert "TrpoAgent, GaussianActorNetwork, OnPolicyRunner; " in output.out and not output.err
    assert list(user_directory.iterdir()) == []


@pytest.mark.parametrize(
    ("binding", "words"),
    [
        ("OnPolicyRunner.iteration_steps = 65", "must be a multiple of the number of environments"),
        (
            "OnPolicyRunner.iteration_steps = 64000000",
            "OnPolicyRunner.iteration_steps must be at most the length of the run",
        ),
        ("TASK = 'CartPole-v1'", "Discrete"),
        ("TASK = 'Pendulun-v1'", "Pendulum-v1"),
        ("train.critic_network = @CriticNetwork", "critic_network must not be given for TrpoAgent"),
        ("AdvantageEstimation.gamma = 1.5", "AdvantageEstimation.gamma must be in [0, 1]; got 1.5"),
        ("FlowActorNetwork.squash = True", "FlowActorNetwork.squash is bound, but nothing"),
    ],
)
def test_fault_15_a_wrong_one_gets_its_message(
    binding: str, words: str, user_directory: pathlib.Path, capsys: pytest.CaptureFixture
) -> None:
    assert check(binding) == 2
    message = capsys.readouterr().err
    assert message.startswith("expol-train: error: ") and words in message and "Traceback" not in message
    assert list(user_directory.iterdir()) == []


def test_fault_15_what_the_distribution_must_be_able_to_do(
    user_directory: pathlib.Path, capsys: pytest.CaptureFixture
) -> None:
    binding = "--gin_bindings=train.actor_network = @DeterministicActorNetwork"
    assert train_main(["expol-train", "--gin_file=gin/sac.gin", binding, "--check"]) == 2
    assert "DeterministicActorNetwork" in capsys.readouterr().err
    assert list(user_directory.iterdir()) == []


def test_a_check_prints_no_configuration(capsys: pytest.CaptureFixture) -> None:
    assert train_main(["expol-train", *SMALL, "--check", "--print_config"]) == 2
    assert "--check and --print_config: give one of them" in capsys.readouterr().err


@pytest.mark.parametrize(
    "binding", ["helper.size = 3", "unused.size = 3", "lab.unused.size = 3", "a/helper.size = 3"]
)
def test_fault_13_bindings_of_the_users_own_code_stand_beside_ours(
    binding: str, user_directory: pathlib.Path, capsys: pytest.CaptureFixture
) -> None:
    (user_directory / "helpers_beside_ours.py").write_text(HELPERS)
    assert check(f"import helpers_beside_ours\n{binding}") == 0
    assert "checked" in capsys.readouterr().out


@pytest.mark.parametrize("binding", ["helper.siez = 3", "hepler.size = 3"])
def test_fault_13_a_misspelt_binding_of_the_users_own_code(
    binding: str, user_directory: pathlib.Path, capsys: pytest.CaptureFixture
) -> None:
    (user_directory / "helpers_beside_ours.py").write_text(HELPERS)
    assert check(f"import helpers_beside_ours\n{binding}") == 2
    assert "Did you mean" in capsys.readouterr().err
