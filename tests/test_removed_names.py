"""Modules and names that version 0.1 had are answered with the new ones, however they are asked for."""

from __future__ import annotations

import importlib
import itertools
import pathlib
import re

import pytest

import expol_tf
from expol_tf.agents import Companion, PolicyBatch
from expol_tf.errors import ConfigurationError
from expol_tf.renamed import MOVED, moved

CHANGELOG = pathlib.Path(__file__).absolute().parents[1] / "CHANGELOG.md"


def answer(old: str) -> str:
    """What an import of `old` answers: for what lay in a package that is gone, the package's answer."""
    above = [".".join(old.split(".")[:count]) for count in range(2, old.count(".") + 2)]
    name = next(name for name in above if name in MOVED)
    return f"{name} is now {MOVED[name]}."


@pytest.mark.parametrize("old", sorted(MOVED))
def test_every_way_to_ask_is_answered(old: str) -> None:
    with pytest.raises(ModuleNotFoundError) as raised:
        importlib.import_module(old)
    assert str(raised.value) == answer(old)
    package, _, name = old.rpartition(".")
    with pytest.raises(ImportError) as raised:
        exec(f"from {package} import {name}")
    assert str(raised.value) == answer(old)
    if package in MOVED:
        return
    with pytest.raises(AttributeError) as read:
        getattr(importlib.import_module(package), name)
    assert str(read.value) == answer(old)
    assert not hasattr(importlib.import_module(package), name)


@pytest.mark.parametrize(
    "new", sorted({new for new in MOVED.values() if new.startswith("expol_tf") and " " not in new})
)
def test_what_took_its_place_is_there(new: str) -> None:
    place: object = expol_tf
    for count, name in enumerate(new.split(".")[1:], 2):
        if not hasattr(place, name):
            importlib.import_module(".".join(new.split(".")[:count]))
        place = getattr(place, name)


@pytest.mark.parametrize("module", ["expol_tf.no_such_module", "expol_tf.agents.no_such_module"])
def test_other_names_are_left_to_python(module: str) -> None:
    package, _, name = module.rpartition(".")
    with pytest.raises(ModuleNotFoundError, match=f"^No module named '{re.escape(module)}'$"):
        importlib.import_module(module)
    with pytest.raises(ImportError, match=f"^cannot import name '{name}' from '{package}'"):
        exec(f"from {package} import {name}")
    with pytest.raises(AttributeError, match=f"^module '{package}' has no attribute '{name}'$"):
        getattr(importlib.import_module(package), name)
    assert moved(module) is None


def test_names_below_a_removed_one_have_its_answer() -> None:
    assert (
        moved("expol_tf.training.metrics.CsvTable")
        == "expol_tf.training.metrics is now expol_tf.runs.tables."
    )


def expanded(text: str) -> list[str]:
    """The names that `a.{b, c}` stands for."""
    parts = [part.split(", ") for part in re.split(r"[{}]", text)]
    return ["".join(choice) for choice in itertools.product(*parts)]


def test_the_changelog_has_every_one_of_them() -> None:
    _, _, removed = CHANGELOG.read_text(encoding="utf-8").partition("### Removed")
    table, _, _ = removed.partition("What `expol_tf.analysis.recorded`")
    listed = {}
    for old_names, new in re.findall(r"^\| `(.*?)` \| (.*) \|$", table, re.MULTILINE):
        for old in expanded(old_names):
            listed[old] = new.strip("`").replace("…", old.rpartition(".")[2])
    assert listed == MOVED


def test_fields_that_went_are_answered() -> None:
    with pytest.raises(ConfigurationError, match=r"^Companion.improvement is now Companion.loss\.$"):
        Companion(name="a", network=None, improvement=None, optimizer=None)
    companion = Companion("a", None, None, optimizer=3)
    assert companion._replace(name="b") == Companion("b", None, None, 3)
    with pytest.raises(AttributeError, match=r"^Companion.improvement is now Companion.loss\.$"):
        companion.improvement  # noqa: B018
    with pytest.raises(TypeError):
        Companion(nam="a")
    with pytest.raises(AttributeError, match="has no attribute 'los'"):
        companion.los  # noqa: B018
    with pytest.raises(AttributeError, match=r"^PolicyBatch.entropy_scale is now PolicyObjective.scaled"):
        PolicyBatch(*range(len(PolicyBatch._fields))).entropy_scale  # noqa: B018
