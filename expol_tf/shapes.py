"""Shapes of tensor arguments, checked by name where a function begins."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from expol_tf.errors import ConfigurationError


@tf.autograph.experimental.do_not_convert
def require_shapes(*arguments: tuple[str, Any, str]) -> None:
    """Refuses arguments whose static shapes contradict the letters of their dimensions.

    ```python
    require_shapes(("reward", reward, "B T"), ("value", value, "B T"), ("seed", seed, "2"))
    require_shapes(("particles", particles, "... M A"), ("width", width, "..."))
    ```

    A letter is a dimension, and the same letter has the same size in all arguments of the call. A number is
    itself the size, and "" is a scalar. In front of the letters, "..." stands for any number of leading
    dimensions, the same in all arguments. "*" stands for any number too, but is not compared: the function
    broadcasts those dimensions.

    Only static shapes are read, so a graph gains no operation. Unknown ranks and sizes pass.

    Args:
      *arguments: Triples of a name for the message, a value and its dimensions. The value is a tensor or
        anything that NumPy takes; None, an optional argument that was left out, passes.

    Raises:
      ConfigurationError: If a rank or a size is wrong.
    """
    # Each letter → its size as a shape, and the first argument that has it.
    sizes: dict[str, tuple[tf.TensorShape, str]] = {}
    checked: dict[str, tuple[str, tf.TensorShape]] = {}
    for name, value, dimensions in arguments:
        shape = tf.TensorShape(value.shape if hasattr(value, "shape") else np.shape(value))
        if value is None or shape.rank is None:
            continue
        letters = dimensions.split()
        leading = letters.pop(0) if letters and letters[0] in ("...", "*") else ""
        surplus = shape.rank - len(letters)
        if surplus < 0 or (surplus > 0 and not leading):
            raise ConfigurationError(
                f"{name} must be {_written(dimensions)}; got {shape}. {_remedy(name, shape, surplus)}"
            )
        checked[name] = dimensions, shape
        axes = [(leading, shape[:surplus])] if leading == "..." else []
        axes += [(letter, shape[surplus + axis : surplus + axis + 1]) for axis, letter in enumerate(letters)]
        for letter, size in axes:
            fixed = tf.TensorShape([int(letter)]) if letter.isdigit() else size
            expected, source = sizes.get(letter, (fixed, name))
            if not expected.is_compatible_with(size):
                rule = _rule(name, dimensions, letter, expected, source, checked[source])
                raise ConfigurationError(
                    f"{name} must {rule}; got {shape}. Sizes are not broadcast here: give all of them."
                )
            # What one argument leaves unknown another may fix.
            sizes[letter] = expected.merge_with(size), source if expected.is_fully_defined() else name


def _written(dimensions: str) -> str:
    return f"[{', '.join(dimensions.split())}]" if dimensions else "a scalar"


def _rule(
    name: str,
    dimensions: str,
    letter: str,
    size: tf.TensorShape,
    source: str,
    checked: tuple[str, tf.TensorShape],
) -> str:
    """What `name` broke: the shape of another argument, or the size of a letter that the other has too."""
    written, (other, shape) = _written(dimensions), checked
    if source == name:
        return f"be {written}"
    if other == dimensions:
        return f"have {source}'s shape {written} = {shape}"
    return f"be {written} with {letter} = {size if letter == '...' else size[0]} as in {source}"


def _remedy(name: str, shape: tf.TensorShape, surplus: int) -> str:
    if surplus < 0:
        return f"Add the missing axes; {name}[tf.newaxis] adds one in front."
    if shape[-1] == 1:
        return f"Remove the last axis by tf.squeeze({name}, axis=-1)."
    return "Give a value of that rank."
