"""What the library offers to its users is annotated."""

from __future__ import annotations

import ast
import pathlib
from collections.abc import Iterator

import pytest

import expol_tf

PACKAGE = pathlib.Path(expol_tf.__file__).parent


def public_functions(body: list[ast.stmt], inside: str = "") -> Iterator[tuple[str, ast.FunctionDef]]:
    """The public functions of a module, and the public methods and constructors of its public classes."""
    for node in body:
        name = getattr(node, "name", "_")
        if isinstance(node, ast.ClassDef) and not name.startswith("_"):
            yield from public_functions(node.body, f"{inside}{name}.")
        elif isinstance(node, ast.FunctionDef) and (not name.startswith("_") or name == "__init__"):
            yield f"{inside}{name}", node


def missing_annotations(source: str) -> list[str]:
    missing = []
    for name, function in public_functions(ast.parse(source).body):
        given = function.args
        arguments = [*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg]
        decorators = {ast.unparse(each) for each in function.decorator_list}
        method = "." in name and "staticmethod" not in decorators
        bare = [each.arg for each in arguments[method:] if each is not None and each.annotation is None]
        if function.returns is None and not name.endswith("__init__"):
            bare.append("the result")
        if bare:
            missing.append(f"{function.lineno}: {name}: {', '.join(bare)}")
    return missing


def test_public_functions_are_annotated():
    modules = sorted(PACKAGE.rglob("*.py"))
    missing = [
        f"{path.relative_to(PACKAGE.parent)}:{line}"
        for path in modules
        for line in missing_annotations(path.read_text(encoding="utf-8"))
    ]
    assert modules and not missing, "annotate:\n" + "\n".join(missing)


@pytest.mark.parametrize(
    ("source", "complete"),
    [
        ("def f(x: int) -> int: ...", True),
        ("def f(x) -> int: ...", False),
        ("def f(x: int): ...", False),
        ("def f(*, x) -> int: ...", False),
        ("def f(*x) -> int: ...", False),
        ("def _f(x): ...", True),
        ("class A:\n  def __init__(self, x: int): ...", True),
        ("class A:\n  def __init__(self, x): ...", False),
        ("class A:\n  def f(self, x: int): ...", False),
        ("class A:\n  def _f(self, x): ...", True),
        ("class A:\n  @staticmethod\n  def f(x) -> int: ...", False),
        ("class _A:\n  def f(self, x): ...", True),
        ("def f(x: int) -> int:\n  def g(y): ...", True),
    ],
)
def test_what_counts_as_annotated(source, complete):
    assert (not missing_annotations(source)) == complete
