"""The decorator of everything that gin configures: it registers, and checks what a call is given."""

from __future__ import annotations

import contextlib
import contextvars
import functools
import inspect
import traceback
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeVar

import gin

from expol_tf.argument_types import type_hints
from expol_tf.checked import argument_check
from expol_tf.errors import ConfigurationError, TaskError
from expol_tf.renamed import RENAMED, renamed
from expol_tf.suggestions import nearest

T = TypeVar("T", bound=Callable[..., Any])
# The attribute of what `configurable` returns for a function: itself.
OUTERMOST = "_expol_tf_configurable"
# No configuration has so many calls within calls.
_DEEP = 30


class Made(NamedTuple):
    """An object of a configurable class, and all arguments that its constructor got, defaults included."""

    target: Any
    arguments: dict[str, Any]


_made: contextvars.ContextVar[list[Made] | None] = contextvars.ContextVar("made", default=None)


@contextlib.contextmanager
def recorded_objects() -> Iterator[list[Made]]:
    """Gives a list that gets every object of a configurable class that is made in the block, in order.

    An object whose constructor calls that of its base class is in it for both, the base class's first.
    """
    made: list[Made] = []
    token = _made.set(made)
    try:
        yield made
    finally:
        _made.reset(token)


def configurable(target: T, *, checks_types: bool = True) -> T:
    """Registers a class or function with gin as `expol_tf.<its name>`, and checks the arguments of its calls.

    An argument of another type than is declared, or out of its range (`expol_tf.number_types`), raises a
    `ConfigurationError`, and so does one that does not exist: with its new name if it had one
    (`expol_tf.renamed`), or with the nearest. A class that inherits its constructor, or calls it, gets these
    checks in its own name.

    Args:
      target: The class or function.
      checks_types: False for a function whose own checks say more.
    """
    register = gin.configurable(module="expol_tf")

    def hints() -> dict[str, Any]:
        """Returns the types; asked at a call, as later modules may define names in annotations."""
        return type_hints(target) if checks_types else {}

    if not inspect.isclass(target):
        return _without_recursion(register(_checked(target, hints, lambda _: target.__name__)))
    checked = _checked(target.__init__, hints, lambda made: type(made).__name__)
    target.__init__ = checked  # type: ignore[misc]
    made = register(target)
    made.__init__ = _without_recursion(made.__init__)  # type: ignore[misc]
    return made


class _EndlessCalls(ConfigurationError):
    """Calls that gin has bound to each other never end."""


def _without_recursion(function: Any) -> Any:
    """Returns gin's function, with one sentence for bindings that would call each other without end.

    gin follows `@name()` before the function itself is called, so nothing in the function can look at it.
    """

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except TaskError as error:
            # As below: gin and this function are between the caller and the environment's code too.
            raise error.with_traceback(error.frames) from None
        except _EndlessCalls as error:
            # It comes from the depth, through a thousand calls of gin's that tell nobody anything.
            raise error.with_traceback(None) from None
        except RecursionError as error:
            cycle = _cycle_of_gin(error)
            if not cycle:
                raise
            raise _EndlessCalls(
                f"what gin has bound would call itself without end: {cycle}. Bind another value to an "
                "argument of one of them, or call gin.clear_config()."
            ) from None

    setattr(wrapper, OUTERMOST, wrapper)
    return wrapper


def _cycle_of_gin(error: RecursionError) -> str:
    """Returns the calls that gin has made within each other; "" if the recursion is not gin's."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    frames = [frame for frame in frames if frame.f_code.co_filename == gin.config.__file__]
    # gin evaluates a reference when it copies the value that holds it.
    if sum(frame.f_code.co_name == "__deepcopy__" for frame in frames) < _DEEP:
        return ""
    called = [frame.f_locals.get("selector", "") for frame in frames if frame.f_code.co_name == "gin_wrapper"]
    names = [f"@{selector.removeprefix('expol_tf.')}()" for selector in called]
    for index, name in enumerate(names):
        if name in names[:index]:
            return " → ".join(names[names.index(name) : index + 1])
    return ""


def _checked(function: Any, types_of: Callable[[], dict[str, Any]], owner: Callable[[Any], str]) -> Any:
    """Returns the function with its arguments checked; `owner` names it, or the object that it makes."""
    signature = inspect.signature(function)
    parameters = signature.parameters.values()
    takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)
    check = argument_check(signature)

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        self = args[0] if "self" in signature.parameters else None
        for name in kwargs:
            if name not in signature.parameters and not takes_any:
                raise ConfigurationError(_unknown(name, owner(self), self, signature))
        args, kwargs = check(types_of(), f"{owner(self)}.", args, kwargs)
        try:
            result = function(*args, **kwargs)
        except TaskError as error:
            # Of what lies between this call and the environment's code the caller can mend nothing.
            raise error.with_traceback(error.frames) from None
        made = _made.get()
        if made is not None and self is not None:
            bound = signature.bind(*args, **kwargs)
            bound.apply_defaults()
            arguments = {name: value for name, value in bound.arguments.items() if name != "self"}
            made.append(Made(self, arguments))
        return result

    # gin looks at this attribute, not through the wrapper, for the names of positional arguments.
    wrapper.__signature__ = signature  # type: ignore[attr-defined]
    return wrapper


def _unknown(name: str, owner: str, self: Any, signature: inspect.Signature) -> str:
    """Returns what to say of an argument that does not exist."""
    bases = [base.__name__ for base in type(self).__mro__] if self is not None else [owner]
    for base in bases:
        answer = renamed(f"{base}.{name}")
        if answer is not None:
            return answer
    old = [key.partition(".")[2] for base in bases for key in RENAMED if key.startswith(f"{base}.")]
    known = [parameter for parameter in signature.parameters if parameter != "self"]
    near = nearest(name, [*known, *old])
    text = f"{owner} has no argument {name!r}."
    if near and near[0] not in known:
        answers = (renamed(f"{base}.{near[0]}") for base in bases)
        return f"{text} {next(filter(None, answers))}"
    suggestion = f" Did you mean {near[0]!r}?" if near else ""
    return f"{text}{suggestion} Its arguments: {', '.join(known) or 'none'}."
