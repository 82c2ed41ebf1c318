"""Minibatch regression against a slow loop."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from expol_tf.errors import ConfigurationError
from expol_tf.keras_api import keras
from expol_tf.optimizers import MinibatchRegression
from tests.optimizers.slow_adam import SlowAdam, minibatches

SEED = [3, 5]


class Linear(tf.Module):
    """x ↦ x·w + b, `[n, 2] -> [n]`."""

    def __init__(self):
        super().__init__()
        self.weights = tf.Variable([0.5, -1.0])
        self.bias = tf.Variable(0.25)

    def __call__(self, x):
        return tf.linalg.matvec(x, self.weights) + self.bias


def problem(count=23, seed=0):
    generator = np.random.default_rng(seed)
    inputs = generator.normal(size=(count, 2)).astype(np.float32)
    targets = (inputs @ [2.0, 3.0] + 1.0 + generator.normal(0.0, 0.1, count)).astype(np.float32)
    return inputs, targets, generator.uniform(size=count) < 0.7


class SlowRegression:
    """The same in NumPy."""

    def __init__(self, learning_rate, epochs, minibatch_size):
        self.epochs, self.size = epochs, minibatch_size
        self.theta = np.array([0.5, -1.0, 0.25])
        self.adam = SlowAdam(learning_rate)

    def fit(self, inputs, targets, valid, seed):
        size = min(self.size, len(inputs))
        losses = []
        for index, chosen in enumerate(minibatches(len(inputs), size, self.epochs, seed)):
            if index % (len(inputs) // size) == 0:
                losses = []
            chosen = chosen[valid[chosen]]
            x = np.concatenate([inputs[chosen], np.ones((len(chosen), 1))], axis=1)
            error = x @ self.theta - targets[chosen]
            count = max(len(chosen), 1)
            losses.append(0.5 * np.sum(error**2) / count)
            self.theta = self.theta - self.adam.step(x.T @ error / count)
        return np.mean(losses)


def run(regression, model, data, seed=SEED, jit_compile=False):
    inputs, targets, valid = map(tf.constant, data)

    @tf.function(jit_compile=jit_compile, autograph=False)
    def fit(seed):
        return regression.fit(model, model.trainable_variables, inputs, targets, valid, seed)

    return float(fit(tf.constant(seed)))


def parameters(model):
    return np.array([*model.weights.numpy(), model.bias.numpy()])


@pytest.mark.parametrize(("epochs", "minibatch_size"), [(1, 23), (3, 5), (2, 8), (2, 100), (1, 1)])
def test_equal_to_the_slow_loop(epochs, minibatch_size):
    model, data = Linear(), problem()
    regression = MinibatchRegression(0.05, epochs, minibatch_size)
    regression.build(model, model.trainable_variables, tf.zeros([2, 2]))
    slow = SlowRegression(0.05, epochs, minibatch_size)
    for seed in (SEED, [7, 11]):  # The optimizer's state is kept from fit to fit.
        loss = run(regression, model, data, seed)
        assert loss == pytest.approx(slow.fit(*data, seed), rel=1e-4)
        np.testing.assert_allclose(parameters(model), slow.theta, rtol=1e-4)
    assert int(regression.adam.optimizer.step) == slow.adam.steps


def test_the_learning_rate_follows_its_schedule():
    model, data = Linear(), problem()
    schedule = keras.optimizers.schedules.ExponentialDecay(0.1, decay_steps=3, decay_rate=0.5)
    regression = MinibatchRegression(schedule, epochs=3, minibatch_size=5)
    regression.build(model, model.trainable_variables, tf.zeros([2, 2]))
    slow = SlowRegression(lambda step: 0.1 * 0.5 ** (step / 3), 3, 5)
    for seed in (SEED, [7, 11]):
        run(regression, model, data, seed)
        slow.fit(*data, seed)
        np.testing.assert_allclose(parameters(model), slow.theta, rtol=1e-4)


def test_compiled_alike():
    results = []
    for jit_compile in (False, True):
        model = Linear()
        # Whole epochs as minibatches: XLA draws other random numbers from the same seed, so other shuffles.
        regression = MinibatchRegression(keras.optimizers.schedules.ExponentialDecay(0.1, 3, 0.5), 5, 23)
        regression.build(model, model.trainable_variables, tf.zeros([2, 2]))
        loss = run(regression, model, problem(), jit_compile=jit_compile)
        results.append([loss, *parameters(model)])
    np.testing.assert_allclose(*results, rtol=1e-5)


def test_invalid_examples_do_not_count():
    inputs, targets, valid = problem()
    results = []
    for junk in (0.0, 1e6):
        model = Linear()
        regression = MinibatchRegression(0.05, 2, 5)
        regression.build(model, model.trainable_variables, tf.zeros([2, 2]))
        data = np.where(valid[:, np.newaxis], inputs, junk), np.where(valid, targets, -junk), valid
        loss = run(regression, model, [array.astype(np.float32) for array in data[:2]] + [valid])
        results.append([loss, *parameters(model)])
    np.testing.assert_array_equal(*results)


def test_it_fits():
    model, (inputs, targets, _) = Linear(), problem(200)
    regression = MinibatchRegression(0.05, epochs=40, minibatch_size=20)
    regression.build(model, model.trainable_variables, tf.zeros([2, 2]))
    loss = run(regression, model, (inputs, targets, np.ones(200, bool)))
    np.testing.assert_allclose(parameters(model), [2.0, 3.0, 1.0], atol=0.05)
    assert loss < 0.01


def test_a_checkpoint_holds_the_optimizer(tmp_path):
    data = problem()
    results = []
    path = None
    for restored in (False, True):
        model = Linear()
        regression = MinibatchRegression(0.05, 2, 5)
        regression.build(model, model.trainable_variables, tf.zeros([2, 2]))
        checkpoint = tf.train.Checkpoint(model=model, regression=regression)
        if restored:
            checkpoint.read(path).assert_consumed()
        else:
            run(regression, model, data)
            path = checkpoint.write(str(tmp_path / "checkpoint"))
        run(regression, model, data, [7, 11])
        results.append(parameters(model))
    np.testing.assert_array_equal(*results)


def test_a_second_network_is_refused():
    regression = MinibatchRegression()
    regression.build(Linear(), Linear().trainable_variables, tf.zeros([2, 2]))
    with pytest.raises(ConfigurationError, match="Make one for each network"):
        regression.build(Linear(), Linear().trainable_variables, tf.zeros([2, 2]))


@pytest.mark.parametrize("name", ["epochs", "minibatch_size"])
def test_settings_outside_their_rule_are_refused(name):
    with pytest.raises(ConfigurationError, match=f"MinibatchRegression.{name} must be 1 or more; got 0"):
        MinibatchRegression(**{name: 0})
