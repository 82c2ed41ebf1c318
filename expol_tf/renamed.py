"""Names of earlier versions, and errors that say what replaces them, in gin and in Python alike.

The table has a line for each argument that a public class lost, under the name that users wrote:

```python
RENAMED = {"SqlAgent.num_value_samples": "LogSumExpValue.num_samples"}
```
"""

from __future__ import annotations

import functools
import inspect
from typing import Any, TypeVar

from expol_tf.errors import ConfigurationError

T = TypeVar("T")

# Old name → what completes the sentence "OLD is now …": the new name, or words where nothing replaces it.
RENAMED: dict[str, str] = {}


def renamed(name: str) -> str | None:
    """Returns "OLD is now NEW." for a name in the table, else None.

    Args:
      name: "Class.argument" or "Class", as in Python or as gin writes it, with a scope and the module:
        "scope/expol_tf.Class.argument".
    """
    old = name.rsplit("/", 1)[-1].removeprefix("expol_tf.")
    return f"{old} is now {RENAMED[old]}." if old in RENAMED else None


def answers_renamed(cls: type[T]) -> type[T]:
    """Decorates a class whose constructor lost arguments: it refuses their old names with the new ones.

    The decorator stands beneath `gin.configurable`, above `dataclass`. An argument that `RENAMED` has under
    the name of the class, or of a subclass that inherits the constructor, raises a `ConfigurationError`; any
    other unknown one stays Python's TypeError.
    """
    construct = cls.__init__
    signature = inspect.signature(construct)

    @functools.wraps(construct)
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        for name in kwargs:
            if name not in signature.parameters:
                for owner in type(self).__mro__:
                    answer = renamed(f"{owner.__name__}.{name}")
                    if answer is not None:
                        raise ConfigurationError(answer)
        construct(self, *args, **kwargs)

    # gin looks at this attribute, not through the wrapper, for the names of positional arguments.
    __init__.__signature__ = signature  # type: ignore[attr-defined]
    cls.__init__ = __init__  # type: ignore[method-assign]
    return cls
