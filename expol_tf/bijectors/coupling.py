"""Affine coupling: y₁ = x₁, y₂ = x₂ ⊙ exp(s(x₁)) + t(x₁)."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable

import gin
import tensorflow as tf
import tensorflow_probability as tfp

from expol_tf.errors import ConfigurationError

tfb = tfp.bijectors

ConditionerFn = Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]


def split_sizes(event_size: int, transformed: str) -> tuple[int, int]:
    """Returns (size of the part that conditions, size of the part that is transformed).

    The first half has ⌈A/2⌉ components, so that two couplings with `transformed` "last" and "first" change
    every component exactly once.
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
    """(Weak references to tensors, what the conditioner made of them), of each thread its own; or None."""

    entry: tuple[list[weakref.ref], tuple[tf.Tensor, tf.Tensor]] | None = None


@gin.configurable(module="expol_tf")
class AffineCoupling(tfb.Bijector):
    """y₁ = x₁, y₂ = x₂ ⊙ exp(s(x₁)) + t(x₁), with log|det ∂y/∂x| = Σᵢ sᵢ(x₁).

    Event `[A]`, any batch and sample shape. `transformed="last"` leaves the first ⌈A/2⌉ components as they
    are and maps the others; `"first"` is its complement. The conditioner is evaluated once for a value and
    its log-determinant, which is what a density needs.

    As every TFP bijector, it remembers what it made of a tensor: make a new one after the conditioner's
    variables moved (it owns none, so that costs nothing), or pass `tf.identity` of the tensor; that also for
    gradients with respect to a tensor that the bijector made.

    Example:

    ```python
    coupling = AffineCoupling(AffineConditioner(2, 1), event_size=3)
    flow = tfd.TransformedDistribution(tfd.MultivariateNormalDiag(tf.zeros(3)), coupling)
    flow.log_prob(flow.sample(5))  # [5]
    ```

    References: Dinh et al. 2017, *Density estimation using Real NVP*, Eq. 7–8; Tang & Agrawal 2018,
    *Boosting Trust Region Policy Optimization by Normalizing Flows Policy*, §3.

    Args:
      conditioner: Function of x₁ `[..., d₁]` that returns `(s, t)`, each `[..., d₂]`: an `AffineConditioner`,
        or any other. Variables of a `tf.Module` or Keras layer passed here are tracked.
      event_size: A, at least 2.
      transformed: Which part is mapped, "last" or "first".
    """

    def __init__(
        self,
        conditioner: ConditionerFn,
        event_size: int,
        transformed: str = "last",
        dtype: tf.DType = tf.float32,
        name: str = "affine_coupling",
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
    def _parameter_properties(cls, dtype):
        return dict()

    # TFP takes bijectors of equal parameters for equal, and equal ones share its cache of pre-images. But the
    # conditioner's variables move: a new coupling over an old conditioner would answer for a tensor seen
    # before with what the old variables made of it.
    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)

    @property
    def conditioner(self) -> ConditionerFn:
        return self._conditioner

    def _forward_event_shape(self, input_shape):
        return self._checked(input_shape)

    def _inverse_event_shape(self, output_shape):
        return self._checked(output_shape)

    def _forward(self, x):
        log_scale, shift = self._scale_and_shift(x)
        conditioning, part = self._split(x)
        return self._valid_at(self._join(conditioning, part * tf.exp(log_scale) + shift))

    def _inverse(self, y):
        log_scale, shift = self._scale_and_shift(y)
        conditioning, part = self._split(y)
        return self._valid_at(self._join(conditioning, (part - shift) * tf.exp(-log_scale)))

    def _forward_log_det_jacobian(self, x):
        return tf.reduce_sum(self._scale_and_shift(x)[0], axis=-1)

    def _inverse_log_det_jacobian(self, y):
        return -tf.reduce_sum(self._scale_and_shift(y)[0], axis=-1)

    def _checked(self, shape):
        if shape.rank is not None and shape.rank > 0 and shape[-1] not in (None, self._event_size):
            raise ConfigurationError(
                f"event_size: this coupling maps vectors of {self._event_size} components; got shape {shape}."
            )
        return shape

    def _split(self, x):
        self._checked(x.shape)
        if self._transformed_part == "last":
            return x[..., : self._conditioning_size], x[..., self._conditioning_size :]
        return x[..., self._transformed_size :], x[..., : self._transformed_size]

    def _join(self, conditioning, part):
        return tf.concat(
            [conditioning, part] if self._transformed_part == "last" else [part, conditioning], axis=-1
        )

    def _scale_and_shift(self, point):
        # A density asks for the value and for the log-determinant in two separate calls, at the same tensor
        # or (TFP's log_prob) at the first one's result, whose conditioning part is the same. The first call
        # keeps its (s, t) for the second, which takes it away: nothing is kept for longer, and tensors are
        # held weakly, so that neither a graph nor an eager tensor outlives its use through this memo.
        pending, self._pending.entry = self._pending.entry, None
        if pending is not None and any(reference() is point for reference in pending[0]):
            return pending[1]
        result = self._conditioner(self._split(point)[0])
        self._pending.entry = ([weakref.ref(point)], result)
        return result

    def _valid_at(self, result):
        if self._pending.entry is not None:
            self._pending.entry[0].append(weakref.ref(result))
        return result
