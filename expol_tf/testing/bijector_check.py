"""The contract of a bijector."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from expol_tf.checked import checked
from expol_tf.number_types import Count, NonNegative, SeedNumber
from expol_tf.testing.assertions import ensure, ensure_close, ensure_finite, explained, perturbed

tfb = tfp.bijectors
tfd = tfp.distributions

_PRODUCTS = {"MatMul", "BatchMatMul", "BatchMatMulV2", "BatchMatMulV3", "Einsum", "Conv2D"}


@checked
def check_bijector(
    bijector: tfb.Bijector,
    event_size: Count,
    *,
    batch_shape: Sequence[int] = (),
    dtype: tf.DType | None = None,
    tolerance: NonNegative | None = None,
    perturbation: NonNegative = 0.3,
    single_evaluation: bool = True,
    seed: SeedNumber = 0,
) -> None:
    """Checks a bijector of vectors in ℝᴬ: its inverse, its log-determinant, its shapes and its cost.

    * forward∘inverse and inverse∘forward are the identity. Tensors are copied in between: TFP's bijectors
      remember the pre-image of a tensor that they made, so that a wrong inverse would pass.
    * `forward_log_det_jacobian` is log|det| of the Jacobian by automatic differentiation, and
      `inverse_log_det_jacobian` is its negative.
    * Values, log-determinants and their gradients are finite, even far from the origin (|x| ≈ 10).
    * Additional sample dimensions, single vectors, and batches of unknown size in a `tf.function` work.
    * A density evaluates the bijector's networks once: the graph of a value with its log-determinant has no
      more matrix products than the graph of the value alone.

    Example:

    ```python
    check_bijector(AffineCoupling(AffineConditioner(2, 1), event_size=3), event_size=3)
    ```

    Args:
      bijector: The bijector. Its `trainable_variables`, if any, have their values again afterwards.
      event_size: Size A of the vectors.
      batch_shape: Batch shape of the bijector's parameters, such as `[B]` for a state shift of `[B, A]`.
      dtype: Dtype of the vectors; None takes the bijector's own, or else float32.
      tolerance: Largest |error| / (1 + |value|) allowed; None takes 1e-9 in float64 and 1e-3 in float32.
      perturbation: Standard deviation of the normal noise that is added to the variables for the checks.
      single_evaluation: Whether to check the last rule, on the cost.
      seed: Seed of the noise and of the vectors.

    Raises:
      AssertionError: At the first broken rule.
    """
    dtype = tf.as_dtype(dtype or bijector.dtype or tf.float32)
    tolerance = tolerance or (1e-9 if dtype == tf.float64 else 1e-3)
    generator = np.random.default_rng(seed)
    points = generator.standard_normal([2, 4, *batch_shape, event_size])
    with perturbed(bijector.trainable_variables, perturbation, seed):
        x = tf.constant(points, dtype)
        _check_inverse(bijector, x, tolerance)
        _check_log_determinant(bijector, x, tolerance)
        # |x|^0.1 is near 1, so that every component is about 10 in size.
        _check_finite(bijector, tf.constant(np.sign(points) * np.abs(points) ** 0.1 * 10, dtype))
        _check_shapes(bijector, x, tolerance)
        _check_in_a_function(bijector, x, bool(batch_shape), tolerance)
        if single_evaluation:
            _check_single_evaluation(bijector, x)


def _check_inverse(bijector, x, tolerance):
    y = bijector.forward(x)
    ensure(y.shape == x.shape, f"forward must return its argument's shape {x.shape}; got {y.shape}.")
    ensure(y.dtype == x.dtype, f"forward must return its argument's dtype {x.dtype}; got {y.dtype}.")
    back = bijector.inverse(tf.identity(y))
    ensure_close(back, x, tolerance, "inverse(forward(x)) must be x.")
    again = bijector.forward(tf.identity(back))
    ensure_close(again, y, tolerance, "forward(inverse(y)) must be y.")


def _check_log_determinant(bijector, x, tolerance):
    # One gradient for each component: a batch Jacobian would need a vectorized form of every operation.
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        y = bijector.forward(x)
        components = tf.unstack(y, axis=-1)
    zeros = tf.UnconnectedGradients.ZERO
    rows = [tape.gradient(component, x, unconnected_gradients=zeros).numpy() for component in components]
    jacobian = np.stack(rows, axis=-2).astype(np.float64)  # [..., A, A]
    _, expected = np.linalg.slogdet(jacobian)
    log_det = bijector.forward_log_det_jacobian(tf.identity(x), event_ndims=1)
    # A bijector with a constant Jacobian may return a single number for the whole batch.
    log_det = np.broadcast_to(log_det, expected.shape)
    ensure_close(log_det, expected, tolerance, "forward_log_det_jacobian must be log|det ∂y/∂x|.")
    inverse = np.broadcast_to(
        bijector.inverse_log_det_jacobian(tf.identity(y), event_ndims=1), expected.shape
    )
    ensure_close(
        -inverse, log_det, tolerance, "inverse_log_det_jacobian(y) must be −forward_log_det_jacobian(x)."
    )


def _check_finite(bijector, x):
    y = bijector.forward(x)
    for name, method, at in (
        ("forward", bijector.forward, x),
        ("inverse", bijector.inverse, y),
        ("forward_log_det_jacobian", lambda z: bijector.forward_log_det_jacobian(z, event_ndims=1), x),
        ("inverse_log_det_jacobian", lambda z: bijector.inverse_log_det_jacobian(z, event_ndims=1), y),
    ):
        with tf.GradientTape() as tape:
            z = tf.identity(at)
            tape.watch(z)
            value = method(z)
        sources = [z, *bijector.trainable_variables]
        gradients = tape.gradient(value, sources, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        ensure_finite(value, f"{name} at |x| ≈ 10")
        for gradient in gradients:
            ensure_finite(gradient, f"the gradient of {name} at |x| ≈ 10")


def _check_shapes(bijector, x, tolerance):
    y = bijector.forward(x)
    log_det = bijector.forward_log_det_jacobian(tf.identity(x), event_ndims=1)
    ensure(
        tf.broadcast_static_shape(log_det.shape, x.shape[:-1]) == x.shape[:-1],
        f"forward_log_det_jacobian must have shape {x.shape[:-1]}, or one that broadcasts to it; got "
        f"{log_det.shape}.",
    )
    log_det = tf.broadcast_to(log_det, x.shape[:-1])
    # The first point and the last of the two sample dimensions.
    for i, j in ((0, 0), (1, 3)):
        point = tf.identity(x[i, j])
        message = "A point's {} must not depend on the points beside it (sample shapes)."
        ensure_close(bijector.forward(point), y[i, j], tolerance, message.format("image"))
        alone = bijector.forward_log_det_jacobian(tf.identity(point), event_ndims=1)
        alone = tf.broadcast_to(alone, log_det[i, j].shape)
        ensure_close(alone, log_det[i, j], tolerance, message.format("log-determinant"))


def _check_in_a_function(bijector, x, has_batch_shape, tolerance):
    rows = x[0] if has_batch_shape else tf.reshape(x, [-1, x.shape[-1]])
    spec = tf.TensorSpec([None, *rows.shape[1:]], x.dtype)

    @tf.function(input_signature=[spec], autograph=False)
    def image_and_density(z):
        """The image of z, and the log-determinant of the inverse there."""
        y = bijector.forward(z)
        ensure(
            z.shape.is_compatible_with(y.shape),
            f"In a tf.function, forward must keep a batch of unknown size, {z.shape}; got {y.shape}.",
        )
        return y, bijector.inverse_log_det_jacobian(tf.identity(y), event_ndims=1)

    with explained("The bijector must work in a tf.function with a batch of unknown size"):
        y, log_det = image_and_density(rows)
    ensure_close(
        y, bijector.forward(tf.identity(rows)), tolerance, "forward must be the same in a tf.function."
    )
    expected = bijector.inverse_log_det_jacobian(tf.identity(y), event_ndims=1)
    ensure_close(log_det, expected, tolerance, "inverse_log_det_jacobian must be the same in a tf.function.")


def _check_single_evaluation(bijector, x):
    # A base without variables, so that all matrix products of the density are the bijector's.
    base = tfd.Independent(tfd.Normal(tf.zeros_like(x[0]), tf.ones_like(x[0])), 1)
    density = tfd.TransformedDistribution(base, bijector).log_prob
    for name, value, value_and_log_det in (
        (
            "forward",
            bijector.forward,
            lambda z: (bijector.forward(z), bijector.forward_log_det_jacobian(z, 1)),
        ),
        ("inverse", bijector.inverse, density),
    ):
        alone = _count_products(value, x)
        both = _count_products(value_and_log_det, x)
        ensure(
            both <= alone,
            f"{name} and its log-determinant must evaluate the bijector's networks once; {name} alone has "
            f"{alone} matrix products, both have {both}. Keep the first evaluation for the second, or pass "
            "single_evaluation=False.",
        )


def _count_products(function: Callable, x: tf.Tensor) -> int:
    """Returns how many matrix products the graph of `function` has, with those of the functions it calls."""

    def traced(z: tf.Tensor) -> tf.Tensor:
        """The function at a copy of z, of which TFP's cache knows nothing."""
        return function(tf.identity(z))

    spec = tf.TensorSpec(x.shape, x.dtype)
    graph = tf.function(traced, autograph=False).get_concrete_function(spec).graph.as_graph_def()
    nodes = [
        *graph.node,
        *(node for function_def in graph.library.function for node in function_def.node_def),
    ]
    return sum(node.op in _PRODUCTS for node in nodes)
