"""Actions lie in their box exactly, whatever its bounds."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from gymnasium import spaces
from tf_agents.specs import array_spec, tensor_spec

from expol_tf.bijectors import ActionBox, Squash, into_box

NAMED = {
    "asymmetric": (-2.8, 4.0),
    "positive": (0.1, 0.7),
    "far": (1000.0, 1001.0),
    "mixed": (-1e-3, 1e3),
    "subnormal": (-1e-40, 3.0),
}


def random_boxes(number=400):
    """Returns low and high `[number]`, of all sizes and distances from 0, as float32 boxes have them."""
    generator = np.random.default_rng(0)
    size = 10.0 ** generator.uniform(-6, 6, number)
    middle = size * generator.normal(size=number) * 10.0 ** generator.uniform(-3, 2, number)
    low, high = (middle - size).astype(np.float32), (middle + size).astype(np.float32)
    return low, high


def extreme(size, count=200):
    """Values before the squash, the largest at the edges and beyond what tanh can tell from 1."""
    edges = np.concatenate([[-1e9, -50, -12, 12, 50, 1e9], np.linspace(-9.5, 9.5, count)])
    return tf.constant(np.repeat(edges[:, np.newaxis], size, axis=1), tf.float32)


def check_inside(space, actions):
    outside = [action for action in np.asarray(actions) if not space.contains(action)]
    assert not outside, (space, outside[:3])


@pytest.mark.parametrize("name", NAMED)
def test_fault_08_a_squashed_action_lies_in_its_box(name):
    space = spaces.Box(*NAMED[name], (1,), np.float32)
    spec = tensor_spec.BoundedTensorSpec([1], tf.float32, space.low, space.high)
    check_inside(space, Squash(spec).forward(extreme(1)))
    compiled = tf.function(Squash(spec).forward, jit_compile=True)
    check_inside(space, compiled(extreme(1)))


def test_fault_08_squashed_and_rescaled_actions_lie_in_many_boxes():
    low, high = random_boxes()
    space = spaces.Box(low, high)
    spec = tensor_spec.BoundedTensorSpec(low.shape, tf.float32, low, high)
    u = extreme(len(low))
    check_inside(space, Squash(spec).forward(u))
    scaled = ActionBox.of(spec).from_scaled(tf.tanh(u))
    assert not all(map(space.contains, scaled.numpy()))  # Rounding does leave the box.
    check_inside(space, into_box(scaled, spec))


def test_fault_08_the_nearest_numbers_to_a_float64_box_lie_in_it():
    space = spaces.Box(np.array([0.1, -0.7]), np.array([0.7, 0.1]), dtype=np.float64)
    spec = array_spec.BoundedArraySpec([2], np.float64, space.low, space.high)
    check_inside(space, Squash(spec).forward(extreme(2)))
    check_inside(space, into_box(tf.constant([[-9.0, -9.0], [9.0, 9.0]]), spec))


@pytest.mark.parametrize("name", ["asymmetric", "positive"])
def test_the_clip_leaves_slope_and_inverse_as_they_were(name):
    low, high = NAMED[name]
    spec = tensor_spec.BoundedTensorSpec([1], tf.float32, low, high)
    u = tf.constant(np.linspace(-6, 6, 121)[:, np.newaxis], tf.float32)
    squash = Squash(spec)
    with tf.GradientTape() as tape:
        tape.watch(u)
        action = squash.forward(u)
    half = (high - low) / 2
    expected = half * (1 - np.tanh(u) ** 2)
    np.testing.assert_allclose(tape.gradient(action, u), expected, rtol=1e-3, atol=1e-5)
    near = np.abs(u[:, 0]) < 4
    np.testing.assert_allclose(squash.inverse(tf.identity(action))[near], u[near], atol=2e-3)
