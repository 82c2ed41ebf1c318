"""Python objects as text by value: equal ones have the same text in every process, different ones another.

Containers, attributes, closures and the globals that functions read are described recursively, arrays by a
digest. Code of the user's own is part of the value; that of installed packages goes by its name. A lock or an
open file has no value that could be compared, and what holds one says so.
"""

from __future__ import annotations

import collections
import contextlib
import copyreg
import enum
import functools
import logging
import pathlib
import re
import sys
import types
import weakref
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from expol_tf.code_digests import (
    PYTHON,
    CodeDigest,
    closure_values,
    code_digest,
    code_text,
    digest,
    global_values,
    is_importable,
    is_installed,
    module_values,
)

# A longer text is cut, and ends in the digest of the whole.
_LONGEST = 2000
# An object of more parts than this is no setting.
_MOST_PARTS = 50_000
_ATOMS = (bool, int, float, complex, str, type(None), type(Ellipsis), type(NotImplemented))
# What TensorFlow's modules keep for themselves.
_OF_TENSORFLOW = re.compile(r"_self_\w+|_name_scope|_scope_name|_tf_api_names\w*|_obj_reference_counts_dict")
_OF_PYTHON = re.compile(r"__\w+__|_abc_impl")

# Returns gin's text of an object that gin can write, else None.
Known = Callable[[Any], str | None]


class Description(NamedTuple):
    """An object as text.

    Attributes:
      text: Names and values, readable.
      codes: Digests of all code of the user's that belongs to it.
      leftover: Where in it something is that cannot be compared, and its class.
    """

    text: str
    codes: tuple[CodeDigest, ...] = ()
    leftover: tuple[str, ...] = ()

    def __str__(self) -> str:
        """All of it in one line, which `expol_tf.fingerprints` compares with that of another process."""
        line = self.text
        if self.codes:
            sources = [code.source or "" for code in self.codes]
            source = digest(" ".join(sources)) if all(sources) else "none"
            line += f" code[{PYTHON}]={digest(' '.join(code.code for code in self.codes))} source={source}"
        if self.leftover:
            line += f" not comparable[{'; '.join(self.leftover)}]"
        return line


# Environments as they were first seen: stepping one changes it, but not what was configured.
_first_seen: weakref.WeakKeyDictionary[Any, Description] = weakref.WeakKeyDictionary()


def describe(value: Any, known: Known = lambda value: None) -> Description:
    """Returns the description of any object.

    Args:
      value: The object. Nothing is called that pickling it would not call. Modules of the user's that its
        functions import are imported.
      known: Is asked first, about every object in it.
    """
    describer = _Describer(known)
    return describer.description(describer.text(value))


class _Describer:
    def __init__(self, known: Known) -> None:
        self._known = known
        self._texts: dict[int, str] = {}
        # The objects that are being described, with how many there were before each.
        self._open: dict[int, int] = {}
        self._path: list[str] = []
        # Held, so that no other object gets the identity of one of them.
        self._held: list[Any] = []
        self._codes: list[CodeDigest] = []
        self._leftover: list[str] = []

    def description(self, text: str) -> Description:
        return Description(text, tuple(self._codes), tuple(dict.fromkeys(self._leftover)))

    def text(self, value: Any) -> str:
        """Returns the text of an object, the same each time it comes up."""
        if type(value) in _ATOMS:
            return self._known(value) or _written_atom(value)
        key = id(value)
        if key in self._texts:
            return self._texts[key]
        if key in self._open:
            # It is inside of itself, so many levels further down.
            levels = len(self._open) - self._open[key]
            return "…" if levels == 1 else f"…{levels}"
        self._open[key] = len(self._open)
        self._held.append(value)
        try:
            if len(self._held) > _MOST_PARTS:
                text = self._left_over(value, "too many parts")
            else:
                text = self._known(value) or self._compound(value)
        except RecursionError:
            text = self._left_over(value, "nested too deeply")
        except Exception:  # Its class fails when it is asked for what it holds.
            text = self._left_over(value)
        finally:
            del self._open[key]
        if len(text) > _LONGEST:
            text = f"{text[: _LONGEST * 3 // 4]}… sha256={digest(text)}"
        self._texts[key] = text
        return text

    def _compound(self, value: Any) -> str:
        for classes, of_kind in _KINDS:
            # Not isinstance, which proxies deceive.
            if issubclass(type(value), classes):
                return of_kind(self, value)
        if _derives(value, "gymnasium", "Env"):
            return self._environment(value)
        if _derives(value, "tensorflow", "Tensor") or _derives(value, "tensorflow", "Variable"):
            return self._tensor(value)
        if type(value).__module__ == "typing":
            return self._written(value)
        if callable(getattr(value, "python_function", None)):
            return self._tf_function(value)
        return self._object(value)

    def _part(self, name: str, value: Any) -> str:
        """Returns the text of a part, by whose name the user finds it."""
        self._path.append(name)
        try:
            return self.text(value)
        finally:
            self._path.pop()

    def _parts(self, values: Iterable[Any]) -> list[str]:
        return [self._part(str(index), value) for index, value in enumerate(values)]

    def _named(self, values: Mapping[str, Any]) -> list[str]:
        return [f"{name.lstrip('_')}={self._part(name, value)}" for name, value in values.items()]

    def _left_over(self, value: Any, reason: str = "") -> str:
        name = _name(type(value))
        self._leftover.append(f"{'.'.join(self._path) or 'itself'}: {reason or name}")
        return f"<{name} object>"

    def _derived(self, value: Any, base: type, inner: str, **more: Any) -> str:
        """Returns the text of a container; of one that is more than its base with class and attributes."""
        # TensorFlow puts wrappers of its own around the containers in its modules.
        if type(value) is base or type(value).__module__.startswith("tensorflow."):
            return inner
        items = self._named({**_attributes(value), **more})
        return f"{self._class(type(value))}({', '.join([inner, *items])})"

    def _partial(self, value: functools.partial) -> str:
        items = [self._part("func", value.func), *self._parts(value.args)]
        items += [f"{name}={self._part(name, item)}" for name, item in value.keywords.items()]
        inner = f"partial({', '.join(items)})"
        if type(value) is functools.partial and vars(value):
            inner += f" with {', '.join(self._named(vars(value)))}"
        return self._derived(value, functools.partial, inner)

    def _tf_function(self, value: Any) -> str:
        items = [self.text(value.python_function)]
        for name, usual in _OF_FUNCTIONS.items():
            option = getattr(value, name, usual)
            items += [] if option is usual or option == usual else self._named({name: option})
        return f"tf.function({', '.join(items)})"

    def _mapping(self, value: Mapping) -> str:
        # The items that are there, whatever the class does when it is asked for them.
        items = dict.items(value) if issubclass(type(value), dict) else value.items()  # type: ignore[arg-type]
        inner = ", ".join(f"{self.text(key)}: {self._part(str(key), item)}" for key, item in items)
        factory = getattr(value, "default_factory", None)
        return self._derived(value, dict, f"{{{inner}}}", **({"default_factory": factory} if factory else {}))

    def _list(self, value: list | collections.deque) -> str:
        limit = getattr(value, "maxlen", None) if isinstance(value, collections.deque) else None
        more = {} if limit is None else {"maxlen": limit}
        return self._derived(value, list, f"[{', '.join(self._parts(value))}]", **more)

    def _tuple(self, value: tuple) -> str:
        items = self._parts(tuple.__iter__(value))
        return self._derived(value, tuple, f"({', '.join(items)}{',' if len(items) == 1 else ''})")

    def _set(self, value: set | frozenset) -> str:
        return self._derived(value, set, f"{{{', '.join(sorted(self.text(item) for item in value))}}}")

    def _enum(self, value: enum.Enum) -> str:
        return f"{self._class(type(value))}.{value.name}"

    def _atom(self, value: Any) -> str:
        base = next(cls for cls in type(value).__mro__ if cls in _ATOMS)
        return self._derived(value, base, _written_atom(value, base))

    def _bytes(self, value: Any) -> str:
        content = bytes(value)
        shown = repr(content) if len(content) <= 32 else f"<{len(content)} bytes, sha256={digest(content)}>"
        more = {}
        if isinstance(value, memoryview) and (value.format, value.ndim) != ("B", 1):
            more = {"format": value.format, "shape": value.shape}
        return self._derived(value, bytes, shown, **more)

    def _array(self, value: np.ndarray | np.generic) -> str:
        array = np.asarray(value)
        # A scalar is none of the arrays that hold one number.
        shape = "×".join(map(str, array.shape)) if array.size != 1 else str(array.shape)
        shape = "1" if isinstance(value, np.generic) else shape
        # Records, and types of packages' own, are all the same void to `dtype.str`.
        kind = array.dtype.str if array.dtype.kind != "V" else str(array.dtype)
        if array.dtype.hasobject:
            content = self.text(array.tolist())
        else:
            content = f"sha256={digest(np.ascontiguousarray(array).tobytes())}"
        more = {"mask": np.asarray(value.mask)} if isinstance(value, np.ma.MaskedArray) else {}
        inner = f"array({kind} {shape}, {content})"
        return inner if isinstance(value, np.generic) else self._derived(value, np.ndarray, inner, **more)

    def _tensor(self, value: Any) -> str:
        try:
            return f"tensor({self._array(np.asarray(value.numpy()))})"
        except Exception:  # It has no value yet: it belongs to a graph.
            return self._left_over(value)

    def _pure_path(self, value: pathlib.PurePath) -> str:
        inner = f"path({str(value)!r})"
        if type(value) is type(pathlib.Path()):
            return inner
        # Of its slots the library makes caches, so that they say nothing more.
        items = [inner, *self._named(getattr(value, "__dict__", {}))]
        return f"{self._class(type(value))}({', '.join(items)})"

    def _module(self, value: types.ModuleType) -> str:
        name = value.__name__
        if is_installed(name):
            return f"<module {name}>"
        items = [f"{key}={self._part(key, item)}" for key, item in module_values(vars(value)).items()]
        return f"<module {name}{': ' if items else ''}{', '.join(items)}>"

    def _logger(self, value: logging.Logger) -> str:
        return f"<logger {value.name}>"

    def _written(self, value: Any) -> str:
        return repr(value)

    def _reference(self, value: weakref.ReferenceType) -> str:
        return f"weakref({self.text(value())})"

    def _wrapper(self, value: Any) -> str:
        wrapped = _wrapped(value)
        if len(wrapped) == 1:
            items = [self._part(name, item) for name, item in wrapped.items()]
        else:
            items = self._named(wrapped)
        return f"{type(value).__name__}({', '.join([*items, *_cache_options(value)])})"

    def _method(self, value: types.MethodType) -> str:
        return f"{self.text(value.__func__)} of {self._part('__self__', value.__self__)}"

    def _builtin(self, value: Any) -> str:
        owner, name = getattr(value, "__self__", None), getattr(value, "__qualname__", value.__name__)
        if owner is None or isinstance(owner, types.ModuleType):
            return f"<{getattr(value, '__module__', None) or 'builtins'}.{name}>"
        return f"<{name}> of {self._part('__self__', owner)}"

    def _function(self, function: types.FunctionType) -> str:
        text, code = self._function_and_code(function)
        if code:
            self._codes.append(code_digest(function, code))
        return text

    def _function_and_code(self, function: types.FunctionType) -> tuple[str, list[str]]:
        """Returns the text of a function with the values that it holds, and its code, if it is the user's."""
        installed = is_installed(function.__module__ or "")
        if installed and is_importable(function):
            return f"<{_name(function)}>", []
        code = function.__code__
        values = closure_values(function)
        defaults = function.__defaults__ or ()
        arguments = code.co_varnames[: code.co_argcount]
        values |= dict(zip(arguments[len(arguments) - len(defaults) :], defaults, strict=True))
        values |= {**(function.__kwdefaults__ or {}), **vars(function)}
        text, names = self._holding(_name(function), values | ({} if installed else global_values(function)))
        return text, [] if installed else [code_text(code), *names]

    def _class(self, cls: type) -> str:
        name = _name(cls)
        if self._known(cls) or (is_installed(cls.__module__) and is_importable(cls)):
            return f"<{name}>"
        if id(cls) in self._texts:
            return self._texts[id(cls)]
        # Its methods may refer to it.
        self._texts[id(cls)] = f"<{name}>"
        self._held.append(cls)
        before = len(self._codes)
        values: dict[str, Any] = {f"base {index}": base for index, base in enumerate(cls.__bases__)}
        parts, shown = [], []
        for key, member in sorted(vars(cls).items()):
            functions = list(_functions(member))
            for function in functions:
                text, code = self._function_and_code(function)
                parts += [f"{key} {type(member).__name__}", *_cache_options(member), text, *code]
                shown += [f"{key}={text}"] if ": " in text else []
            if not functions and not _OF_PYTHON.fullmatch(key) and not isinstance(member, _SLOTS):
                values[key] = member
        text, names = self._holding(name, values, shown)
        if not is_installed(cls.__module__):
            own = code_digest(cls, [*parts, *names])
            if own.source:  # Of which its decorators, such as `dataclass`, have made what has no source.
                made = (code._replace(source=code.source or own.source) for code in self._codes[before:])
                self._codes[before:] = made
            self._codes.append(own)
        self._texts[id(cls)] = text
        return text

    def _holding(
        self, name: str, values: Mapping[str, Any], shown: Iterable[str] = ()
    ) -> tuple[str, list[str]]:
        """Returns the text of code that holds values, and those of them that are code without values."""
        shown, names = list(shown), []
        for key, value in values.items():
            text = self._part(key, value)
            if isinstance(value, _CODE) and ": " not in text:
                names.append(f"{key} {text}")
            else:
                shown.append(f"{key}={text}")
        return f"<{name}: {', '.join(shown)}>" if shown else f"<{name}>", names

    def _environment(self, value: Any) -> str:
        try:
            seen = _first_seen.get(value)
        except TypeError:  # Its class compares by value.
            return self._object(value)
        if seen is None:
            inner = _Describer(self._known)
            inner._open[id(value)] = 0
            seen = _first_seen[value] = inner.description(inner._object(value))
        self._codes += seen.codes
        self._leftover += [".".join([*self._path, place]) for place in seen.leftover]
        return seen.text

    def _object(self, value: Any) -> str:
        cls = type(value)
        if _derives(value, "keras", "Layer") or (cls.__module__.startswith("keras.") and _has_config(value)):
            return self._keras(value)
        class_text = self._class(cls)
        items = [f"class={class_text}"] if ": " in class_text else []
        items += self._named(dict(sorted(_attributes(value).items())))
        if _has_hidden_state(cls):
            try:
                reduce = copyreg.dispatch_table.get(cls)
                made = reduce(value) if reduce else value.__reduce_ex__(4)
            except Exception:  # What cannot be pickled has no value to compare.
                return self._left_over(value)
            items += [made] if isinstance(made, str) else self._parts(_listed(part) for part in made)
        return f"<{_name(cls)} object{': ' if items else ''}{', '.join(items)}>"

    def _keras(self, value: Any) -> str:
        try:
            parts = {"config": value.get_config()}
            parts |= {"weights": value.get_weights()} if hasattr(value, "get_weights") else {}
        except Exception:  # A layer of the user's that has no configuration.
            return self._left_over(value)
        return f"{self._class(type(value))}({', '.join(self._named(parts))})"


_CODE = (type, types.FunctionType, types.ModuleType, types.BuiltinFunctionType)
_SLOTS = (types.MemberDescriptorType, types.GetSetDescriptorType)
_BUILTIN_KINDS = (
    types.BuiltinFunctionType,
    types.MethodWrapperType,
    types.WrapperDescriptorType,
    types.MethodDescriptorType,
    types.ClassMethodDescriptorType,
)
_WRITTEN = (types.GenericAlias, types.UnionType, range, np.dtype)
_WRAPPERS = (staticmethod, classmethod, property, functools.cached_property, type(functools.cache(id)))
_KINDS: tuple[tuple[Any, Callable[[_Describer, Any], str]], ...] = (
    (functools.partial, _Describer._partial),
    (_WRITTEN, _Describer._written),
    (type, _Describer._class),
    (types.FunctionType, _Describer._function),
    (types.MethodType, _Describer._method),
    (_BUILTIN_KINDS, _Describer._builtin),
    (_WRAPPERS, _Describer._wrapper),
    (types.ModuleType, _Describer._module),
    (logging.Logger, _Describer._logger),
    (enum.Enum, _Describer._enum),
    (_ATOMS, _Describer._atom),
    ((bytes, bytearray, memoryview), _Describer._bytes),
    ((dict, types.MappingProxyType), _Describer._mapping),
    ((list, collections.deque), _Describer._list),
    (tuple, _Describer._tuple),
    ((set, frozenset), _Describer._set),
    ((np.ndarray, np.generic), _Describer._array),
    (pathlib.PurePath, _Describer._pure_path),
    (weakref.ReferenceType, _Describer._reference),
)


# Names of what a wrapper wraps: a method, or what makes a property.
_WRAPPED = ("__func__", "fget", "fset", "fdel", "func", "__wrapped__")
# What `tf.function` was told besides the function, with what it is told nothing.
_OF_FUNCTIONS: dict[str, Any] = {
    "_jit_compile": None,
    "_autograph": True,
    "_reduce_retracing": False,
    "input_signature": None,
    "_experimental_autograph_options": None,
    "_attributes": {},
}


def _wrapped(wrapper: Any) -> dict[str, Any]:
    """Returns what a method or property wraps, by name; a static method has it under two names."""
    found = ((name, getattr(wrapper, name, None)) for name in _WRAPPED)
    return {
        name: value for name, value in {id(item[1]): item for item in found}.values() if value is not None
    }


def _functions(member: Any) -> list[types.FunctionType]:
    """Returns the functions that a class has as this member, none if it holds anything else too."""
    found = [*_wrapped(member).values()] if isinstance(member, _WRAPPERS) else [member]
    return found if all(isinstance(item, types.FunctionType) for item in found) else []


def _cache_options(wrapper: Any) -> list[str]:
    options = getattr(wrapper, "cache_parameters", None)
    return [f"{name}={value}" for name, value in options().items()] if callable(options) else []


def _written_atom(value: Any, base: Any = None) -> str:
    kind: Any = base or type(value)
    try:
        return kind.__repr__(value)
    except ValueError:  # An integer of more digits than Python writes.
        return hex(value)


def _name(target: Any) -> str:
    return f"{target.__module__}.{target.__qualname__}"


def _derives(value: Any, package: str, name: str) -> bool:
    """Whether a value is an object of a package's class, which is not imported for the question."""
    cls = getattr(sys.modules.get(package), name, None)
    return isinstance(cls, type) and issubclass(type(value), cls)


def _has_config(value: Any) -> bool:
    return callable(getattr(value, "get_config", None))


def _attributes(value: Any) -> dict[str, Any]:
    """Returns what an object's dictionary and slots hold."""
    attributes = dict(getattr(value, "__dict__", {}))
    for cls in type(value).__mro__:
        for name, member in vars(cls).items():
            if isinstance(member, types.MemberDescriptorType) and name != "__dict__":
                with contextlib.suppress(AttributeError):  # It was never set.
                    attributes.setdefault(name, member.__get__(value))
    if _derives(value, "tensorflow", "Module"):
        attributes = {key: item for key, item in attributes.items() if not _OF_TENSORFLOW.fullmatch(key)}
    if _derives(value, "gymnasium", "Env") or _derives(value, "gymnasium", "Space"):
        attributes.pop("_np_random", None)  # Seeds are no part of what a task is.
    return attributes


def _has_hidden_state(cls: type) -> bool:
    """Whether objects of a class hold more than attributes: something that only its C code knows."""
    for each in cls.__mro__[:-1]:
        shown = sum(
            isinstance(member, types.MemberDescriptorType) or name in ("__dict__", "__weakref__")
            for name, member in vars(each).items()
        )
        assert each.__base__ is not None
        if each.__itemsize__ or each.__basicsize__ - each.__base__.__basicsize__ > 8 * shown:
            return True
    return False


def _listed(part: Any) -> Any:
    """Returns a part of what pickling gives; items, which come as an iterator, as a list."""
    return list(part) if hasattr(part, "__next__") and not isinstance(part, type) else part
