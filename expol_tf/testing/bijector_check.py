"""The contract of a bijector."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from expol_tf.testing.assertions import ensure, ensure_close, ensure_finite, perturbed

tfb = tfp.bijectors
tfd = tfp.distributions

_PRODUCTS = {"MatMul", "BatchMatMul", "BatchMatMulV2", "BatchMatMulV3", "Einsum", "Conv2D"}


def check_bijector(
    bijector: tfb.Bijector,
    event_size: int,
    *,
    batch_shape: Sequence[int] = (),
    dtype: tf.DType | None = None,
    tolerance: float | None = None,
    perturbation: float = 0.3,
    single_evaluation: bool = True,
    seed: int = 0,
) -> None:
    """Checks a bijector of vectors `[A]` of ℝᴬ: its inverse, its log-determinant, its shapes and its cost.

    * forward∘inverse and inverse∘forward are the identity. Tensors are copied in between, as TFP's bijectors
      remember the pre-image of a tensor that they made, and a wrong inverse would pass;
    * `forward_log_det_jacobian` is log|det| of the Jacobian by automatic differentiation, and
      `inverse_log_det_jacobian` its negative;
    * values, log-determinants and their gradients are finite, also far out (|x| = 10);
    * sample shapes in front, single vectors, and batches of unknown size in a `tf.function` work;
    * a density evaluates the bijector's networks once: the graph of a value with its log-determinant has no
      more matrix products than that of the value alone.

    Example:

    ```python
    check_bijector(AffineCoupling(AffineConditioner(2, 1), event_size=3), event_size=3)
    ```

    Args:
      bijector: With `trainable_variables`, or without variables; they are put back afterwards.
      event_size: A.
      batch_shape: Of the bijector's parameters, `[B]` for one with a state shift of `[B, A]`.
      dtype: Of events; the bijector's own, or else float32, by default.
      tolerance: Of |error| / (1 + |value|); 1e-9 in float64 and 1e-3 in float32 by default.
      perturbation: Deviation of the normal noise that the variables are checked under.
      single_evaluation: Whether to ask for the last point.
      seed: Of the noise and of the points.

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
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        y = bijector.forward(x)
        components = tf.unstack(y, axis=-1)
    zeros = tf.UnconnectedGradients.ZERO
    rows = [tape.gradient(component, x, unconnected_gradients=zeros).numpy() for component in components]
    jacobian = np.stack(rows, axis=-2).astype(np.float64)  # [..., A, A]
    _, expected = np.linalg.slogdet(jacobian)
    log_det = bijector.forward_log_det_jacobian(tf.identity(x), event_ndims=1)
    # Spread over the batch: a bijector with a constant Jacobian may return a single number.
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
    for i, j in ((0, 0), (1, 3)):
        part = tf.identity(x[i, j])
        message = "A point's {} must not depend on the points beside it (sample shapes)."
        ensure_close(bijector.forward(part), y[i, j], tolerance, message.format("image"))
        alone = bijector.forward_log_det_jacobian(tf.identity(part), event_ndims=1)
        alone = tf.broadcast_to(alone, log_det[i, j].shape)
        ensure_close(alone, log_det[i, j], tolerance, message.format("log-determinant"))


def _check_in_a_function(bijector, x, has_batch_shape, tolerance):
    rows = x[0] if has_batch_shape else tf.reshape(x, [-1, x.shape[-1]])
    spec = tf.TensorSpec([None, *rows.shape[1:]], x.dtype)

    @tf.function(input_signature=[spec], autograph=False)
    def image_and_density(z):
        y = bijector.forward(z)
        ensure(
            z.shape.is_compatible_with(y.shape),
            f"In a tf.function, forward must keep a batch of unknown size, {z.shape}; got {y.shape}.",
        )
        return y, bijector.inverse_log_det_jacobian(tf.identity(y), event_ndims=1)

    try:
        y, log_det = image_and_density(rows)
    except AssertionError:
        raise
    except Exception as error:
        raise AssertionError(
            f"The bijector must work in a tf.function with a batch of unknown size; it raised {error!r}."
        ) from error
    ensure_close(
        y, bijector.forward(tf.identity(rows)), tolerance, "forward must be the same in a tf.function."
    )
    expected = bijector.inverse_log_det_jacobian(tf.identity(y), event_ndims=1)
    ensure_close(log_det, expected, tolerance, "inverse_log_det_jacobian must be the same in a tf.function.")


def _check_single_evaluation(bijector, x):
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
    def traced(z):
        return function(tf.identity(z))

    spec = tf.TensorSpec(x.shape, x.dtype)
    graph = tf.function(traced, autograph=False).get_concrete_function(spec).graph.as_graph_def()
    nodes = [*graph.node, *(node for each in graph.library.function for node in each.node_def)]
    return sum(node.op in _PRODUCTS for node in nodes)
