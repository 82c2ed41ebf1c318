"""Shapes and dtypes of tensor arguments, checked by name where a function begins."""

from __future__ import annotations

import numbers
from typing import Any

import numpy as np
import tensorflow as tf

from expol_tf.argument_types import shown
from expol_tf.errors import ConfigurationError

# The end of the dimensions of an argument that may be left out.
_OPTIONAL = " | None"


@tf.autograph.experimental.do_not_convert
def require_shapes(*arguments: tuple[str, Any, str] | tuple[str, Any, str, str]) -> None:
    """Refuses arguments whose static shapes or dtypes contradict what is said of them.

    ```python
    require_shapes(("reward", reward, "B T"), ("value", value, "B T"), ("seed", seed, "2", "int"))
    require_shapes(("particles", particles, "... M A"), ("width", width, "..."))
    require_shapes(("x", x, "N A"), ("valid", valid, "N | None", "bool"))
    ```

    A letter is a dimension, and the same letter has the same size in all arguments of the call. A number is
    itself the size, and "" is a scalar. In front of the letters, "..." stands for any number of leading
    dimensions, the same in all arguments. "*" stands for any number too, but is not compared: the function
    broadcasts those dimensions. "| None" at the end allows None.

    The fourth item is the dtype: "bool"; "int", of 32 or 64 bits; the name of another; or "any". Without it
    tensors must be floating, and all of the call have the same dtype.

    Only static shapes and dtypes are read, so a graph gains no operation. Unknown ranks and sizes pass.

    Args:
      *arguments: Triples of a name for the message, a value and its dimensions, and the dtype as a fourth
        item. The value is a tensor or anything that NumPy takes.

    Raises:
      ConfigurationError: If a rank, a size or a dtype is wrong, or None or a tuple is given for a tensor.
    """
    # Each letter → its size as a shape, and the first argument that has it.
    sizes: dict[str, tuple[tf.TensorShape, str]] = {}
    checked: dict[str, tuple[str, tf.TensorShape]] = {}
    floating: tuple[tf.DType, str] | None = None
    for name, value, written, *dtype in arguments:
        dimensions = written.removesuffix(_OPTIONAL)
        if value is None and dimensions != written:
            continue
        shape = _shape(name, value, dimensions)
        floating = _require_dtype(name, value, dtype[0] if dtype else "", floating)
        if shape.rank is None:
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
                remedy = "Sizes are not broadcast here: give all of them."
                if letters and len(expected) == len(size) + 1:
                    remedy = f"Add the last axis {letters[-1]}; {name}[..., tf.newaxis] adds one of size 1."
                raise ConfigurationError(f"{name} must {rule}; got {shape}. {remedy}")
            # What one argument leaves unknown another may fix.
            sizes[letter] = expected.merge_with(size), source if expected.is_fully_defined() else name


def as_numbers(name: str, value: Any, remedy: str) -> np.ndarray:
    """Returns an array of real numbers; refuses a dictionary, text, complex numbers, rows of unequal length.

    Args:
      name: The argument's name, for the message.
      value: What a caller gave for an array.
      remedy: A sentence that says what to do.
    """
    try:
        array = np.asarray(value)
    except Exception:  # Whatever the object's own conversion raises.
        array = None
    if array is not None and array.dtype == object:
        # Python's numbers beyond 64 bits, and fractions, are objects to NumPy.
        real = array.size and all(isinstance(item, numbers.Real) for item in array.flat)
        array = array.astype(np.float64) if real else None
    # NumPy would drop the mask, and with it what the caller meant to leave out.
    masked = isinstance(value, np.ma.MaskedArray)
    if array is not None and array.dtype.kind in "biuf" and not masked:
        return array
    if isinstance(value, tuple) and len(value) == 2 and isinstance(value[1], dict):
        remedy = "Give its first item alone: an environment's reset returns (observation, info)."
    elif isinstance(value, dict):
        remedy = "Flatten it first, as gymnasium.wrappers.FlattenObservation does."
    raise ConfigurationError(
        f"{name} must be an array of real numbers; got {_kind(value)} {shown(value)}. {remedy}"
    )


def _kind(value: Any) -> str:
    return f"a {type(value).__name__},"


def _shape(name: str, value: Any, dimensions: str) -> tf.TensorShape:
    if hasattr(value, "shape"):
        return tf.TensorShape(value.shape)
    if isinstance(value, tuple) and any(tf.is_tensor(item) for item in tf.nest.flatten(value)):
        raise ConfigurationError(
            f"{name} must be a tensor {_written(dimensions)}; got a tuple of {len(value)}. Give its first "
            "item alone: a network returns (value, state)."
        )
    if value is None:
        raise ConfigurationError(
            f"{name} must be {_written(dimensions)}; got None. Give a value, as nothing takes its place."
        )
    return tf.TensorShape(np.shape(value))


def _require_dtype(
    name: str, value: Any, dtype: str, floating: tuple[tf.DType, str] | None
) -> tuple[tf.DType, str] | None:
    """Returns the dtype of floating tensors and the first one's name; refuses a value of another dtype."""
    # TensorFlow converts numbers and arrays of NumPy to the dtype of the tensors that they meet.
    if dtype == "any" or not (tf.is_tensor(value) or isinstance(value, tf.Variable)):
        return floating
    found = value.dtype.base_dtype
    rule = dtype
    if dtype == "int":
        fits, rule = found in (tf.int32, tf.int64), "int32"
    elif dtype:
        fits = found == tf.as_dtype(dtype)
    elif not found.is_floating:
        fits, rule = False, "floating"
    else:
        floating = floating or (found, name)
        fits, rule = found == floating[0], f"{floating[0].name} as {floating[1]}"
    if not fits:
        raise ConfigurationError(
            f"{name} must be {rule}; got {found.name}. Convert it by tf.cast({name}, …)."
        )
    return floating


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
