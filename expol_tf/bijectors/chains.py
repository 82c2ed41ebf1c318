"""Builders of flow bijectors: u = g_K ∘ … ∘ g_2 ∘ ( L(s) + g_1(ε) )."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import tensorflow as tf
import tensorflow_probability as tfp

from expol_tf.bijectors.conditioner import AffineConditioner
from expol_tf.bijectors.coupling import AffineCoupling, split_sizes
from expol_tf.bijectors.spline import ElementwiseSpline
from expol_tf.errors import ConfigurationError
from expol_tf.keras_api import keras
from expol_tf.text_types import FloatType

tfb = tfp.bijectors


def make_transformations(
    event_size: int,
    num_transformations: int,
    conditioner: Callable[..., AffineConditioner] = AffineConditioner,
    context_size: int = 0,
    dtype: FloatType = "float32",
) -> list[list[keras.layers.Layer]]:
    """Creates the layers of `num_transformations` transformations g_k, with all their variables.

    A transformation is a pair of affine couplings of complementary halves, so that every transformation
    changes every component (K = 4 makes 8 couplings). With A = 1 a coupling has nothing to condition on, and
    a transformation is one `ElementwiseSpline` instead.

    Keep the result as an attribute of your network (Keras tracks layers in nested lists), and call
    `flow_chain` with it wherever the bijector is needed.

    Args:
      event_size: A, the number of components.
      num_transformations: K, 0 or more.
      conditioner: Called as `conditioner(input_size, output_size, context_size=…, dtype=…)`.
      context_size: Size of the context that the conditioners get besides x₁; 0 for none. With A = 1 there can
        be none.
      dtype: The dtype of all variables.

    Returns:
      The layers of g_1, …, g_K, in this order: two conditioners or one spline for each.
    """
    if not num_transformations >= 0:
        raise ConfigurationError(f"num_transformations must be 0 or more; got {num_transformations}.")
    if not event_size >= 1:
        raise ConfigurationError(f"event_size must be 1 or more; got {event_size}.")
    if event_size == 1:
        if context_size:
            raise ConfigurationError(
                "context_size: with a single action component the transformations are splines, which take no "
                f"context; got context_size={context_size}. Leave the couplings unconditioned for this task."
            )
        return [[ElementwiseSpline(event_size, dtype=dtype)] for _ in range(num_transformations)]
    return [
        [
            conditioner(*split_sizes(event_size, part), context_size=context_size, dtype=dtype)
            for part in ("last", "first")
        ]
        for _ in range(num_transformations)
    ]


def flow_chain(
    transformations: Sequence[Sequence[keras.layers.Layer]],
    event_size: int,
    state_shift: tf.Tensor | None = None,
    context: tf.Tensor | None = None,
    dtype: tf.DType = tf.float32,
) -> tfb.Bijector:
    """Returns u = g_K ∘ … ∘ g_2 ∘ ( L(s) + g_1(ε) ) as a TFP bijector.

    The state shift L(s) is added once, after the first transformation; without transformations the map is
    u = L(s) + ε. Reference: Tang & Agrawal 2018, *Implicit Policy for Reinforcement Learning*, Eq. 5;
    *Boosting Trust Region Policy Optimization by Normalizing Flows Policy*, Eq. 7.

    Args:
      transformations: The layers from `make_transformations`.
      event_size: A, the number of components.
      state_shift: L(s), `[B, A]`, or None for no shift.
      context: c `[B, context_size]` if the conditioners were made with a context, else None.
      dtype: The dtype of ε and u.
    """
    steps: list[tfb.Bijector] = []  # In the order of application, which is the reverse of a Chain's.
    for index, layers in enumerate(transformations):
        steps += _transformation(layers, event_size, context, dtype)
        if index == 0 and state_shift is not None:
            steps.append(tfb.Shift(state_shift))
    if not transformations and state_shift is not None:
        steps.append(tfb.Shift(state_shift))
    return tfb.Chain(steps[::-1]) if steps else tfb.Identity()


def _transformation(
    layers: Sequence[keras.layers.Layer], event_size: int, context: tf.Tensor | None, dtype: tf.DType
) -> list[tfb.Bijector]:
    """Returns the bijectors of one g_k, new ones: their caches must not outlive a change of the variables."""
    if event_size == 1:
        return [layer.bijector() for layer in layers]
    conditioners = (
        layers if context is None else [functools.partial(layer, context=context) for layer in layers]
    )
    return [
        AffineCoupling(conditioner, event_size, transformed=part, dtype=dtype)
        for conditioner, part in zip(conditioners, ("last", "first"), strict=True)
    ]
