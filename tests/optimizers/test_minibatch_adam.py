"""Epochs of Adam against a slow loop: minibatches, clipped gradients, early stops, step seeds."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from expol_tf.errors import ConfigurationError
from expol_tf.optimizers import MinibatchAdam
from tests.optimizers.slow_adam import SlowAdam, minibatches

SEED = [3, 5]
COUNT = 23


def problem(seed=0):
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(COUNT, 2)).astype(np.float32)
    return {"x": x, "y": (x @ [2.0, 3.0] + generator.normal(0.0, 0.1, COUNT)).astype(np.float32)}


def start():
    return [tf.Variable([0.5, -1.0])]


def value_and_gradient(w, x, y):
    error = x @ w - y
    return 0.5 * np.mean(error**2), x.T @ error / len(error)


class SlowMinimizer:
    """The same in NumPy; `stop(w)` is asked at each minibatch, before its step."""

    def __init__(self, rate, epochs, size, max_norm=None, stop=lambda w: False):
        self.epochs, self.size, self.max_norm, self.stop = epochs, size, max_norm, stop
        self.adam = SlowAdam(rate)
        self.w = np.array([0.5, -1.0])
        self.norms = []

    def minimize(self, data, seed):
        size = min(self.size, COUNT)
        taken, losses, norms = 0, [], []
        order = minibatches(COUNT, size, self.epochs, seed)
        for index, chosen in enumerate(order):
            if index % (COUNT // size) == 0:
                losses, norms = [], []
            loss, gradient = value_and_gradient(self.w, data["x"][chosen], data["y"][chosen])
            norm = np.linalg.norm(gradient)
            losses.append(loss)
            norms.append(norm)
            if self.stop(self.w):
                break
            if self.max_norm is not None:
                gradient = gradient * min(1.0, self.max_norm / norm)
            self.w = self.w - self.adam.step(gradient)
            taken += 1
            self.norms.append(norm)
        return np.mean(losses), np.mean(norms), taken / len(order)


def run(adam, variables, data, seed=SEED, stop=None, jit_compile=False):
    def loss(minibatch, _):
        value = 0.5 * tf.reduce_mean(
            tf.square(tf.linalg.matvec(minibatch["x"], variables[0]) - minibatch["y"])
        )
        return value if stop is None else (value, stop(variables[0]))

    minimize = tf.function(adam.minimize, jit_compile=jit_compile, autograph=False)
    data = {name: tf.constant(array) for name, array in data.items()}
    return [float(part) for part in minimize(loss, variables, data, tf.constant(seed))]


@pytest.mark.parametrize(("epochs", "size"), [(1, 23), (3, 5), (2, 8), (2, 100), (1, 1)])
def test_equal_to_the_slow_loop_with_clipped_gradients(epochs, size):
    variables, data = start(), problem()
    adam = MinibatchAdam(0.2, epochs, size, max_gradient_norm=2.5)
    adam.build(variables)
    slow = SlowMinimizer(0.2, epochs, size, max_norm=2.5)
    for seed in (SEED, [7, 11]):
        report = run(adam, variables, data, seed)
        assert report == pytest.approx(slow.minimize(data, seed), rel=1e-4)
        assert report[2] == 1.0
        np.testing.assert_allclose(variables[0], slow.w, rtol=1e-4)
    if len(slow.norms) > 4:
        assert min(slow.norms) < 2.5 < max(slow.norms)  # Some were scaled and some were not.


def test_clipping_changes_the_steps():
    # Adam forgets a common factor of all gradients, but not one of some.
    results = []
    for max_norm in (None, 2.5):
        variables = start()
        adam = MinibatchAdam(0.2, 3, 5, max_gradient_norm=max_norm)
        adam.build(variables)
        norm = run(adam, variables, problem())[1]
        results.append([*variables[0].numpy(), norm])
    assert np.abs(np.subtract(*results)).max() > 1e-2


@pytest.mark.parametrize("threshold", [0.55, 1.5, 2.2], ids=["second step", "second epoch", "later"])
def test_a_stop_comes_before_the_minibatchs_step(threshold):
    variables, data = start(), problem()
    adam = MinibatchAdam(0.2, 6, 5)
    adam.build(variables)
    slow = SlowMinimizer(0.2, 6, 5, stop=lambda w: w[0] > threshold)
    report = run(adam, variables, data, stop=lambda w: w[0] > threshold)
    expected = slow.minimize(data, SEED)
    assert 0.0 < expected[2] < 1.0
    assert report == pytest.approx(expected, rel=1e-4)
    np.testing.assert_allclose(variables[0], slow.w, rtol=1e-4)
    assert int(adam.optimizer.step) == slow.adam.steps == round(report[2] * 24)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_a_stop_at_the_first_minibatch_changes_nothing(jit_compile):
    variables, data = start(), problem()
    adam = MinibatchAdam(0.2, 6, 5)
    adam.build(variables)
    before = [each.numpy() for each in adam.optimizer.variables]
    loss, norm, fraction = run(adam, variables, data, stop=lambda w: w[0] > 0.0, jit_compile=jit_compile)
    assert fraction == 0.0 and loss > 0.0 and norm > 0.0
    np.testing.assert_array_equal(variables[0], [0.5, -1.0])
    for after, value in zip(adam.optimizer.variables, before, strict=True):
        np.testing.assert_array_equal(after, value)


def test_a_compiled_stop_is_the_same():
    # Whole epochs as minibatches: XLA draws other random numbers from the same seed, so other shuffles.
    variables, data = start(), problem()
    adam = MinibatchAdam(0.2, 30, COUNT, max_gradient_norm=2.5)
    adam.build(variables)
    slow = SlowMinimizer(0.2, 30, COUNT, max_norm=2.5, stop=lambda w: w[0] > 1.5)
    report = run(adam, variables, data, stop=lambda w: w[0] > 1.5, jit_compile=True)
    expected = slow.minimize(data, SEED)
    assert 0.0 < expected[2] < 1.0
    assert report == pytest.approx(expected, rel=1e-4)
    np.testing.assert_allclose(variables[0], slow.w, rtol=1e-4)


def test_each_step_has_a_seed_of_its_own():
    variables = start()
    adam = MinibatchAdam(0.1, epochs=2, minibatch_size=8)
    adam.build(variables)

    def loss(_, seed):
        return tf.reduce_sum(variables[0] * tf.random.stateless_normal([2], seed))

    minimize = tf.function(adam.minimize, autograph=False)
    minimize(loss, variables, (tf.zeros([16]),), tf.constant(SEED))
    slow, w = SlowAdam(0.1), np.array([0.5, -1.0])
    draws = []
    for index in range(4):
        seed = tf.random.experimental.stateless_fold_in(tf.constant(SEED), index)
        draws.append(tf.random.stateless_normal([2], seed).numpy())
        w = w - slow.step(draws[-1])
    assert len(np.unique(draws)) == 8
    np.testing.assert_allclose(variables[0], w, rtol=1e-5)


def test_a_second_set_of_variables_is_refused():
    adam = MinibatchAdam()
    adam.build(start())
    with pytest.raises(ConfigurationError, match="MinibatchAdam: it holds the moments of one network"):
        adam.build(start())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"epochs": 0}, "MinibatchAdam.epochs must be 1 or more; got 0"),
        ({"minibatch_size": -3}, "MinibatchAdam.minibatch_size must be 1 or more; got -3"),
        ({"max_gradient_norm": 0.0}, "MinibatchAdam.max_gradient_norm must be positive or None; got 0.0"),
    ],
)
def test_settings_outside_their_rule_are_refused(settings, message):
    with pytest.raises(ConfigurationError, match=message):
        MinibatchAdam(**settings)
