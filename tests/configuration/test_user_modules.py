"""Modules of the user's: a name that begins with one imports it, and the record of a run says so."""

from __future__ import annotations

import dataclasses
import functools
import pathlib
import re
import sys
from collections.abc import Iterator

import gin
import pytest

from expol_tf.cli import import_user_module
from expol_tf.errors import ConfigurationError
from tests.configuration import statements

RAFTS = """
import gin

@gin.configurable
def {name}(logs: int = 1):
    return logs
"""


@gin.configurable(module="marina")
class Jetty:
    def __init__(self, length: float = 1.0, material: str = "wood") -> None:
        self.length, self.material = length, material


@gin.configurable(module="marina")
class LongJetty(Jetty):
    """Derives from the jetty, with whose settings it is made."""

    def __init__(self, length: float = 2.0, **options: str) -> None:
        super().__init__(length, **options)


@gin.configurable(module="marina")
@dataclasses.dataclass(frozen=True)
class Buoy:
    depth: float = 1.0


@gin.configurable(module="marina")
@dataclasses.dataclass(frozen=True)
class WideBuoy(Buoy):
    """Its constructor sets the buoy's field itself."""

    width: float = 1.0


@gin.configurable(module="marina")
def build_marina(jetty: object = None, buoy: object = None, raft: object = None) -> object:
    return jetty


@pytest.fixture(autouse=True)
def user(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[pathlib.Path]:
    monkeypatch.setenv("BUILD_WORKING_DIRECTORY", str(tmp_path))
    gin.clear_config()
    path = list(sys.path)
    yield tmp_path
    assert sys.path == path
    gin.clear_config()


resolved = functools.partial(statements.resolved, "build_marina")


def test_a_name_that_begins_with_a_module_imports_it(user: pathlib.Path) -> None:
    (user / "rafts_of_the_user.py").write_text(RAFTS.format(name="raft"))
    text = "build_marina.raft = @big/rafts_of_the_user.raft()\nbig/raft.logs = 3"
    # The second time it is there already.
    for result in (resolved(text), resolved(text)):
        assert result.text.count("import rafts_of_the_user\n") == 1
        assert "build_marina.raft = @big/raft()\n" in result.text
        assert resolved(result.text).text == result.text
    result.apply()
    assert gin.get_bindings("build_marina")["raft"] == 3


def test_so_does_what_is_set(user: pathlib.Path) -> None:
    (user / "canoes_of_the_user.py").write_text(RAFTS.format(name="canoe"))
    result = resolved("canoes_of_the_user.canoe.logs = 2\nbuild_marina.raft = @canoe")
    assert result.imports == ("canoes_of_the_user",) and result.value("canoe.logs") == 2


def test_other_prefixes_are_no_modules() -> None:
    assert resolved("build_marina.jetty = @marina.Jetty\nmarina.Jetty.length = 2.0").imports == ()


def refused(text: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        resolved(text)
    return str(caught.value)


@pytest.mark.parametrize("text", ["\nbuild_marina.jetty = @{}", "\n{}.length = 1.0"])
@pytest.mark.parametrize("name", ["Jety", "docks_of_the_user.Jety", "no_such_module.Jety"])
def test_misspelt_names_are_answered(text: str, name: str, user: pathlib.Path) -> None:
    (user / "docks_of_the_user.py").write_text("")
    message = refused(text.format(name))
    assert message.startswith(f"test.gin:2: no configurable is named {name!r}. Did you mean 'Jetty'?")


def test_what_a_module_cannot_import_is_named(user: pathlib.Path) -> None:
    (user / "broken_of_the_user.py").write_text("import no_such_package\n")
    (user / "wrong_of_the_user.py").write_text("from os import no_such_name\n")
    for name, missing in (("broken", "No module named 'no_such_package'"), ("wrong", "no_such_name")):
        for text in (f"build_marina.jetty = @{name}_of_the_user.Jetty", f"import {name}_of_the_user"):
            message = refused(text)
            assert message.startswith(f"test.gin:1: the module '{name}_of_the_user' cannot be imported: ")
            assert missing in message
    with pytest.raises(ImportError):
        import_user_module("broken_of_the_user")


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("x = 1\ndef f(:\n", r"SyntaxError: .* \(ill_\w+\.py, line 2\)\."),
        ("\n\nraise ValueError('no such luck.')\n", r"ValueError: no such luck \(ill_\w+\.py, line 3\)\."),
        ("import sys\nsys.exit('done')\n", r"SystemExit: done \(ill_of_the_user\.py, line 2\)\."),
        ("import math\ndef f():\n  math.sqrt(-1)\nf()\n", r"ValueError: .* \(ill_\w+\.py, line 3\)\."),
        ("import other_of_the_user\n", r"ZeroDivisionError: .* \(other_of_the_user\.py, line 1\)\."),
    ],
    ids=["syntax", "raises", "exits", "deeper", "other"],
)  # fmt: skip
@pytest.mark.parametrize("text", ["build_marina.jetty = @ill_of_the_user.Jetty", "import ill_of_the_user"])
def test_what_a_module_raises_is_told_with_its_line(
    text: str, source: str, problem: str, user: pathlib.Path
) -> None:
    (user / "ill_of_the_user.py").write_text(source)
    (user / "other_of_the_user.py").write_text("1 / 0\n")
    message = refused(text)
    assert re.fullmatch(
        rf"test.gin:1: the module 'ill_of_the_user' cannot be imported: {problem} Correct the module\.",
        message,
    ), message


@pytest.mark.parametrize(
    "text",
    [
        "build_marina.jetty = @bare_of_the_user.Pier()",
        "bare_of_the_user.Pier.length = 1.0",
        "import bare_of_the_user\nbuild_marina.jetty = @Pier()",
    ],
)
def test_a_class_that_is_not_registered_is_told_from_one_that_is_not_there(
    text: str, user: pathlib.Path
) -> None:
    (user / "bare_of_the_user.py").write_text("class Pier:\n  pass\n")
    assert re.fullmatch(
        r"test.gin:\d: 'Pier' is in the module 'bare_of_the_user', but it is not registered\. "
        r"Write @gin\.configurable above its definition\.",
        refused(text),
    )


@pytest.mark.parametrize("text", ["build_marina.jetty = @fery_of_the_user.Jeti", "import fery_of_the_user"])
def test_a_misspelt_module_is_answered_with_the_nearest(text: str, user: pathlib.Path) -> None:
    (user / "ferry_of_the_user.py").write_text("")
    message = refused(text)
    assert "none. Did you mean 'ferry_of_the_user'?" in message and message.startswith("test.gin:1: ")
    assert "Jetty" not in message


@pytest.mark.parametrize(
    "text", ["import expol_tf.seeding", "build_marina.jetty = @expol_tf.training.replay.Row"]
)
def test_a_module_of_an_earlier_version_is_answered(text: str) -> None:
    assert re.fullmatch(r"test.gin:1: expol_tf\.\S+ is now expol_tf\.\S+\.", refused(text))


@gin.configurable(module="expol_tf.marina")
class Quayside:
    def __init__(self, depth: float = 1.0, **rest: object) -> None:
        self.depth = depth


@gin.configurable(module="expol_tf.marina")
class Slip:
    def __init__(self, width: float = 1.0, *, gate: str = "none") -> None:
        self.width, self.gate = width, gate


@gin.configurable(module="marina")
class LongSlip(Slip):
    def __init__(self, *inputs: float, length: float = 2.0, **parts: object) -> None:
        super().__init__(*inputs, **parts)  # type: ignore[arg-type]


@gin.configurable(module="marina")
class LongQuayside(Quayside):
    def __init__(self, *, length: float = 2.0, **rest: object) -> None:
        super().__init__(**rest)  # type: ignore[arg-type]


def test_keywords_go_to_the_class_of_ours_that_is_derived_from() -> None:
    result = resolved("build_marina.jetty = @LongSlip()\nLongSlip.gate = 'iron'\nLongSlip.length = 3.0")
    result.apply()
    assert build_marina().gate == "iron"
    message = refused("LongSlip.lenght = 3.0")
    assert message == (
        "test.gin:1: LongSlip has no parameter 'lenght'. Did you mean 'length'? "
        "Its parameters: length, width, gate."
    )
    assert "Did you mean 'gate'?" in refused("LongSlip.gat = 'iron'")
    # Here the base takes any keyword itself.
    resolved("build_marina.jetty = @LongQuayside()\nLongQuayside.anything = 3.0")


def test_there_is_no_such_module(user: pathlib.Path) -> None:
    (user / "single_of_the_user.py").write_text("")
    for name in ("no_such_module", "no_such_module.inner", "single_of_the_user.inner"):
        assert not import_user_module(name)
    assert import_user_module("single_of_the_user")


SETTINGS = "build_marina.jetty = @Jetty()\nJetty.material = 'stone'\nJetty.length = 5.0"


def test_what_is_set_on_a_class_holds_for_one_that_derives_from_it() -> None:
    """As far as its constructor leaves it to that of its base."""
    result = resolved("build_marina.jetty = @LongJetty()", ours=SETTINGS)
    assert "Jetty.material = 'stone'" in result.text
    result.apply()
    jetty = build_marina()
    assert isinstance(jetty, LongJetty) and (jetty.length, jetty.material) == (2.0, "stone")
    assert resolved(result.in_use().text).text == result.text


def test_but_not_for_a_dataclass() -> None:
    settings = "build_marina.buoy = @Buoy()\nBuoy.depth = 5.0"
    replaced = resolved("build_marina.buoy = @WideBuoy()", ours=settings)
    assert "\nBuoy.depth" not in replaced.text
    with pytest.raises(ConfigurationError, match="Buoy.depth is bound, but nothing"):
        resolved(settings, "build_marina.buoy = @WideBuoy()")
