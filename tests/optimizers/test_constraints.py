"""Optimizers keep the Keras constraints of variables, as Keras's own do."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import tensorflow as tf

from expol_tf.keras_api import keras
from expol_tf.optimizers import (
    Adam,
    Kfac,
    KfacRegression,
    MinibatchAdam,
    MinibatchRegression,
    TrustRegion,
    flatten,
    project,
    projected,
)
from tests.optimizers.policies import LinearGaussian

MASK = np.array([[1.0, 0.0], [1.0, 1.0], [0.0, 1.0]], np.float32)

CONSTRAINTS = {
    "mask": lambda x: x * tf.cast(MASK, x.dtype),
    "non-negative": keras.constraints.NonNeg(),
    "max norm": keras.constraints.MaxNorm(0.5),
    "unit norm": keras.constraints.UnitNorm(),
    "min-max norm": keras.constraints.MinMaxNorm(0.5, 0.8),
}


def kernel(name, dtype=tf.float32):
    value = np.random.default_rng(0).normal(size=(3, 2))
    return tf.Variable(value, dtype=dtype, constraint=CONSTRAINTS[name], name="kernel")


def holds(name, variable):
    """Whether a variable is where its constraint leaves it, up to rounding."""
    value = variable.numpy()
    np.testing.assert_allclose(CONSTRAINTS[name](variable.value()), value, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("in_a_graph", [False, True], ids=["eager", "graph"])
@pytest.mark.parametrize("name", CONSTRAINTS)
def test_client_01_adam_steps_as_keras_adam_does(name, in_a_graph):
    ours, theirs, free = kernel(name), kernel(name), tf.Variable([1.0])
    adam, peer = Adam(0.1, epsilon=1e-7), keras.optimizers.Adam(0.1, jit_compile=False)
    adam.build([ours, free])

    def step(gradient):
        adam.apply_gradients([(gradient, ours), (tf.ones([1]), free)])

    step = tf.function(step) if in_a_graph else step
    for index in range(8):
        gradient = tf.constant(np.random.default_rng(index).normal(size=(3, 2)), tf.float32)
        step(gradient)
        peer.apply_gradients([(gradient, theirs)])
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-4, atol=1e-5)
        holds(name, ours)
    assert free.numpy() < 0.5  # A variable without a constraint moves as before.


@pytest.mark.parametrize("jit_compile", [False, True], ids=["plain", "xla"])
def test_client_01_the_epochs_of_minibatch_adam_keep_them(jit_compile):
    variable = kernel("mask")
    project([variable])
    optimizer = MinibatchAdam(0.1, epochs=2, minibatch_size=5)
    optimizer.build([variable])
    data = tf.random.stateless_normal([20, 3], [0, 1])
    run = tf.function(
        lambda: optimizer.minimize(
            lambda x, seed: tf.reduce_mean(tf.square(x @ variable - 3.0)),
            [variable],
            data,
            tf.constant([1, 2]),
        ),
        jit_compile=jit_compile,
        autograph=False,
    )
    before = variable.numpy()
    run()
    assert (variable.numpy()[MASK == 0] == 0).all() and (variable.numpy() != before)[MASK == 1].all()


class MaskedGaussian(LinearGaussian):
    """One whose weights are masked by a constraint."""

    def __init__(self, **arguments):
        super().__init__(**arguments)
        self.weights = tf.Variable(
            self.weights.numpy() * MASK, dtype=self.weights.dtype, constraint=CONSTRAINTS["mask"]
        )
        self.variables = [self.weights, self.log_std]

    def gaussian(self, weights, log_std):
        """Means `[S, A]` and standard deviations `[A]` as arrays."""
        return self.observation.numpy() @ weights, np.exp(log_std)


def batch_of(policy):
    observation = tf.concat([policy.observation] * 30, axis=0)
    action = policy.distribution(observation).sample(seed=tf.constant([3, 4]))
    advantage = tf.random.stateless_normal([len(observation)], [5, 6], dtype=policy.weights.dtype)
    return observation, action, advantage


def slow_kl(policy, old, new):
    """Mean over states of Σ_a log(σ'/σ) + (σ² + (μ − μ')²)/(2σ'²) − ½."""
    (old_mean, old_std), (mean, std) = (policy.gaussian(*each) for each in (old, new))
    terms = np.log(std / old_std) + (old_std**2 + (old_mean - mean) ** 2) / (2.0 * std**2) - 0.5
    return float(np.mean(np.sum(terms, axis=-1)))


def test_client_01_the_trust_region_measures_projected_parameters():
    policy = MaskedGaussian()
    observation, action, advantage = batch_of(policy)
    old = [variable.numpy() for variable in policy.variables]
    old_mean, old_std = policy.gaussian(*old)

    def log_prob(batch):
        return policy.distribution(batch[0]).log_prob(batch[1])

    def measure(batch):
        mean, std = batch[0] @ policy.weights, tf.exp(policy.log_std)
        means = tf.concat([tf.constant(old_mean)] * 30, axis=0)
        kl = tf.reduce_mean(
            tf.reduce_sum(
                tf.math.log(std / old_std) + (old_std**2 + (means - mean) ** 2) / (2.0 * std**2) - 0.5,
                axis=-1,
            )
        )
        ratio = tf.exp(log_prob(batch) - log_prob_old)
        return tf.reduce_mean(ratio * batch[2]), kl

    log_prob_old = log_prob((observation, action))
    run = tf.function(
        lambda: TrustRegion(0.05, damping=1e-3).step(
            policy.variables, measure, log_prob, (observation, action, advantage)
        ),
        autograph=False,
    )
    report = run()
    new = [variable.numpy() for variable in policy.variables]
    assert float(report.accepted_step_fraction) > 0
    assert (new[0][MASK == 0] == 0).all() and (new[0] != old[0])[MASK == 1].all()
    assert float(report.kl) == pytest.approx(slow_kl(policy, old, new), rel=1e-9)
    change = tf.reduce_mean(tf.exp(log_prob((observation, action)) - log_prob_old) * advantage)
    assert float(report.surrogate) == pytest.approx(float(change - tf.reduce_mean(advantage)), rel=1e-9)


def test_client_01_a_rejected_step_projects_nothing():
    policy = LinearGaussian()
    policy.weights = tf.Variable(policy.weights.numpy(), constraint=CONSTRAINTS["mask"])
    policy.variables = [policy.weights, policy.log_std]
    observation, action, _ = batch_of(policy)
    before = policy.weights.numpy()
    assert (before[MASK == 0] != 0).all()

    def measure(batch):
        log_prob = policy.distribution(batch[0]).log_prob(batch[1])
        return tf.reduce_mean(log_prob), tf.constant(np.nan, log_prob.dtype)

    TrustRegion().step(
        policy.variables,
        measure,
        lambda batch: policy.distribution(batch[0]).log_prob(batch[1]),
        (observation, action),
    )
    assert (policy.weights.numpy() == before).all()


def kfac_step(policy, scale, **settings):
    batch = batch_of(policy)

    def evaluate(batch):
        log_prob = policy.distribution(batch[0]).log_prob(batch[1])
        return tf.reduce_mean(log_prob * batch[2]) * tf.cast(scale, log_prob.dtype), log_prob

    kfac = Kfac(momentum=0.0, jit_compile=False, **settings)
    kfac.build(policy.variables, lambda: evaluate(batch)[1])
    return tf.function(lambda: kfac.step(evaluate, batch), autograph=False)()


def test_client_01_kfac_projects_and_says_that_its_prediction_is_without():
    free, bound = LinearGaussian(), MaskedGaussian()
    free.weights.assign(bound.weights)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        expected = kfac_step(free, 1.0)
    with pytest.warns(UserWarning, match=r"these have a constraint: .*predicted_kl.*without the projection"):
        report = kfac_step(bound, 1.0)
    assert (free.weights.numpy()[MASK == 0] != 0).all()
    np.testing.assert_allclose(bound.weights, free.weights * MASK, rtol=1e-12)
    np.testing.assert_allclose(bound.log_std, free.log_std, rtol=1e-12)
    assert float(report.predicted_kl) == float(expected.predicted_kl) > 0


def test_client_01_a_batch_that_is_not_finite_projects_nothing_by_kfac():
    policy = LinearGaussian()
    policy.weights = tf.Variable(policy.weights.numpy(), constraint=CONSTRAINTS["mask"])
    policy.variables = [policy.weights, policy.log_std]
    before = policy.weights.numpy()
    with pytest.warns(UserWarning, match="constraint"):
        kfac_step(policy, np.nan)
    assert (policy.weights.numpy() == before).all()


@pytest.mark.filterwarnings("ignore:variables. these have a constraint")
@pytest.mark.parametrize(
    "fit",
    [MinibatchRegression(0.05, epochs=3), KfacRegression(updates=5, jit_compile=False)],
    ids=["adam", "kfac"],
)
def test_client_01_regressions_keep_them(fit):
    layer = keras.layers.Dense(1, kernel_constraint="non_neg", kernel_initializer="ones")
    layer.build([None, 3])
    inputs = tf.random.stateless_normal([40, 3], [0, 1])
    targets = -inputs[:, 0] + 2.0 * inputs[:, 1]

    def predict(x):
        return layer(x)[:, 0]

    fit.build(predict, layer.trainable_variables, inputs[:2])
    for index in range(30):
        fit.fit(
            predict, layer.trainable_variables, inputs, targets, tf.fill([40], True), tf.constant([index, 0])
        )
    found = layer.kernel.numpy()[:, 0]
    # The first component's best weight is −1, out of reach.
    assert (found >= 0).all() and found[0] < 0.05 and found[1] > 1.3


def test_client_01_without_a_constraint_nothing_is_computed():
    variables = [tf.Variable([1.0, 2.0]), tf.Variable([[3.0]])]
    vector = flatten(variables)
    assert projected(variables, vector) is vector
    with tf.Graph().as_default() as graph:
        project(variables)
        assert not graph.get_operations()
