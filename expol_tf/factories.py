"""What a class, a `functools.partial` or a function makes, as far as can be told without calling it."""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import Callable, Iterable
from typing import Any


def made_class(factory: Callable[..., Any]) -> type | None:
    """Returns the class that a factory makes objects of, None if it does not tell."""
    while isinstance(factory, functools.partial):
        factory = factory.func
    factory = inspect.unwrap(factory)
    if inspect.isclass(factory):
        return factory
    try:
        returned = typing.get_type_hints(factory).get("return")
    except Exception:  # Annotations may name what exists for type checkers alone.
        return None
    return returned if inspect.isclass(returned) and returned is not Any else None


def may_make(factory: Callable[..., Any], base: type) -> bool:
    """Whether what a factory makes can be a `base`; True where that cannot be told."""
    cls = made_class(factory)
    return cls is None or issubclass(cls, base) or issubclass(base, cls)


def takes(factory: Callable[..., Any], *arguments: Any, **keywords: Any) -> bool:
    """Whether a factory can be called with these arguments, and perhaps more; True where it does not tell."""
    return _binds(inspect.Signature.bind_partial, factory, *arguments, **keywords)


def takes_only(function: Callable[..., Any], *arguments: Any) -> bool:
    """Whether a function can be called with these arguments and no more; True where it does not tell."""
    return _binds(inspect.Signature.bind, function, *arguments)


def _binds(bind: Callable[..., Any], function: Callable[..., Any], *arguments: Any, **keywords: Any) -> bool:
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # Some built-in functions have none.
        return True
    try:
        bind(signature, *arguments, **keywords)
    except TypeError:
        return False
    return True


def completed(factory: Callable[..., Any], default: Callable[..., Any], held: Iterable[str] = ()) -> Any:
    """Returns a `partial` of a class with the keywords that it leaves open taken from another of that class.

    `partial(GaussianActorNetwork, hidden_units=(32,))` beside the default `partial(GaussianActorNetwork,
    squash=True)` gives `partial(GaussianActorNetwork, hidden_units=(32,), squash=True)`. What is no partial
    says all that it is, and comes back as it is.

    Args:
      factory: What a caller gave.
      default: What would take its place.
      held: Keywords that are set elsewhere, and stay open.
    """
    if not (isinstance(factory, functools.partial) and isinstance(default, functools.partial)):
        return factory
    cls, inner = made_class(factory), factory.func
    # A function that makes such an object need not take its keywords.
    if cls is None or cls is not made_class(default) or inspect.unwrap(inner) is not cls:
        return factory
    positional = list(inspect.signature(inner).parameters)[: len(factory.args)]
    given = {*positional, *factory.keywords, *held}
    missing = {name: value for name, value in default.keywords.items() if name not in given}
    return functools.partial(factory, **missing) if missing else factory


def shown_factory(factory: Any) -> str:
    """Returns a factory, or what was given in its place, as a message names it."""
    inner = factory
    while isinstance(inner, functools.partial):
        inner = inner.func
    name = getattr(inner, "__qualname__", None)
    if not callable(factory) or name is None:
        return repr(factory)
    return name if inner is factory else f"partial({name})"
