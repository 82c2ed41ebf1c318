"""What a later statement puts out of use: the settings of a part that another part has replaced.

`SacAgent.temperature = @FixedTemperature()`, after a file that bound `@LearnedTemperature()` and its
settings, leaves those without anything that they could set. They are left out of the configuration, where
settings of something that never had a part in the experiment are an error.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from absl import logging

from expol_tf.configuration.gin_syntax import Binding, Reference, walk

Key = tuple[str, str, str]
# Names of configurables → selectors of these and of all that they refer to.
Reachable = Callable[[list[str]], Iterable[str]]


class ReplacedParts:
    """Follows statements in their order, and tells at the end which of them lost what they belonged to."""

    def __init__(self) -> None:
        self._lost: set[Key] = set()

    def bound(self, key: Key) -> None:
        """Notes a statement: what is said after the replacement is said of what is there now."""
        self._lost.discard(key)

    def replaced(self, old: Any, new: Any, bindings: Mapping[Key, Binding], reachable: Reachable) -> None:
        """Notes that a value gave way to another.

        Args:
          old: The value before.
          new: The value now.
          bindings: All statements before the one that replaces, the replaced one included.
          reachable: Of the configuration before.
        """
        before, after = references(old), references(new)
        # A part that gave way to a plain value may still be made, with its settings, by who has the value.
        if not after or before <= after:
            return
        gone = set(reachable([name.rpartition("/")[2] for name in before - after]))
        scopes = {name.rpartition("/")[0].split("/")[-1] for name in before - after} - {""}
        for key in bindings:
            if key[1] in gone or key[0].split("/")[-1] in scopes:
                self._lost.add(key)

    def remaining(
        self, bindings: Mapping[Key, Binding], in_use: Collection[str]
    ) -> tuple[dict[Key, Binding], bool]:
        """Returns the statements that still belong to something, and whether any were left out.

        Args:
          bindings: All statements.
          in_use: Selectors of what the experiment refers to, of the last configuration.
        """
        named = {name for binding in bindings.values() for name in references(binding.value)}
        scopes = {scope for name in named for scope in name.split("/")[:-1]}
        left_out = [
            key
            for key in bindings
            if key in self._lost
            and (key[1] not in in_use or (key[0] and key[0].split("/")[-1] not in scopes))
        ]
        for key in left_out:
            logging.info("%s is left out with the part that it is about.", bindings[key].name)
        return {key: value for key, value in bindings.items() if key not in left_out}, bool(left_out)


def references(value: Any) -> set[str]:
    """Returns the names, with scopes, of the configurables that a value refers to."""
    return {leaf.name for leaf in walk(value) if isinstance(leaf, Reference)}
