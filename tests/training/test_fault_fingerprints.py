"""Two different values have two different texts in a run's fingerprint, and equal ones have the same."""

from __future__ import annotations

import collections
import functools
import itertools
import os
import pathlib
import sys
import types
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from expol_tf.code_digests import is_installed
from expol_tf.descriptions import describe
from expol_tf.fingerprints import compare


class Negative(functools.partial):
    """A partial application that does something else."""

    def __call__(self, *values: Any, **options: Any) -> Any:
        return -super().__call__(*values, **options)


class Place:
    """A path of the user's own, with a setting."""

    def __init__(self, scale: float) -> None:
        self.scale = scale

    def __fspath__(self) -> str:
        return "place"


class OwnPath(type(pathlib.Path())):  # type: ignore[misc]
    """A path with an attribute."""


def scaled(scale: float) -> Callable[[float], float]:
    return lambda value: scale * value


def with_scale(value: Any, scale: float) -> Any:
    value.scale = scale
    return value


def in_a_class(member: Any) -> type:
    return type("Holder", (), {"member": member})


def fields(*names: str, kind: str = "f4") -> np.ndarray:
    return np.zeros(2, [(name, kind) for name in names])


def cycle(whole: bool) -> list:
    """[[x], 0] whose x is the whole, or the list within it."""
    outer: list = [[], 0]
    outer[0].append(outer if whole else outer[0])
    return outer


def cached(maxsize: int) -> Any:
    return functools.lru_cache(maxsize)(scaled(1.0))


def compiled(**options: Any) -> Any:
    return tf.function(scaled(1.0), **options)


def number(kind: Any) -> Any:
    return np.zeros(2, np.dtype(kind))


PARTS: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {
    "length of a deque": (lambda: collections.deque(maxlen=2), lambda: collections.deque(maxlen=3)),
    "names of fields": (lambda: fields("a", "b"), lambda: fields("b", "a")),
    "types of fields": (lambda: fields("a"), lambda: fields("a", kind="i4")),
    "types of a package": (
        lambda: number(tf.dtypes.experimental.float8_e5m2.as_numpy_dtype),
        lambda: number(tf.dtypes.experimental.float8_e4m3fn.as_numpy_dtype),
    ),
    "array of one number, and of no axis": (lambda: np.ones(1), lambda: np.array(1.0)),
    "array of one number, and the number": (lambda: np.ones(1), lambda: np.float64(1.0)),
    "array of no axis, and the number": (lambda: np.array(1.0), lambda: np.float64(1.0)),
    "class of a partial": (lambda: functools.partial(abs, 1), lambda: Negative(abs, 1)),
    "attribute of a partial": (
        lambda: with_scale(functools.partial(abs), 1.0),
        lambda: with_scale(functools.partial(abs), 2.0),
    ),
    "attribute of a path": (lambda: Place(1.0), lambda: Place(2.0)),
    "attribute of a derived path": (
        lambda: with_scale(OwnPath("a"), 1.0),
        lambda: with_scale(OwnPath("a"), 2.0),
    ),
    "system of a path": (lambda: pathlib.PurePosixPath("a"), lambda: pathlib.PureWindowsPath("a")),
    "setter of a property": (
        lambda: property(scaled(1.0), scaled(1.0)),
        lambda: property(scaled(1.0), scaled(2.0)),
    ),
    "partial in a static method": (
        lambda: in_a_class(staticmethod(functools.partial(max, 1))),
        lambda: in_a_class(staticmethod(functools.partial(max, 2))),
    ),
    "partial in a property": (
        lambda: in_a_class(property(functools.partial(max, 1), scaled(1.0))),
        lambda: in_a_class(property(functools.partial(max, 2), scaled(1.0))),
    ),
    "format of a memory view": (
        lambda: memoryview(b"12345678").cast("d"),
        lambda: memoryview(b"12345678").cast("q"),
    ),
    "compilation": (lambda: compiled(jit_compile=True), lambda: compiled(jit_compile=False)),
    "signature of a tf.function": (
        lambda: compiled(input_signature=[tf.TensorSpec([1])]),
        lambda: compiled(input_signature=[tf.TensorSpec([2])]),
    ),
    "size of a cache": (lambda: cached(1), lambda: cached(2)),
    "size of a method's cache": (lambda: in_a_class(cached(1)), lambda: in_a_class(cached(2))),
    "what holds itself": (lambda: cycle(True), lambda: cycle(False)),
    "large integer": (lambda: 10**5000, lambda: 10**5000 + 1),
    "count": (lambda: itertools.count(1), lambda: itertools.count(2)),
    "zip": (lambda: zip([1], [2], strict=True), lambda: zip([1], [3], strict=True)),
    "map": (lambda: map(abs, [1]), lambda: map(abs, [2])),
}


def difference(one: str, other: str) -> str:
    found = compare({"setting": one}, {"setting": other})
    assert not found.leftover and not found.unknown
    return "".join(found.differences)


@pytest.mark.parametrize("name", PARTS)
def test_fault_02_a_part_of_a_value_that_went_unnoticed(name: str) -> None:
    one, other = ([str(describe(make())) for _ in range(2)] for make in PARTS[name])
    assert one[0] == one[1] and other[0] == other[1]
    assert difference(one[0], other[0])


def test_fault_02_describing_an_iterator_takes_nothing_from_it() -> None:
    counting, pairs = itertools.count(5), zip([1, 2], [3, 4], strict=True)
    describe([counting, pairs])
    assert next(counting) == 5 and next(pairs) == (1, 3)


def test_fault_02_what_fails_when_it_is_looked_at_cannot_be_compared() -> None:
    class Failing(list):
        def __iter__(self) -> Any:
            raise RuntimeError

    found = compare(
        {"setting": str(describe({"a": Failing()}))}, {"setting": str(describe({"a": Failing()}))}
    )
    assert not found.differences
    assert len(found.leftover) == 1 and "a: " in found.leftover[0] and "Failing" in found.leftover[0]


READERS = {
    "import": "def read():\n    import settings_a\n    return settings_a.SCALE",
    "import as": "def read():\n    import settings_a as s\n    return [s.SCALE for _ in range(2)]",
    "from import": "def read():\n    from settings_a import SCALE\n    return SCALE",
    "submodule": "def read():\n    import package_a.settings\n    return package_a.settings.SCALE",
    "submodule as": "def read():\n    import package_a.settings as s\n    return s.SCALE",
    "from a package": "def read():\n    from package_a import settings\n    return settings.SCALE",
    "relative": "__package__ = 'package_a'\ndef read():\n    from .settings import SCALE\n    return SCALE",
    "another name": "import settings_a\ndef read():\n    s = settings_a\n    return s.SCALE",
    "getattr": "import settings_a\ndef read():\n    return getattr(settings_a, 'SCALE')",
    "vars": "import settings_a\ndef read():\n    return vars(settings_a)['SCALE']",
    "globals": "from settings_a import SCALE\ndef read():\n    return globals()['SCALE']",
    "method": "class read:\n    def scale(self):\n        import settings_a\n        return settings_a.SCALE",
    "the module": "import settings_a as read",
    "partial": "import functools, settings_a\nread = functools.partial(abs, settings_a)",
}


def described_with(scale: float, reader: str, root: pathlib.Path, patch: pytest.MonkeyPatch) -> str:
    """The description of a reader in what could be a new process, whose settings have another value."""
    root.mkdir()
    (root / "package_a").mkdir()
    (root / "package_a" / "__init__.py").touch()
    for file in ("settings_a.py", "package_a/settings.py"):
        (root / file).write_text(f"import numpy\n\nSCALE = {scale}\n\n\ndef double(x):\n    return 2 * x\n")
    for name in ("settings_a", "package_a", "package_a.settings"):
        patch.delitem(sys.modules, name, raising=False)
    names: dict[str, Any] = {"__name__": "user"}
    with patch.context() as inside:
        inside.syspath_prepend(root)
        exec(reader, names)
        text = str(describe(names["read"]))
    for name in ("settings_a", "package_a", "package_a.settings"):
        sys.modules.pop(name, None)
    return text


@pytest.mark.parametrize("name", READERS)
def test_fault_02_what_a_function_reads_of_a_module_of_the_users(
    name: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [
        described_with(scale, READERS[name], tmp_path / str(index), monkeypatch)
        for index, scale in enumerate([1.0, -100.0, 1.0])
    ]
    assert "-100.0" in difference(texts[0], texts[1])
    assert texts[0] == texts[2]


def test_what_a_function_does_not_read_of_a_module_is_no_part_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    settings: Any = types.ModuleType("settings_b")
    monkeypatch.setitem(sys.modules, "settings_b", settings)
    settings.SCALE, settings.OTHER = 1.0, 1.0
    names: dict[str, Any] = {"__name__": "user"}
    exec("def read():\n    import settings_b as s\n    return s.SCALE", names)
    before = str(describe(names["read"]))
    settings.OTHER = 2.0
    assert str(describe(names["read"])) == before and "SCALE=1.0" in before


def test_modules_that_are_not_there_or_installed_are_not_looked_into(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "pluggy")
    is_installed.cache_clear()
    names: dict[str, Any] = {"__name__": "user"}
    exec("def read():\n    import no_such_module as n, os, pluggy\n    return n.a, os.name, pluggy.b", names)
    assert str(describe(names["read"])).startswith("<user.read: import no_such_module=None> code[")
    assert "pluggy" not in sys.modules
    assert is_installed("pluggy") and is_installed("os.path") and not is_installed("no_such_module")
    assert str(describe(os)) == "<module os>"
