"""The squash on every kind of box, up to and including its edges."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from tf_agents.specs import array_spec, tensor_spec

from expol_tf.bijectors import ActionBox, Squash, to_action_units
from expol_tf.errors import SpaceError

BOXES = {
    "unit": (-1.0, 1.0),
    "positive": (0.0, 1.0),
    "narrow": (-0.4, 0.4),
    "wide": (-1000.0, 1000.0),
    "far": (999.0, 1001.0),
    "negative": (-3.0, -0.1),
    "tiny": (-1e-6, 1e-6),
    "huge": (-1e30, 1e30),
}


def spec(low, high, size=1):
    return tensor_spec.BoundedTensorSpec([size], tf.float32, low, high)


def representable_actions(low, high):
    """The float32 numbers next to both edges, one by one, and many in between."""
    low, high = np.float32(low), np.float32(high)
    edges = [[low], [high]]
    for _ in range(40):
        edges[0].append(np.nextafter(edges[0][-1], high))
        edges[1].append(np.nextafter(edges[1][-1], low))
    inside = np.random.default_rng(0).uniform(low, high, 500).astype(np.float32)
    near = [low + (high - low) * np.float32(2.0**-k) for k in range(1, 25)]
    far = [high - (high - low) * np.float32(2.0**-k) for k in range(1, 25)]
    return np.concatenate([*edges, inside, near, far])[:, np.newaxis]


@pytest.mark.parametrize("name", BOXES)
def test_values_and_gradients_are_finite_on_the_whole_closed_box(name):
    squash = Squash(spec(*BOXES[name]))
    action = tf.constant(representable_actions(*BOXES[name]))
    for method in (squash.inverse, lambda a: squash.inverse_log_det_jacobian(a, 1)):
        with tf.GradientTape() as tape:
            tape.watch(action)
            value = method(tf.identity(action))
        assert np.all(np.isfinite(value)) and np.all(np.isfinite(tape.gradient(value, action)))
    # The inverse is monotone, so that the clip at the edges folds nothing back.
    order = np.argsort(action[:, 0])
    assert np.all(np.diff(squash.inverse(action).numpy()[order, 0]) >= 0)


@pytest.mark.parametrize("name", BOXES)
def test_it_equals_the_formula(name):
    low, high = BOXES[name]
    squash = Squash(spec(low, high), tf.float64)
    middle, half = (
        (np.float64(np.float32(high)) + np.float32(low)) / 2,
        (np.float64(np.float32(high)) - np.float32(low)) / 2,
    )
    u = np.linspace(-5, 5, 41)[:, np.newaxis]
    np.testing.assert_allclose(squash.forward(u), middle + half * np.tanh(u), rtol=1e-12)
    expected = np.log(half * (1 - np.tanh(u) ** 2))
    np.testing.assert_allclose(squash.forward_log_det_jacobian(u, 1), expected[:, 0], atol=1e-9)
    # 999…1001 in float64 keeps 10 digits of what is left of 1 − tanh² at |u| = 3.
    inner = tf.constant(u[np.abs(u[:, 0]) <= 3])
    np.testing.assert_allclose(squash.inverse(tf.identity(squash.forward(inner))), inner, atol=1e-9)


def test_the_log_determinant_stays_exact_where_its_naive_form_underflows():
    squash = Squash(spec(-1.0, 1.0))
    u = tf.constant([[30.0], [-200.0], [1e4], [0.0]])
    with tf.GradientTape() as tape:
        tape.watch(u)
        log_det = squash.forward_log_det_jacobian(u, 1)
    np.testing.assert_allclose(
        log_det, 2 * np.log(2) - 2 * np.abs(u[:, 0]) + [0, 0, 0, -2 * np.log(2)], rtol=1e-6, atol=1e-6
    )
    np.testing.assert_allclose(tape.gradient(log_det, u)[:, 0], [-2.0, 2.0, -2.0, 0.0], atol=1e-6)


def test_action_units_span_the_box():
    low, high = [-1000.0, 0.0], [1000.0, 1.0]
    box = spec(low, high, 2)
    for bijector in (to_action_units(box), Squash(box)):
        np.testing.assert_allclose(bijector.forward([[0.0, 0.0]]), [[0.0, 0.5]])
    np.testing.assert_allclose(to_action_units(box).forward([[-1.0, -1.0], [1.0, 1.0]]), [low, high])
    np.testing.assert_allclose(Squash(box).forward([[-99.0, -99.0], [99.0, 99.0]]), [low, high])


def test_middle_and_half_of_scalar_and_vector_bounds():
    for box in (
        spec(-2.0, 4.0, 2),
        array_spec.BoundedArraySpec([2], np.float32, -2.0, 4.0),
        spec([-2.0, -2.0], [4.0, 4.0], 2),
    ):
        np.testing.assert_array_equal(ActionBox.of(box), [[1.0, 1.0], [3.0, 3.0]])


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (-np.inf, 1.0, "finite"),
        (-1.0, np.inf, "finite"),
        (np.finfo(np.float32).min, np.finfo(np.float32).max, "finite"),
        ([-1.0, 0.5], [1.0, 0.5], "maximum > minimum"),
        (999.9999, 1000.0001, "narrow"),
    ],
)
def test_boxes_that_cannot_be_are_named(low, high, words):
    with pytest.raises(SpaceError, match=words):
        Squash(spec(low, high, 2))
