"""Arguments of earlier versions are answered with the new ones."""

from __future__ import annotations

import dataclasses
import inspect
import pathlib

import gin
import pytest

from expol_tf.configurable import configurable
from expol_tf.errors import ConfigurationError
from expol_tf.renamed import RENAMED, renamed

OF_THE_LIBRARY = dict(RENAMED)  # Some tests add rows of their own.


@configurable
@dataclasses.dataclass(frozen=True)
class Sampler:
    """A frozen dataclass that lost `floor`."""

    num_steps: int = 3
    step_size: float = 0.1


@configurable
class Network:
    """A class that lost `width`."""

    def __init__(self, size: int, depth: int = 2) -> None:
        self.size, self.depth = size, depth


class Narrow(Network):
    """Inherits the constructor of `Network`."""


@pytest.fixture(autouse=True)
def _table(monkeypatch):
    monkeypatch.setitem(RENAMED, "Sampler.floor", "Kernel.floor")
    monkeypatch.setitem(RENAMED, "Network.width", "Network.size")
    yield
    gin.clear_config()


@pytest.mark.parametrize("name", ["Sampler.floor", "expol_tf.Sampler.floor", "critic/expol_tf.Sampler.floor"])
def test_a_name_in_python_and_in_gin_has_one_answer(name):
    assert renamed(name) == "Sampler.floor is now Kernel.floor."


@pytest.mark.parametrize("name", ["Sampler.num_steps", "Sampler", "floor", ""])
def test_other_names_have_none(name):
    assert renamed(name) is None


@pytest.mark.parametrize(
    ("construct", "answer"),
    [
        (lambda: Sampler(floor=1.0), "Sampler.floor is now Kernel.floor."),
        (lambda: Network(3, width=1), "Network.width is now Network.size."),
        (lambda: Narrow(width=1), "Network.width is now Network.size."),
    ],
)
def test_the_constructor_says_the_new_name(construct, answer):
    with pytest.raises(ConfigurationError) as refused:
        construct()
    assert answer in str(refused.value)


@pytest.mark.parametrize(
    ("construct", "answer"),
    [
        (lambda: Sampler(num_step=1), "Sampler has no argument 'num_step'. Did you mean 'num_steps'?"),
        (lambda: Sampler(flor=1.0), "Sampler has no argument 'flor'. Sampler.floor is now Kernel.floor."),
        (lambda: Narrow(3, widht=1), "Narrow has no argument 'widht'. Network.width is now Network.size."),
    ],
)
def test_a_misspelt_name_is_answered_with_the_nearest(construct, answer):
    with pytest.raises(ConfigurationError) as refused:
        construct()
    assert answer in str(refused.value)


def test_what_is_missing_stays_pythons_error():
    with pytest.raises(TypeError):
        Network()


def test_what_was_right_stays_right():
    sampler = Sampler(4)
    assert dataclasses.replace(sampler, step_size=0.5) == Sampler(4, 0.5) != sampler
    with pytest.raises(dataclasses.FrozenInstanceError):
        sampler.num_steps = 1
    assert (Network(3).size, Narrow(4, depth=5).depth) == (3, 5)
    assert list(inspect.signature(Sampler).parameters) == ["num_steps", "step_size"]
    assert list(inspect.signature(Network).parameters) == ["size", "depth"]


def test_gin_binds_and_reports_as_without_it():
    gin.parse_config("Sampler.num_steps = 7\nNetwork.size = 5\nNetwork.depth = 9")
    assert Sampler().num_steps == 7 and Network().size == 5
    network = Network(6)  # A positional argument wins over its binding.
    assert (network.size, network.depth) == (6, 9)
    assert "Sampler.step_size = 0.1" in gin.operative_config_str()
    with pytest.raises(ValueError, match="floor"):
        gin.parse_config("Sampler.floor = 1.0")


def test_the_changelog_has_every_renamed_argument():
    page = (pathlib.Path(__file__).absolute().parents[1] / "CHANGELOG.md").read_text(encoding="utf-8")
    for old, new in OF_THE_LIBRARY.items():
        assert f"| `{old}` | " in page and new in page, old
