"""Affine coupling: y₁ = x₁, y₂ = x₂ ⊙ exp(s(x₁)) + t(x₁)."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp

from expol_tf.configurable import configurable
from expol_tf.errors import ConfigurationError
from expol_tf.number_types import Count
from expol_tf.text_types import ModuleName

tfb = tfp.bijectors

ConditionerFn = Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]


def split_sizes(event_size: int, transformed: str) -> tuple[int, int]:
    """Returns (number of components that condition, number of components that are transformed).

    The first half has ⌈A/2⌉ components, so that two couplings with `transformed` "last" and "first" change
    every component exactly once.

    Args:
      event_size: A, at least 2.
      transformed: The half that is transformed, "last" or "first".
    """
    if event_size < 2:
        raise ConfigurationError(
            "event_size: a coupling needs at least 2 components, one of them to condition on; "
            f"got {event_size}. For a single component use expol_tf.bijectors.ElementwiseSpline."
        )
    if transformed not in ("first", "last"):
        raise ConfigurationError(f'transformed must be "first" or "last"; got {transformed!r}.')
    first = -(-event_size // 2)
    return (first, event_size - first) if transformed == "last" else (event_size - first, first)


class _Pending(threading.local):
    """(Weak references to tensors, the (s, t) that the conditioner made of them) or None, for each thread."""

    entry: tuple[list[weakref.ref], tuple[tf.Tensor, tf.Tensor]] | None = None


@configurable
class AffineCoupling(tfb.Bijector):
    """y₁ = x₁, y₂ = x₂ ⊙ exp(s(x₁)) + t(x₁), with log|det ∂y/∂x| = Σᵢ sᵢ(x₁).

    Events are `[A]`, with any batch and sample shape. `transformed="last"` leaves the first ⌈A/2⌉ components
    as they are and maps the others; `"first"` is its complement. A density needs a value and its
    log-determinant, for which the conditioner is evaluated once.

    Like every TFP bijector, it remembers its result for a tensor. After the conditioner's variables have
    changed, make a new bijector (it owns no variables, so that costs nothing) or pass `tf.identity` of the
    tensor. Do the same for gradients with respect to a tensor that the bijector returned.

    Example:

    ```python
    coupling = AffineCoupling(AffineConditioner(2, 1), event_size=3)
    flow = tfd.TransformedDistribution(tfd.MultivariateNormalDiag(tf.zeros(3)), coupling)
    flow.log_prob(flow.sample(5))  # [5]
    ```

    References: Dinh et al. 2017, *Density estimation using Real NVP*, Eq. 7–8; Tang & Agrawal 2018,
    *Boosting Trust Region Policy Optimization by Normalizing Flows Policy*, §3.

    Args:
      conditioner: Function of x₁ `[..., d₁]` that returns `(s, t)`, both `[..., d₂]`: an `AffineConditioner`
        or any other. Variables of a `tf.Module` or Keras layer passed here are tracked.
      event_size: A, at least 2.
      transformed: The half that is mapped, "last" or "first".
      dtype: The dtype of x and y.
    """

    def __init__(
        self,
        conditioner: ConditionerFn,
        event_size: Count,
        transformed: str = "last",
        dtype: tf.DType = tf.float32,
        name: ModuleName = "affine_coupling",
    ) -> None:
        parameters = dict(locals())
        with tf.name_scope(name) as name:
            self._conditioning_size, self._transformed_size = split_sizes(event_size, transformed)
            self._conditioner = conditioner
            self._event_size = event_size
            self._transformed_part = transformed
            self._pending = _Pending()
            super().__init__(forward_min_event_ndims=1, dtype=dtype, parameters=parameters, name=name)

    @classmethod
    def _parameter_properties(cls, dtype: tf.DType) -> dict[str, Any]:
        return dict()

    # TFP takes bijectors with equal parameters for equal, and equal ones share its cache of pre-images. But
    # the conditioner's variables change: for a tensor seen before, a new coupling over an old conditioner
    # would answer with what the old variables made of it.
    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)

    @property
    def conditioner(self) -> ConditionerFn:
        """The function of x₁ that returns (s, t)."""
        return self._conditioner

    def _forward_event_shape(self, input_shape: tf.TensorShape) -> tf.TensorShape:
        return self._checked(input_shape)

    def _inverse_event_shape(self, output_shape: tf.TensorShape) -> tf.TensorShape:
        return self._checked(output_shape)

    def _forward(self, x: tf.Tensor) -> tf.Tensor:
        log_scale, shift = self._scale_and_shift(x)
        conditioning, transformed = self._split(x)
        return self._valid_at(self._join(conditioning, transformed * tf.exp(log_scale) + shift))

    def _inverse(self, y: tf.Tensor) -> tf.Tensor:
        log_scale, shift = self._scale_and_shift(y)
        conditioning, transformed = self._split(y)
        return self._valid_at(self._join(conditioning, (transformed - shift) * tf.exp(-log_scale)))

    def _forward_log_det_jacobian(self, x: tf.Tensor) -> tf.Tensor:
        return tf.reduce_sum(self._scale_and_shift(x)[0], axis=-1)

    def _inverse_log_det_jacobian(self, y: tf.Tensor) -> tf.Tensor:
        return -tf.reduce_sum(self._scale_and_shift(y)[0], axis=-1)

    def _checked(self, shape: tf.TensorShape) -> tf.TensorShape:
        if shape.rank is not None and shape.rank > 0 and shape[-1] not in (None, self._event_size):
            raise ConfigurationError(
                f"event_size: this coupling maps vectors of {self._event_size} components; got shape {shape}."
            )
        return shape

    def _split(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        self._checked(x.shape)
        if self._transformed_part == "last":
            return x[..., : self._conditioning_size], x[..., self._conditioning_size :]
        return x[..., self._transformed_size :], x[..., : self._transformed_size]

    def _join(self, conditioning: tf.Tensor, transformed: tf.Tensor) -> tf.Tensor:
        is_last = self._transformed_part == "last"
        return tf.concat([conditioning, transformed] if is_last else [transformed, conditioning], axis=-1)

    def _scale_and_shift(self, point: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        # A density asks for the value and for the log-determinant in two calls, both at the same tensor or
        # (in TFP's log_prob) the second at the result of the first, which has the same x₁. The first call
        # keeps its (s, t), and the second takes them away. Tensors are held weakly, so that neither a graph
        # nor an eager tensor lives longer through this memo.
        pending, self._pending.entry = self._pending.entry, None
        if pending is not None and any(reference() is point for reference in pending[0]):
            return pending[1]
        result = self._conditioner(self._split(point)[0])
        self._pending.entry = ([weakref.ref(point)], result)
        return result

    def _valid_at(self, result: tf.Tensor) -> tf.Tensor:
        if self._pending.entry is not None:
            # What was computed for x is right for y too, as y₁ = x₁.
            self._pending.entry[0].append(weakref.ref(result))
        return result
