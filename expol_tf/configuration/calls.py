"""What a configuration calls when it is used: `@name()` is a call, whose arguments may be calls again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from expol_tf.configuration import gin_registry
from expol_tf.configuration.gin_syntax import Binding, Reference, expand, outer_scopes, walk
from expol_tf.errors import ConfigurationError

if TYPE_CHECKING:
    from expol_tf.configuration.configuration import Configuration

# Calls within calls take Python's stack; no experiment needs more than a few.
_DEEPEST = 30


def check_calls(configuration: Configuration) -> None:
    """Raises a `ConfigurationError` for calls that cannot be made.

    These are calls that would never end, as `A.x = @B()` beside `B.y = @A()`; calls of the program's own
    function; and calls that lack an argument.
    """
    _Calls(configuration).check()


def refuse_program(reference: Reference, known: gin_registry.Configurable, root: str, location: str) -> None:
    """Raises a `ConfigurationError` if a reference is to the program itself."""
    if known.selector == root:
        raise ConfigurationError(
            f"{location}: {reference} is the program itself, which cannot stand in its own configuration. "
            "Name what the setting is to be."
        )


class _Calls:
    """Follows the references of a configuration as gin does.

    gin calls `@scope/name()` in that scope, and `@name()` in the scope where it comes upon it. In the scope
    `a/b` hold the bindings without a scope, those of `a` and those of `a/b`.
    """

    def __init__(self, configuration: Configuration) -> None:
        self._configuration = configuration
        self._done: set[tuple[str, str]] = set()
        # Python code may make what nothing refers to.
        bound = [(scope, selector) for scope, selector, _ in configuration.bindings]
        self._pending = [key for key in bound if key[1].startswith(gin_registry.OURS)]

    def check(self) -> None:
        for key in self._pending:  # It grows.
            self._visit(*key, ())

    def _visit(self, scope: str, selector: str, within: tuple[tuple[str, str], ...]) -> None:
        """Follows what is bound on a configurable in a scope; `within` are the calls under way."""
        if (scope, selector) in self._done:
            return
        for binding in self._bindings(scope, selector):
            for leaf in walk(expand(binding.value, self._configuration.macros)):
                if isinstance(leaf, Reference):
                    self._follow(leaf, binding, scope, (*within, (scope, selector)))
        self._done.add((scope, selector))

    def _follow(
        self, reference: Reference, binding: Binding, scope: str, within: tuple[tuple[str, str], ...]
    ) -> None:
        inner, _, name = reference.name.rpartition("/")
        known = gin_registry.look_up(name, binding.location)
        node = (inner or scope, known.selector)
        refuse_program(reference, known, self._configuration.root, binding.location)
        if known.selector == "gin.constant":
            # gin looks the scope up among the constants, and ends in a KeyError where there is none.
            raise ConfigurationError(
                f"{binding.location}: {_shown(binding)} = {reference}: gin.constant is how gin reads a "
                "constant. Write the constant's name after a percent sign, %NAME."
            )
        if not reference.evaluate:
            # Whoever gets it calls it later: that is no call within this one.
            self._pending.append(node)
            return
        if node in within:
            chain = " → ".join(
                f"@{one.removeprefix('expol_tf.')}()" for _, one in (*within[within.index(node) :], node)
            )
            raise ConfigurationError(
                f"{binding.location}: {_shown(binding)} = {reference} would call itself without end: "
                f"{chain}. Give another value to one of them."
            )
        if len(within) > _DEEPEST:
            raise ConfigurationError(
                f"{binding.location}: {_shown(binding)} = {reference} is a call within more than {_DEEPEST} "
                "others. Make the objects in Python code."
            )
        self._require_arguments(reference, known, binding, node)
        self._visit(*node, within)

    def _require_arguments(
        self, reference: Reference, known: gin_registry.Configurable, binding: Binding, node: tuple[str, str]
    ) -> None:
        missing = known.required - {each.parameter for each in self._bindings(*node)}
        if known.selector == "gin.singleton" and not node[0]:
            missing = {"constructor"}  # gin tells singletons apart by their scopes.
        if missing:
            parameter = min(missing)
            scoped = f"{node[0]}/" if node[0] else "one/" if known.selector == "gin.singleton" else ""
            raise ConfigurationError(
                f"{binding.location}: {_shown(binding)} = {reference}: {known.short} needs a value for "
                f"{parameter!r}. Write {scoped}{known.short}.{parameter} = … on a line of its own"
                f"{f', and refer to it as @{scoped}{known.short}()' if scoped and not node[0] else ''}."
            )

    def _bindings(self, scope: str, selector: str) -> list[Binding]:
        """Returns the bindings that hold for a configurable in a scope, also those on its bases."""
        outer = outer_scopes(scope)
        selectors = {selector, *gin_registry.called_bases(selector)}
        return [
            binding
            for (bound_in, owner, _), binding in self._configuration.bindings.items()
            if owner in selectors and bound_in in outer
        ]


def _shown(binding: Binding) -> str:
    known = gin_registry.look_up(binding.selector)
    return f"{binding.scope + '/' if binding.scope else ''}{known.short}.{binding.parameter}"
