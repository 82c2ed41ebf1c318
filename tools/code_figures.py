"""Prints figures of a tree's style: lengths of files, arguments of constructors, what is documented.

    python tools/code_figures.py expol_tf tests

Each figure is a line `name value`. Public is what has no underscore in front, methods included. A constructor
has the arguments of `__init__` without self, a dataclass its annotated fields. Comments are lines that begin
with #, per 100 lines of any kind.
"""

from __future__ import annotations

import ast
import pathlib
import statistics
import sys
from collections.abc import Iterator, Sequence

# The library's machinery around learning, wherever it lies; earlier names too, so that trees compare.
MACHINERY = {
    "runs", "training", "configuration", "cli", "sweeps", "reports", "diagnostics", "papers", "analysis",
    "distributed", "gin_syntax.py", "programs.py", "paths.py", "versions.py", "suggestions.py",
}  # fmt: skip
MANY_ARGUMENTS = 9


def sources(package: pathlib.Path) -> dict[pathlib.Path, str]:
    """Returns the texts of a package's files by their paths in it, without tests among them."""
    found = sorted(
        path for path in package.rglob("*.py") if "test" not in path.name or "testing" in path.parts
    )
    return {path.relative_to(package): path.read_text(encoding="utf-8") for path in found}


def constructors(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """The classes of a module that have a constructor, with the number of its arguments."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.ClassDef):
            continue
        inits = [item for item in node.body if isinstance(item, ast.FunctionDef) and item.name == "__init__"]
        if inits:
            arguments = inits[0].args
            yield node.name, len(arguments.args) + len(arguments.kwonlyargs) - 1
        elif any("dataclass" in ast.unparse(decorator) for decorator in node.decorator_list):
            yield node.name, sum(isinstance(item, ast.AnnAssign) for item in node.body)


def is_annotated(function: ast.FunctionDef) -> bool:
    """Whether all arguments but self and cls, and the result, have a type."""
    arguments = [*function.args.args, *function.args.kwonlyargs]
    typed = all(argument.annotation for argument in arguments if argument.arg not in ("self", "cls"))
    return typed and function.returns is not None


def figures(package: pathlib.Path, tests: pathlib.Path | None = None) -> Iterator[tuple[str, object]]:
    """The figures of a package, by name."""
    texts = sources(package)
    trees = {path: ast.parse(text) for path, text in texts.items()}
    lengths = {path: len(text.splitlines()) for path, text in texts.items()}
    total = sum(lengths.values())
    definitions = [
        node
        for tree in trees.values()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_")
    ]
    functions = [node for node in definitions if isinstance(node, ast.FunctionDef)]
    arguments = {f"{path}:{name}": n for path, tree in trees.items() for name, n in constructors(tree)}
    many = {name: n for name, n in arguments.items() if n > MANY_ARGUMENTS}
    comments = sum(line.strip().startswith("#") for text in texts.values() for line in text.splitlines())
    longest, widest = max(lengths, key=lengths.__getitem__), max(arguments, key=arguments.__getitem__)
    machinery = sum(n for path, n in lengths.items() if path.parts[0] in MACHINERY)

    yield "files", len(texts)
    yield "lines", total
    yield "median", int(statistics.median(lengths.values()))
    yield "longest", f"{lengths[longest]} {longest}"
    yield "max_ctor", f"{arguments[widest]} {widest}"
    listed = ", ".join(f"{name}={n}" for name, n in sorted(many.items(), key=lambda item: -item[1]))
    yield "ctor_over_9", f"{len(many)} {listed}"
    yield "not_agents_over_9", sum(not name.startswith("agents/") for name in many)
    documented = sum(ast.get_docstring(node) is not None for node in definitions)
    yield "documented", round(100 * documented / len(definitions))
    yield "annotated", round(100 * sum(map(is_annotated, functions)) / len(functions))
    yield "comments_per_100", round(100 * comments / total, 1)
    if tests is not None:
        test_lines = sum(len(path.read_text(encoding="utf-8").splitlines()) for path in tests.rglob("*.py"))
        yield "tests_per_line", round(test_lines / total, 2)
    yield "machinery_share", round(100 * machinery / total)
    for part in sorted({path.parts[0] for path in texts}):
        yield f"  part {part}", sum(n for path, n in lengths.items() if path.parts[0] == part)


def main(arguments: Sequence[str]) -> int:
    """Prints the figures of the package that the command line names."""
    if len(arguments) not in (1, 2):
        print("usage: code_figures.py PACKAGE_DIRECTORY [TESTS_DIRECTORY]", file=sys.stderr)
        return 2
    directories = [pathlib.Path(argument) for argument in arguments]
    for directory in directories:
        if not directory.is_dir():
            print(f"code_figures.py: there is no directory {directory}.", file=sys.stderr)
            return 2
    for name, value in figures(*directories):
        print(name, value)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
