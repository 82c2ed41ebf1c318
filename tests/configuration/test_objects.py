"""Rules between settings are checked without an experiment."""

from __future__ import annotations

from collections.abc import Iterator

import gin
import pytest

from expol_tf.cli.commands.train import import_library
from expol_tf.configuration import applied, check_objects, read_bindings, resolve
from expol_tf.errors import ConfigurationError


@pytest.fixture(autouse=True)
def _empty() -> Iterator[None]:
    import_library()
    yield
    gin.clear_config()


def check(*statements: str) -> None:
    configuration = resolve(read_bindings(["train.task = 'Hopper-v5'", *statements]))
    with applied(configuration):
        check_objects(configuration)
    assert not gin.operative_config_str(), "what was made for a look counts as used"


@pytest.mark.parametrize(
    ("statements", "words"),
    [
        (
            ["KroneckerUpdate.min_learning_rate = 0.5", "KroneckerUpdate.max_learning_rate = 0.1"],
            "--gin_bindings:1: KroneckerUpdate.min_learning_rate must be at most max_learning_rate; got 0.5",
        ),
        (["LogStd.bounds = (1.0, -1.0)"], "LogStd.bounds must be .* with low < high"),
        (
            [
                "PiecewiseConstantDecay.values = (1.0, 2.0)",
                "PiecewiseConstantDecay.boundaries = (1, 2, 3)",
            ],
            "PiecewiseConstantDecay.values must be one more than its boundaries; got 2 and 3",
        ),
        (
            [
                "train.agent = @AcktrAgent",
                "AcktrAgent.policy_update = @slow/KroneckerUpdate()",
                "KroneckerUpdate.max_learning_rate = 0.1",
                "slow/KroneckerUpdate.min_learning_rate = 0.5",
            ],
            "min_learning_rate must be at most max_learning_rate; got 0.5 and 0.1",
        ),
    ],
)
def test_fault_15_a_rule_between_settings(statements: list[str], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        check(*statements)


@pytest.mark.parametrize(
    "statements",
    [
        ["KroneckerUpdate.min_learning_rate = 0.1", "KroneckerUpdate.max_learning_rate = 0.5"],
        # A network is made for the spaces of a task.
        ["train.actor_network = @GaussianActorNetwork", "GaussianActorNetwork.hidden_units = (8,)"],
        ["train.observers = [@StopAtReturn()]", "StopAtReturn.target = 3.0"],
    ],
)
def test_what_is_right_or_cannot_be_told_passes(statements: list[str]) -> None:
    check(*statements)
