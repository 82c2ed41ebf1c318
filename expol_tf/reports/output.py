"""Markdown tables, and what is said of files that cannot be written."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence

from expol_tf.errors import RunDirectoryError


def markdown(heading: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Returns a Markdown table."""
    lines = [heading, ["---"] * len(heading), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def printable(text: str) -> str:
    """Returns the text in one line, without characters that a terminal or a page would obey."""
    return "".join(
        character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text
    )


def escaped(text: str) -> str:
    """Returns Markdown that shows the text as it is: names of runs hold no tags and no links."""
    return printable(text).replace("&", "&amp;").replace("<", "&lt;").replace("](", "]\\(")


@contextlib.contextmanager
def write_errors(problem: str, remedy: str = "Free space, or give another --output_dir.") -> Iterator[None]:
    """Turns the system's error of the block into "<problem>: <the system's reason>. <remedy>".

    Raises:
      RunDirectoryError: If the block raises an OSError.
    """
    try:
        yield
    except OSError as error:
        raise RunDirectoryError(f"{problem}: {error.strerror or error}. {remedy}") from error
