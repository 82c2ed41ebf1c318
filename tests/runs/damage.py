"""Ways in which a file of a run can be no such file, for tests of whoever reads it."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from expol_tf.runs import reading


def set_entry(content: Any, path: Sequence[str], value: Any) -> None:
    """Gives an entry of nested dictionaries another value; None removes it."""
    *outer, last = path
    for name in outer:
        content = content[name]
    if value is None:
        del content[last]
    else:
        content[last] = value


def _directory(path: pathlib.Path) -> None:
    path.unlink(missing_ok=True)
    path.mkdir()


def _dangling(path: pathlib.Path) -> None:
    path.unlink(missing_ok=True)
    path.symlink_to(path.with_name("nowhere"))


def _pipe(path: pathlib.Path) -> None:
    path.unlink(missing_ok=True)
    os.mkfifo(path)


def _half(path: pathlib.Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


# Damage of any file, and the words that name it.
ANY: dict[str, tuple[Callable[[pathlib.Path], object], str]] = {
    "directory": (_directory, "it is a directory"),
    "dangling": (_dangling, "it is a link to nothing"),
    "pipe": (_pipe, "it is no regular file"),
    # Root reads whatever its mode is: see `refuse`.
    "mode_0": (lambda path: path.chmod(0), "Permission denied"),
}
NOT_UTF_8 = {"not_utf_8": (lambda path: path.write_bytes(b"\xff\xfea,b\n1,2\n"), "it is not UTF-8 text (byte 0)")}
JSON: dict[str, tuple[Callable[[pathlib.Path], object], str]] = {
    **ANY,
    **NOT_UTF_8,
    "empty": (lambda path: path.write_bytes(b""), "it is empty"),
    "half": (_half, "it is not whole"),
    "nested": (lambda path: path.write_text("[" * 100_000), "it is nested deeper than 100"),
    "nested_values": (lambda path: path.write_text('{"a":' * 200 + "1" + "}" * 200), "nested deeper than 100"),
    "list": (lambda path: path.write_text("[1]"), "it must hold an object; got [1]"),
    "text": (lambda path: path.write_text('"a"'), "it must hold an object; got 'a'"),
    "surrogate": (lambda path: path.write_text('{"a": "\\ud800"}'), "text that is no Unicode"),
    "digits": (lambda path: path.write_text('{"a": ' + "1" * 5000 + "}"), "it is not whole"),
}


def refuse(monkeypatch: pytest.MonkeyPatch, *paths: pathlib.Path) -> None:
    """Lets files of mode 0 be unreadable for root too."""
    opened = os.open

    def guarded(path: object, *arguments: object, **keywords: object) -> int:
        if path in paths and path.exists() and not path.stat().st_mode & 0o777:  # type: ignore[attr-defined]
            raise PermissionError(13, "Permission denied", str(path))
        return opened(path, *arguments, **keywords)  # type: ignore[arg-type]

    monkeypatch.setattr(reading.os, "open", guarded)
