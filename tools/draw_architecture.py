"""Draws docs/architecture.svg: the library's packages, as their imports order them.

    python tools/draw_architecture.py

A package stands above all that it imports. An arrow that others imply (a path through packages between) is
left out. `--check` writes nothing, and exits with 1 where the picture is not what the imports say.
"""

from __future__ import annotations

import argparse
import ast
import pathlib
import sys
from collections.abc import Mapping, Sequence

ROOT = pathlib.Path(__file__).absolute().parents[1]
PACKAGE = ROOT / "expol_tf"
PICTURE = ROOT / "docs" / "architecture.svg"
# Not a layer: the modules directly in the package, which everything may import.
COMMANDS = "cli.commands"

WIDTH, HEIGHT, GAP, ROW, MARGIN, POINT = 110, 32, 16, 76, 16, 2
STYLE = (
    "text{font:13px sans-serif;text-anchor:middle;dominant-baseline:central;fill:#1b2733}"
    "rect{fill:#eef4fb;stroke:#5a7fa8;rx:6}"
    "path{fill:none;stroke:#8a97a6;stroke-width:1.2;marker-end:url(#head)}"
)

Graph = dict[str, set[str]]


def node_of(module: Sequence[str]) -> str | None:
    """The package that a module, named without expol_tf, belongs to; None for a module of no package."""
    if tuple(module[:2]) == tuple(COMMANDS.split(".")):
        return COMMANDS
    return module[0] if module and (PACKAGE / module[0] / "__init__.py").exists() else None


def imports() -> Graph:
    """The packages that each package imports."""
    graph: Graph = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        here = node_of(path.relative_to(PACKAGE).with_suffix("").parts)
        if here is None:
            continue
        graph.setdefault(here, set())
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names: list[str] = []
            if isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names = [f"{node.module}.{alias.name}" for alias in node.names]
            elif isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            for name in names:
                parts = name.split(".")
                there = node_of(parts[1:]) if parts[0] == "expol_tf" else None
                if there is not None and there != here:
                    graph[here].add(there)
    # The train command is below sweeps, the sweep command above: there files are in order, not packages.
    graph["sweeps"].discard(COMMANDS)
    return graph


def levels(graph: Mapping[str, set[str]]) -> dict[str, int]:
    """The length of the longest way from each package down."""
    found: dict[str, int] = {}

    def level(name: str) -> int:
        if name not in found:
            found[name] = max((level(below) + 1 for below in graph[name]), default=0)
        return found[name]

    for name in graph:
        level(name)
    return found


def reduced(graph: Graph) -> Graph:
    """The graph without the arrows that others imply."""

    def below(name: str) -> set[str]:
        return {name}.union(*(below(child) for child in graph[name]))

    return {
        name: {
            child
            for child in children
            if not any(child in below(other) for other in children if other != child)
        }
        for name, children in graph.items()
    }


def with_ways(graph: Graph, level: Mapping[str, int]) -> tuple[Graph, dict[str, int]]:
    """The graph with a point in every row that an arrow passes, so that arrows go between packages."""
    points: Graph = {name: set() for name in graph}
    heights = dict(level)
    for name, children in graph.items():
        for child in children:
            above = name
            for height in range(level[name] - 1, level[child], -1):
                point = f"{name}>{child}>{height}"
                points[above].add(point)
                points[point], heights[point] = set(), height
                above = point
            points[above].add(child)
    return points, heights


def rows(points: Graph, heights: Mapping[str, int]) -> list[list[str]]:
    """Packages and points by row, the lowest first, ordered so that arrows seldom cross."""
    layers = [sorted(name for name in points if heights[name] == n) for n in range(max(heights.values()) + 1)]
    above: Graph = {name: set() for name in points}
    for name, children in points.items():
        for child in children:
            above[child].add(name)
    for sweep in range(12):
        neighbours = above if sweep % 2 else points
        for names in layers[::-1] if sweep % 2 else layers:
            places = {
                name: (index + 0.5) / len(layer) for layer in layers for index, name in enumerate(layer)
            }
            middle = {
                name: sum(places[other] for other in neighbours[name]) / len(neighbours[name])
                if neighbours[name]
                else places[name]
                for name in names
            }
            names.sort(key=lambda name, middle=middle: (middle[name], name))  # type: ignore[misc]
    return layers


def picture() -> str:
    """The text of the SVG file."""
    full = imports()
    points, heights = with_ways(reduced(full), levels(full))
    layers = rows(points, heights)

    def width_of(name: str) -> int:
        return POINT if ">" in name else WIDTH

    row_widths = [sum(map(width_of, names)) + (len(names) - 1) * GAP for names in layers]
    width, height = 2 * MARGIN + max(row_widths), 2 * MARGIN + (len(layers) - 1) * ROW + HEIGHT
    centre: dict[str, tuple[float, float]] = {}
    for number, names in enumerate(layers):
        left = (width - row_widths[number]) / 2
        for name in names:
            centre[name] = left + width_of(name) / 2, height - MARGIN - HEIGHT / 2 - number * ROW
            left += width_of(name) + GAP
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="{width:g}">',
        f"<style>{STYLE}</style>",
        '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
        'orient="auto"><path d="M0 0L8 4L0 8z" style="fill:#8a97a6;stroke:none"/></marker></defs>',
        f'<rect width="{width:g}" height="{height:g}" style="fill:#ffffff;stroke:none;rx:0"/>',
    ]
    packages = sorted(name for name in points if ">" not in name)
    for name in packages:
        for child in sorted(points[name]):
            (x, y), steps = centre[name], [child]
            while ">" in steps[-1]:
                steps.extend(points[steps[-1]])
            path = f"M{x:g} {y + HEIGHT / 2:g}"
            y += HEIGHT / 2
            for step in steps:
                end_x, end_y = centre[step]
                top = end_y - HEIGHT / 2
                path += f"C{x:g} {(y + top) / 2:g} {end_x:g} {(y + top) / 2:g} {end_x:g} {top:g}"
                if ">" in step:
                    path += f"V{end_y + HEIGHT / 2:g}"
                x, y = end_x, end_y + HEIGHT / 2
            lines.append(f'<path d="{path}"/>')
    for name in packages:
        x, y = centre[name]
        corner = f'x="{x - WIDTH / 2:g}" y="{y - HEIGHT / 2:g}" width="{WIDTH}" height="{HEIGHT}"'
        lines.append(f'<rect {corner}/><text x="{x:g}" y="{y:g}">{name}</text>')
    return "\n".join([*lines, "</svg>", ""])


def main(arguments: Sequence[str]) -> int:
    """Draws the picture, or checks it."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 where it differs")
    values = parser.parse_args(arguments)
    text = picture()
    if values.check:
        return int(not PICTURE.exists() or PICTURE.read_text(encoding="utf-8") != text)
    PICTURE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
