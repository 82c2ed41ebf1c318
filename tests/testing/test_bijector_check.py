"""A broken bijector does not pass, and the message says why."""

from __future__ import annotations

import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from expol_tf.bijectors import AffineConditioner, AffineCoupling
from expol_tf.testing import check_bijector

tfb = tfp.bijectors


class Scaling(tfb.Bijector):
    """y = e^s·x, right in all; the cases below break it."""

    def __init__(self):
        super().__init__(forward_min_event_ndims=1, dtype=tf.float32, name="scaling")
        self.log_scale = tf.Variable([0.0, 0.0])

    def _forward(self, x):
        return x * tf.exp(self.log_scale)

    def _inverse(self, y):
        return y * tf.exp(-self.log_scale)

    def _forward_log_det_jacobian(self, x):
        return tf.reduce_sum(self.log_scale) + tf.zeros_like(x[..., 0])


class WrongInverse(Scaling):
    """TFP's cache would hide this one."""

    def _inverse(self, y):
        return y


class WrongLogDeterminant(Scaling):
    def _forward_log_det_jacobian(self, x):
        return self.log_scale[0] + tf.zeros_like(x[..., 0])


class WrongInverseLogDeterminant(Scaling):
    def _inverse_log_det_jacobian(self, y):
        return tf.reduce_sum(self.log_scale) + tf.zeros_like(y[..., 0])


class Infinite(Scaling):
    def _forward_log_det_jacobian(self, x):
        far = tf.reduce_max(tf.abs(x), axis=-1) > 6
        return super()._forward_log_det_jacobian(x) + tf.where(far, float("inf"), 0.0)


@tf.custom_gradient
def zero_without_gradient(x):
    return tf.zeros_like(x), lambda gradient: gradient * float("nan")


class InfiniteGradient(Scaling):
    def _forward_log_det_jacobian(self, x):
        return super()._forward_log_det_jacobian(x) + zero_without_gradient(x[..., 0])


class MixingSamples(Scaling):
    def _forward(self, x):
        return super()._forward(x) + 1e-2 * tf.stop_gradient(tf.reduce_mean(x))

    def _inverse(self, y):
        return super()._inverse(y) - 1e-2 * tf.reduce_mean(super()._inverse(y)) / (1 + 1e-2)


class WrongDtype(Scaling):
    def _forward(self, x):
        return tf.cast(super()._forward(x), tf.float64)


class FixedBatch(Scaling):
    def _forward(self, x):
        return tf.reshape(super()._forward(x), [int(size) for size in x.shape])


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (WrongInverse, "inverse.forward"),
        (WrongLogDeterminant, "must be log.det"),
        (WrongInverseLogDeterminant, "inverse_log_det_jacobian.* must be"),
        (Infinite, "forward_log_det_jacobian at .* must be finite"),
        (InfiniteGradient, "gradient of forward_log_det_jacobian at .* must be finite"),
        (MixingSamples, "points beside it"),
        (WrongDtype, "dtype"),
        (FixedBatch, "batch of unknown size"),
    ],
)
def test_a_broken_bijector_is_found(make, words):
    with pytest.raises(AssertionError, match=words):
        check_bijector(make(), 2)


def test_a_bijector_that_evaluates_its_networks_twice_is_found():
    layer = AffineConditioner(1, 1)
    forgetful = AffineCoupling(lambda x: layer(tf.identity(x)), 2)
    forgetful._valid_at = lambda result: result  # Knows (s, t) at the argument, not at the result.
    with pytest.raises(AssertionError, match="once.*single_evaluation"):
        check_bijector(forgetful, 2)
    check_bijector(forgetful, 2, single_evaluation=False)


def test_a_right_bijector_passes_and_keeps_its_variables():
    bijector = Scaling()
    bijector.log_scale.assign([0.5, -0.5])
    check_bijector(bijector, 2)
    assert list(bijector.log_scale.numpy()) == [0.5, -0.5]
