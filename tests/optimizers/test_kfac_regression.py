"""Fitting a network by K-FAC: equal to single steps of a sampled likelihood's mean, and fast per update."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from expol_tf.errors import ConfigurationError
from expol_tf.keras_api import keras
from expol_tf.optimizers import Kfac, KfacRegression

COUNT = 400


def network(seed=0):
    initializers = [keras.initializers.Orthogonal(2.0**0.5, seed=seed + i) for i in range(3)]
    sizes = [(32, "tanh"), (32, "tanh"), (1, None)]
    model = keras.Sequential(
        [
            keras.layers.Dense(size, activation, kernel_initializer=initializer)
            for (size, activation), initializer in zip(sizes, initializers, strict=True)
        ]
    )
    model.build([None, 4])
    return model


def problem(seed=0):
    """Inputs of very different scales with an offset, a smooth target, and which count."""
    generator = np.random.default_rng(seed)
    normal = generator.normal(size=[COUNT, 4])
    inputs = normal * [1.0, 0.3, 0.1, 0.03] + [1.0, 1.0, 1.0, 0.0]
    targets = normal[:, 0] * normal[:, 1] + np.sin(normal[:, 2]) + 2.0 * normal[:, 3]
    valid = generator.uniform(size=COUNT) < 0.9
    return inputs.astype(np.float32), targets.astype(np.float32), valid


def predictor(model):
    return lambda x: model(x)[:, 0]


def fit(model, regression, data, calls=1):
    predict = predictor(model)
    regression.build(predict, model.trainable_variables, data[0][:1])

    @tf.function(autograph=False)
    def run():
        tensors = map(tf.constant, data)
        return regression.fit(predict, model.trainable_variables, *tensors, tf.constant([0, 0]))

    return [float(run()) for _ in range(calls)]


def loss_of(model, data):
    inputs, targets, valid = data
    return 0.5 * float(np.mean((predictor(model)(inputs).numpy() - targets)[valid] ** 2))


def test_takes_fewer_updates_than_adam_at_its_best():
    data, model = problem(), network()
    settings = dict(damping=1e-2, clip_kl=0.03, momentum=0.5, factor_decay=0.95, eigen_interval=1)
    fit(model, KfacRegression(Kfac(0.3, jit_compile=False, **settings), updates=50), data)
    reached = loss_of(model, data)

    model = network()
    variables, optimizer = model.trainable_variables, keras.optimizers.Adam()
    optimizer.build(variables)
    state = [*variables, *optimizer.variables]
    initial = [variable.numpy() for variable in state]

    @tf.function(autograph=False)
    def update():
        with tf.GradientTape() as tape:
            error = tf.where(data[2], predictor(model)(data[0]) - data[1], 0.0)
            loss = 0.5 * tf.reduce_sum(error**2) / data[2].sum()
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))

    losses = {}
    for rate in (0.003, 0.01, 0.02, 0.05, 0.1, 0.2):
        for variable, value in zip(state, initial, strict=True):
            variable.assign(value)
        optimizer.learning_rate = rate
        for _ in range(100):
            update()
        losses[rate] = loss_of(model, data)
    best = min(losses, key=losses.get)
    assert best not in (0.003, 0.2), losses  # The rates tried enclose the best one.
    assert reached < losses[best], losses


def test_the_factors_are_those_of_the_mean_over_targets():
    # g of log N(y; f, 1) is ε·∂f/∂S with y = f + ε: the mean of its outer product is that of ∂f/∂S.
    data, model = problem(), network()
    regression = KfacRegression(Kfac(1e-9, damping=0.1, clip_kl=1e6, jit_compile=False), updates=1)
    fit(model, regression, data)
    inputs, _, valid = data
    hidden = [tf.constant(inputs[valid])]
    for layer in model.layers:
        hidden.append(layer(hidden[-1]))
    last = model.layers[2].kernel.numpy()[:, 0] * (1.0 - hidden[2].numpy() ** 2)
    expected = [last.T @ last / valid.sum(), [[1.0]]]
    for factors, outputs in zip(regression.kfac.factors[1:], expected, strict=True):
        np.testing.assert_allclose(factors.outputs, outputs, rtol=1e-4, atol=1e-5)
    extended = np.concatenate([inputs[valid], np.ones([valid.sum(), 1])], axis=1)
    moment = extended.T @ extended / valid.sum()
    np.testing.assert_allclose(regression.kfac.factors[0].inputs, moment, rtol=1e-4, atol=1e-5)


def test_the_direction_is_that_of_gauss_and_newton_where_it_is_exact():
    # A linear model: one update with rate 1, no momentum and hardly any damping solves it.
    inputs, _, valid = problem()
    targets = (inputs @ [1.0, -2.0, 0.5, 3.0] + 0.7).astype(np.float32)
    model = keras.Sequential([keras.layers.Dense(1)])
    model.build([None, 4])
    settings = dict(damping=1e-6, clip_kl=1e6, momentum=0.0)
    losses = fit(
        model, KfacRegression(Kfac(1.0, jit_compile=False, **settings), updates=2), (inputs, targets, valid)
    )
    assert losses[0] < 1e-6  # Before the second update.
    np.testing.assert_allclose(model.layers[0].kernel[:, 0], [1.0, -2.0, 0.5, 3.0], atol=1e-2)


def test_invalid_examples_do_not_count():
    inputs, targets, valid = problem()
    results = []
    for junk in (0.0, 1e3):
        model = network()
        data = np.where(valid[:, np.newaxis], inputs, junk), np.where(valid, targets, -junk), valid
        data = *(array.astype(np.float32) for array in data[:2]), valid
        regression = KfacRegression(Kfac(0.05, damping=0.1, jit_compile=False), updates=3)
        results.append(fit(model, regression, data) + [model(inputs).numpy()])
    assert results[0][0] == pytest.approx(results[1][0], rel=1e-5)
    np.testing.assert_allclose(results[0][1], results[1][1], rtol=1e-4, atol=1e-5)


def test_fits_go_on_from_one_another_and_from_a_checkpoint(tmp_path):
    data, results, path = problem(), [], None
    for restored in (False, True):
        model, regression = network(seed=7 * restored), KfacRegression(updates=7)
        checkpoint = tf.train.Checkpoint(model=model, regression=regression)
        predict = predictor(model)
        regression.build(predict, model.trainable_variables, data[0])

        @tf.function(autograph=False)
        def run(regression=regression, predict=predict, model=model):
            return regression.fit(
                predict, model.trainable_variables, *map(tf.constant, data), tf.constant([0, 0])
            )

        if restored:
            checkpoint.read(path).assert_consumed()
        else:
            run()
            path = checkpoint.write(str(tmp_path / "checkpoint"))
        run()
        results.append([variable.numpy().tobytes() for variable in model.trainable_variables])
    assert results[0] == results[1]


def test_names_what_it_covers():
    model, regression = network(), KfacRegression()
    regression.build(predictor(model), model.trainable_variables, tf.zeros([1, 4]))
    assert [layer.shape for layer in regression.coverage.layers] == [(5, 32), (33, 32), (33, 1)]
    assert regression.coverage.exact == ()


def test_settings_outside_their_rule_are_refused():
    with pytest.raises(ConfigurationError, match="KfacRegression.updates must be 1 or more; got 0"):
        KfacRegression(updates=0)
