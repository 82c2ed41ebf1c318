"""What parts of a user's own return, checked by their class when an update is traced."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from expol_tf.errors import ConfigurationError
from expol_tf.objectives import Contrast, Improvement


@tf.autograph.experimental.do_not_convert
def require_vector(source: str, what: str, value: Any, like: tf.Tensor) -> None:
    """Raises a `ConfigurationError` unless a value has a number for each state.

    Args:
      source: Who returned it.
      what: What it is: "V", "y" or "log_prob".
      value: What was returned.
      like: A floating tensor `[N]`, whose dtype it must have.
    """
    expected, shape = tf.TensorShape(like.shape), _shape(source, what, value)
    if not shape.is_compatible_with(expected):
        count = "" if expected.rank is None or expected[0] is None else f" with N = {expected[0]}"
        remedy = f"Return one {what} for each state."
        if shape.rank == 2 and shape[-1] == 1:
            remedy = f"Remove the last axis by tf.squeeze({what}, axis=-1)."
        elif shape.rank == 2:
            remedy = "Make one number of those of the critics, such as by expol_tf.objectives.reduce_critics."
        raise ConfigurationError(f"{source} must return {what} [N]{count}; got {shape.as_list()}. {remedy}")
    if tf.is_tensor(value) and tf.is_tensor(like) and value.dtype != like.dtype:
        raise ConfigurationError(
            f"{source} must return {what} of dtype {like.dtype.name}; got {value.dtype.name}. "
            "Convert it by tf.cast."
        )


@tf.autograph.experimental.do_not_convert
def require_scalar(source: str, what: str, value: Any) -> None:
    """Raises a `ConfigurationError` unless a value, named as in `require_vector`, is a single number."""
    shape = _shape(source, what, value)
    if shape.rank not in (0, None):
        raise ConfigurationError(
            f"{source} must return {what} as a scalar; got {shape.as_list()}. Take the mean over the states "
            "that count: expol_tf.objectives.masked_mean(…, valid)."
        )


@tf.autograph.experimental.do_not_convert
def require_improvement(source: str, improvement: Any, like: tf.Tensor) -> None:
    """Raises a `ConfigurationError` unless a loss returned an `Improvement` of the right shapes.

    Args:
      source: Whose loss it is.
      improvement: What was returned.
      like: A floating tensor `[N]`.
    """
    _require_fields(source, improvement, Improvement)
    require_scalar(source, "loss", improvement.loss)
    if improvement.log_prob is not None:
        require_vector(source, "log_prob", improvement.log_prob, like)
    if not isinstance(improvement.metrics, Mapping):
        raise ConfigurationError(
            f"{source} must return metrics as a dictionary of scalars; got {improvement.metrics!r}. Return "
            "{} if there are none."
        )
    for name, value in improvement.metrics.items():
        require_scalar(source, f"metrics[{name!r}]", value)


def require_contrast(source: str, contrast: Any) -> None:
    """Raises a `ConfigurationError` unless a value is a `Contrast`; `discriminator_loss` asks for shapes."""
    _require_fields(source, contrast, Contrast)


def _require_fields(source: str, value: Any, kind: Any) -> None:
    if not all(hasattr(value, name) for name in kind._fields):
        raise ConfigurationError(
            f"{source} must return {kind.__name__}({', '.join(kind._fields)}); got a "
            f"{type(value).__name__}. Import it from expol_tf.objectives."
        )


def _shape(source: str, what: str, value: Any) -> tf.TensorShape:
    if hasattr(value, "shape"):
        return tf.TensorShape(value.shape)
    if value is None or isinstance(value, (tuple, list, dict)):
        raise ConfigurationError(
            f"{source} must return {what} as a tensor; got "
            f"{'None' if value is None else type(value).__name__}. Return {what} alone."
        )
    return tf.TensorShape(np.shape(value))
