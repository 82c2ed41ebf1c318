from __future__ import annotations

import math
import pathlib

import gin
import pytest

from expol_tf.configuration import gin_syntax
from expol_tf.configuration import resources as _resources
from expol_tf.configuration.gin_syntax import Binding, Import, Macro, Reference
from expol_tf.errors import ConfigurationError


@pytest.fixture
def user_directory(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    directory = tmp_path / "user"
    directory.mkdir()
    monkeypatch.setenv("BUILD_WORKING_DIRECTORY", str(directory))
    return directory


def test_statements_of_every_kind() -> None:
    text = """
A = 3
scope/Agent.gamma = %A
import os.path
Network:
  units = (3, 3)
  activation = "tanh"
Agent.networks = {"a": [@Network, @other/Network()]}
"""
    statements = gin_syntax.read_bindings([text], source="here")
    assert statements == [
        Binding("", "A", "", 3, "here:2"),
        Binding("scope", "Agent", "gamma", Macro("A"), "here:3"),
        Import("os.path", "here:4"),
        Binding("", "Network", "units", (3, 3), "here:6"),
        Binding("", "Network", "activation", "tanh", "here:7"),
        Binding(
            "", "Agent", "networks", {"a": [Reference("Network"), Reference("other/Network", True)]}, "here:8"
        ),
    ]
    assert [statement.name for statement in statements if isinstance(statement, Binding)] == [
        "A",
        "scope/Agent.gamma",
        "Network.units",
        "Network.activation",
        "Agent.networks",
    ]


def test_the_long_form_of_a_macro_is_a_macro() -> None:
    (binding,) = gin_syntax.read_bindings(["NUM_ENVS/macro.value = 4"])
    assert isinstance(binding, Binding)
    assert binding.is_macro and binding.name == "NUM_ENVS" and binding.value == 4


@pytest.mark.parametrize(
    "value",
    [
        1,
        -2.5,
        1e-8,
        math.inf,
        -math.inf,
        True,
        None,
        'it\'s "quoted"',
        (),
        (3,),
        (3, [4.0, "x"]),
        {"a": (1, None), 2: {}},
        Macro("TASK"),
        (Reference("a/Network"), Reference("Network", True)),
    ],
)
def test_rendered_values_parse_to_themselves(value: object) -> None:
    rendered = gin_syntax.render(value)
    (binding,) = gin_syntax.read_bindings([f"A = {rendered}"])
    assert isinstance(binding, Binding)
    assert binding.value == value and type(binding.value) is type(value)


@pytest.mark.parametrize("value", [math.nan, object(), len, {1, 2}, (1, object()), [math.nan], {"a": len}])
def test_what_gin_cannot_write_is_not_rendered(value: object) -> None:
    assert gin_syntax.render(value) is None


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("A = 1\na b = 3", 2, "expected ':' or '='"),
        ("A = (1,\n 2", 2, "not closed"),
        ("A = ", 1, "Unable to parse value"),
        ("A = 1 2", 1, "Expected newline"),
        ("A = Hopper", 1, "quotes"),
        ("from __gin__ import dynamic_registration", 1, "not supported"),
    ],
)
def test_bad_syntax_names_the_line(text: str, line: int, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words) as caught:
        gin_syntax.read_bindings([text], source="file.gin")
    assert f"file.gin:{line}:" in str(caught.value)


def test_includes_come_in_their_place(user_directory: pathlib.Path) -> None:
    (user_directory / "parts").mkdir()
    (user_directory / "parts" / "inner.gin").write_text("B = 1\n")
    (user_directory / "parts" / "outer.gin").write_text("A = 1\ninclude 'inner.gin'\nB = 2\n")
    statements = gin_syntax.read_files(["parts/outer.gin"])
    assert [(s.name, s.value, s.location) for s in statements if isinstance(s, Binding)] == [
        ("A", 1, "parts/outer.gin:1"),
        ("B", 1, "parts/inner.gin:1"),
        ("B", 2, "parts/outer.gin:3"),
    ]


def test_search_order_of_includes(user_directory: pathlib.Path, tmp_path: pathlib.Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    for directory in (elsewhere, user_directory):
        (directory / "tasks").mkdir(parents=True)
        (directory / "tasks" / "hopper.gin").write_text(f"FROM = {str(directory)!r}\n")
    (elsewhere / "outer.gin").write_text("include 'tasks/hopper.gin'\n")

    def found() -> object:
        statement = gin_syntax.read_files([str(elsewhere / "outer.gin")])[0]
        assert isinstance(statement, Binding)
        return statement.value

    assert found() == str(elsewhere)
    (elsewhere / "tasks" / "hopper.gin").unlink()
    assert found() == str(user_directory)
    (user_directory / "tasks" / "hopper.gin").unlink()
    assert found() == "Hopper-v5"  # the library's own


def test_the_librarys_files_are_found_with_and_without_gin(user_directory: pathlib.Path) -> None:
    expected = _resources.gin_root() / "tasks" / "hopper.gin"
    assert gin_syntax.find_file("gin/tasks/hopper.gin") == expected
    assert gin_syntax.find_file("tasks/hopper.gin") == expected
    with pytest.raises(ConfigurationError, match="--gin_file: the gin file 'hopper.gin' does not exist"):
        gin_syntax.find_file("hopper.gin")
    assert gin_syntax.find_file(str(expected)) == expected


def test_the_librarys_files_keep_their_names_where_they_are_installed(
    user_directory: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = tmp_path / "expol_tf" / "gin_files"
    installed.mkdir(parents=True)
    (installed / "mine.gin").write_text("A = 1\n")
    monkeypatch.setattr(_resources, "gin_root", lambda: installed)
    assert gin_syntax.find_file("gin/mine.gin") == installed / "mine.gin"
    assert gin_syntax.library_name(installed / "mine.gin") == "gin/mine.gin"


def test_the_users_file_hides_the_librarys(user_directory: pathlib.Path) -> None:
    (user_directory / "nfp_trpo.gin").write_text("")
    assert gin_syntax.find_file("nfp_trpo.gin") == user_directory / "nfp_trpo.gin"


def test_a_missing_file_names_the_nearest(user_directory: pathlib.Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        gin_syntax.read_files(["gin/nfp_tpro.gin"])
    message = str(caught.value)
    assert "'gin/nfp_tpro.gin' does not exist. Did you mean 'gin/nfp_trpo.gin'?" in message
    assert str(user_directory / "gin/nfp_tpro.gin") in message


def test_a_missing_include_names_the_chain(user_directory: pathlib.Path) -> None:
    (user_directory / "a.gin").write_text("include 'b.gin'\n")
    (user_directory / "b.gin").write_text("\ninclude 'missing.gin'\n")
    with pytest.raises(ConfigurationError) as caught:
        gin_syntax.read_files(["a.gin"])
    message = str(caught.value)
    assert "'missing.gin' does not exist" in message
    assert message.index("included at b.gin:2") < message.index("included at a.gin:1")


def test_an_include_of_itself_is_an_error(user_directory: pathlib.Path) -> None:
    (user_directory / "a.gin").write_text("include 'b.gin'\n")
    (user_directory / "b.gin").write_text("include 'a.gin'\n")
    with pytest.raises(ConfigurationError, match="includes itself"):
        gin_syntax.read_files(["a.gin"])


def test_a_file_that_is_no_text_is_an_error(user_directory: pathlib.Path) -> None:
    (user_directory / "a.gin").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        gin_syntax.read_files(["a.gin"])


def test_reading_leaves_gin_alone() -> None:
    before = gin.config_str()
    gin_syntax.read_bindings(["A = 1\nB.c = %A"])
    assert gin.config_str() == before


def test_import_gin_is_gin_config() -> None:
    assert hasattr(gin, "parse_config")
    assert not list(_resources.gin_root().rglob("*.py"))
