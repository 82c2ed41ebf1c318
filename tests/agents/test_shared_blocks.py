"""The named agents are wirings: what several of them would say alike is in their base classes."""

from __future__ import annotations

import ast
import itertools
import pathlib

import pytest

from expol_tf import agents

DIRECTORY = pathlib.Path(agents.__file__).parent
NAMED = ("trpo", "ppo", "acktr", "sac", "sql", "s2ac", "parpi", "nbp", "ddpg")
BLOCK = 6


def own_lines(source):
    """Returns the lines of a module outside of imports, signatures, docstrings and `super().__init__(…)`."""
    tree = ast.parse(source)
    left_out = set()
    for node in ast.walk(tree):
        # Imports are there for the signatures' types.
        if isinstance(node, ast.Import | ast.ImportFrom):
            left_out |= lines_of(node)
        elif isinstance(node, ast.FunctionDef):
            left_out |= set(range(node.lineno, node.body[0].lineno))
        elif isinstance(node, ast.Expr) and (is_docstring(node) or is_super_init(node)):
            left_out |= lines_of(node)
    lines = source.splitlines()
    return [
        line.strip()
        for number, line in enumerate(lines, start=1)
        if number not in left_out and line.strip() and not line.strip().startswith("#")
    ]


def lines_of(node):
    return set(range(node.lineno, node.end_lineno + 1))


def is_docstring(node):
    return isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def is_super_init(node):
    return isinstance(node.value, ast.Call) and ast.unparse(node.value.func) == "super().__init__"


def blocks(lines):
    return {tuple(lines[start : start + BLOCK]) for start in range(len(lines) - BLOCK + 1)}


@pytest.fixture(scope="module")
def own():
    return {name: own_lines((DIRECTORY / f"{name}_agent.py").read_text(encoding="utf-8")) for name in NAMED}


@pytest.mark.parametrize(("one", "other"), list(itertools.combinations(NAMED, 2)))
def test_two_agents_share_no_block_of_six_lines(own, one, other):
    shared = blocks(own[one]) & blocks(own[other])
    assert not shared, "\n".join(next(iter(shared)))


def test_what_is_left_out_and_what_is_kept(own):
    source = '''"""A module."""

from __future__ import annotations
import os

@decorated
class A(B):
    """Its docstring,

    of three lines.
    """

    kept: int = 1

    def __init__(self, a: int,
                 b: int) -> None:
        # A comment.
        super().__init__(
            a,
            b,
        )
        self.kept = (
            a,
        )
'''
    assert own_lines(source) == ["@decorated", "class A(B):", "kept: int = 1", "self.kept = (", "a,", ")"]
    assert blocks(own_lines(source)) and not blocks(own_lines(source)[1:])
    assert all(own.values())
