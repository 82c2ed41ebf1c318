"""K-FAC steps against dense matrices formed by loops, and what a step must and must not do."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from expol_tf.errors import ConfigurationError
from expol_tf.keras_api import keras
from expol_tf.optimizers import Kfac, KroneckerFactors, assign, flat_gradient, flatten
from tests.optimizers.policies import LinearGaussian
from tests.optimizers.slow_kfac import SlowKfac, TwoLayerGaussian

tfd = tfp.distributions

COUNT = 12


class Policy(tf.Module):
    """`TwoLayerGaussian` of Keras layers, with its values."""

    def __init__(self, slow, dtype="float64"):
        super().__init__()
        inputs, hidden = slow.theta[0].shape
        # Not a Sequential, which would cast its inputs to float32.
        self.hidden = keras.layers.Dense(hidden, "tanh", dtype=dtype)
        self.output = keras.layers.Dense(slow.theta[2].shape[1], dtype=dtype)
        self.hidden.build([None, inputs])
        self.output.build([None, hidden])
        self.log_std = tf.Variable(slow.theta[4], dtype=dtype, name="log_std")
        layers = self.hidden.trainable_variables + self.output.trainable_variables
        self.theta = [*layers, self.log_std]
        for variable, value in zip(self.theta, slow.theta, strict=True):
            variable.assign(value)

    def distribution(self, x):
        mean = self.output(self.hidden(x))
        return tfd.MultivariateNormalDiag(mean, tf.broadcast_to(tf.exp(self.log_std), tf.shape(mean)))


def batch(seed, count=COUNT):
    """Observations, actions, advantages and weights, some of them 0."""
    generator = np.random.default_rng(seed)
    weights = generator.uniform(size=count) * (generator.uniform(size=count) < 0.8)
    return (
        generator.normal(size=(count, 3)),
        generator.normal(size=(count, 2)),
        generator.normal(size=count),
        weights / weights.sum(),
    )


class Problem:
    """A policy, its K-FAC, and a compiled update with a batch."""

    def __init__(self, **settings):
        self.settings = settings
        self.slow = TwoLayerGaussian()
        self.policy = Policy(self.slow)
        self.kfac = Kfac(**dict(jit_compile=False) | settings)
        x, a, _, _ = tensors(batch(0))
        self.kfac.build(self.policy.theta, lambda: self.policy.distribution(x).log_prob(a))
        self.compiled = tf.function(self.update, autograph=False)
        self._initial = [variable.numpy() for variable in self.variables()]

    def reset(self):
        self.slow = TwoLayerGaussian()
        for variable, value in zip(self.variables(), self._initial, strict=True):
            variable.assign(value)
        return self

    def update(self, x, a, advantage, weights, count=1):
        def evaluate(batch):
            x, a, advantage, weights = batch
            log_prob = self.policy.distribution(x).log_prob(a)
            return tf.reduce_sum(weights * advantage * log_prob), log_prob

        return self.kfac.step(evaluate, (x, a, advantage, weights), weights, count=count)

    def step(self, seed=0, **count):
        return self.compiled(*tensors(batch(seed)), **count)

    def variables(self):
        return [*self.policy.theta, *self.kfac.variables]

    def values(self):
        return [variable.numpy() for variable in self.policy.theta]


def tensors(arrays):
    return [tf.constant(array, tf.float64) for array in arrays]


# Tracing one takes a second: tests share them.
_problem = functools.cache(Problem)


def problem(**settings):
    return _problem(**settings).reset()


MIXED = dict(damping=0.05, clip_kl=1e-4, momentum=0.8, factor_decay=0.9)
PLAIN = dict(MIXED, factor_interval=1, eigen_interval=3)
COMPILED = dict(MIXED, factor_interval=2, eigen_interval=3, jit_compile=True)
FREE = dict(clip_kl=1e6, momentum=0.0, damping=1e-3)


def slow_kfac(problem):
    settings = {name: value for name, value in problem.settings.items() if name != "jit_compile"}
    return SlowKfac(float(problem.kfac.learning_rate), **settings)


@pytest.mark.parametrize("settings", [PLAIN, COMPILED], ids=["plain", "compiled"])
def test_equal_to_the_slow_one(settings):
    fast = problem(**settings)
    slow = slow_kfac(fast)
    scales = []
    for seed in range(24):  # From the eleventh batch on they are averaged.
        if seed == 18:  # As an agent adapts it.
            slow.rate *= 0.01
            fast.kfac.learning_rate.assign(slow.rate)
            slow.rate = float(fast.kfac.learning_rate)
        report = fast.step(seed)
        x, a, advantage, weights = batch(seed)
        scale, norm = slow.step(fast.slow, x, a, weights * advantage, weights)
        assert float(report.trust_region_scale) == pytest.approx(scale, rel=1e-6)
        assert float(report.gradient_norm) == pytest.approx(norm, rel=1e-6)
        for value, expected in zip(fast.values(), fast.slow.theta, strict=True):
            np.testing.assert_allclose(value, expected, rtol=1e-6, atol=1e-9)
        for factors, (inputs, outputs) in zip(fast.kfac.factors, slow.running(), strict=True):
            np.testing.assert_allclose(factors.inputs, inputs, rtol=1e-6, atol=1e-9)
            np.testing.assert_allclose(factors.outputs, outputs, rtol=1e-6, atol=1e-9)
        scales.append(scale)
    assert min(scales) < 1.0 == max(scales)


def test_the_first_batches_replace_the_running_factors_and_later_ones_enter_with_falling_weights():
    fast = problem(**PLAIN)
    fast.kfac.learning_rate.assign(0.0)  # The policy stays as it is.
    # Ten times 1, then 10/n, and 1 − ρ = 0.1 from the hundredth on.
    weights = [*[1.0] * 10, *(10.0 / n for n in range(11, 100)), *[0.1] * 6]
    running = None
    for seed, weight in enumerate(weights):
        x, a, _, each = batch(seed)
        statistics = fast.slow.statistics(x, a, each)[0]
        running = running or statistics
        running = [
            [(1.0 - weight) * old + weight * new for old, new in zip(*sides, strict=True)]
            for sides in zip(running, statistics, strict=True)
        ]
        fast.step(seed)
        for (inputs, outputs), factors in zip(running, fast.kfac.factors, strict=True):
            np.testing.assert_allclose(factors.inputs, inputs, rtol=1e-9, atol=1e-12)
            np.testing.assert_allclose(factors.outputs, outputs, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ("settings", "expected"), [(PLAIN, "1111001"), (COMPILED, "1010001")], ids=["plain", "compiled"]
)
def test_fault_07_decomposed_with_each_of_the_first_batches_and_then_at_every_kth_step(settings, expected):
    fast = problem(**settings)
    decompositions = [
        variable
        for factors in fast.kfac.factors
        for variable in factors.variables
        if "basis" in variable.name or "values" in variable.name
    ]
    assert len(decompositions) == 8
    changed = []
    for seed in range(7):
        before = [variable.numpy() for variable in decompositions]
        fast.step(seed)
        changed.append(any(np.any(x != y) for x, y in zip(before, decompositions, strict=True)))
    # The compiled one takes every second batch: at its fourth step the factors are those of the third.
    assert "".join(str(int(each)) for each in changed) == expected


def test_a_step_is_as_long_as_the_trust_region_allows():
    steps, reports = [], []
    for clip_kl in (1e6, 0.02):
        fast = problem(**FREE | dict(clip_kl=clip_kl))
        fast.kfac.learning_rate.assign(5.0)
        start = flatten(fast.policy.theta)
        reports.append(fast.step())
        steps.append((flatten(fast.policy.theta) - start).numpy())
    free, short = reports
    assert float(free.trust_region_scale) == 1.0
    scale = float(short.trust_region_scale)
    assert 0.0 < scale < 1.0
    assert float(short.predicted_kl) == pytest.approx(0.02)
    assert float(free.predicted_kl) == pytest.approx(0.02 / scale**2)
    np.testing.assert_allclose(steps[1], scale * steps[0], rtol=1e-9)
    # It is ½ ΔᵀF̂Δ, damping included.
    x, a, _, weights = batch(0)
    policy = TwoLayerGaussian()
    layers, exact = policy.statistics(x, a, weights)
    parts = np.split(steps[1], np.cumsum([value.size for value in policy.theta])[:-1])
    merged = [np.vstack([parts[i].reshape(policy.theta[i].shape), parts[i + 1]]).reshape(-1) for i in (0, 2)]
    fishers = [*(np.kron(A, G) for A, G in layers), exact]
    quadratic = sum(
        step @ (fisher + 1e-3 * np.eye(len(step))) @ step
        for step, fisher in zip([*merged, parts[4]], fishers, strict=True)
    )
    assert 0.5 * quadratic == pytest.approx(0.02, rel=1e-6)


def test_momentum_keeps_the_step_at_the_learning_rate():
    # On one and the same batch with hardly any movement, the steps approach lr·Δ, not lr·Δ/(1 − m).
    lengths = {}
    for momentum in (0.0, 0.9):
        fast = problem(**FREE | dict(momentum=momentum))
        fast.kfac.learning_rate.assign(1e-9)
        lengths[momentum] = []
        for _ in range(60 if momentum else 1):
            before = flatten(fast.policy.theta)
            fast.step()
            lengths[momentum].append(float(tf.norm(flatten(fast.policy.theta) - before)))
    relative = np.array(lengths[0.9]) / lengths[0.0]
    np.testing.assert_allclose(relative, 1.0 - 0.9 ** np.arange(1, 61), rtol=1e-3)


def test_the_learning_rate_can_be_assigned():
    steps = []
    for rate in (0.01, 0.03):
        fast = problem(**FREE)
        start = flatten(fast.policy.theta)
        fast.kfac.learning_rate.assign(rate)
        fast.step()
        steps.append(flatten(fast.policy.theta) - start)
    np.testing.assert_allclose(steps[1], 3.0 * steps[0], rtol=1e-6)


def test_the_factors_of_a_linear_gaussian_are_its_fisher_matrix():
    policy = LinearGaussian()
    observation, action, weights = policy.quadrature()
    objective = np.random.default_rng(3).normal(size=8)
    kfac = Kfac(learning_rate=1.0, damping=0.2, clip_kl=1e6, momentum=0.0, jit_compile=False)
    kfac.build(policy.variables, lambda: policy.distribution(observation).log_prob(action))

    @tf.function(autograph=False)
    def update():
        def evaluate(batch):
            observation, action = batch
            log_prob = policy.distribution(observation).log_prob(action)
            return tf.tensordot(tf.constant(objective), flatten(policy.variables), 1), log_prob

        return kfac.step(evaluate, (observation, action), weights)

    exact, old = policy.fisher(), flatten(policy.variables)
    update()
    (factors,) = kfac.factors
    np.testing.assert_allclose(np.kron(factors.inputs, factors.outputs), exact[:6, :6], rtol=1e-9, atol=1e-9)
    # The exact block (log σ) too: Δ solves the whole system.
    step = flatten(policy.variables) - old
    np.testing.assert_allclose(step, np.linalg.solve(exact + 0.2 * np.eye(8), objective), rtol=1e-6)


def test_preconditioning_is_a_dense_solve():
    generator = np.random.default_rng(0)
    factors = KroneckerFactors(4, 3, tf.float64)
    moments = [
        x.T @ x for x in (generator.normal(size=[9, 4]), generator.normal(size=[2, 3]))
    ]  # One singular.
    factors.update(tuple(tf.constant(moment) for moment in moments), tf.constant(1.0, tf.float64))
    factors.refresh()
    gradient = generator.normal(size=[4, 3])
    expected = np.linalg.solve(np.kron(*moments) + 0.03 * np.eye(12), gradient.reshape(-1)).reshape(4, 3)
    np.testing.assert_allclose(factors.precondition(tf.constant(gradient), 0.03), expected, rtol=1e-9)


def test_less_divergence_per_improvement_than_the_gradient():
    fast = problem(**FREE)
    policy = fast.policy
    x = tf.random.stateless_normal([400, 3], [0, 1], dtype=tf.float64)
    x *= tf.constant([3.0, 1.0, 0.1], tf.float64)  # Inputs of such scales are where curvature matters.
    old = policy.distribution(x)
    old = tfd.MultivariateNormalDiag(tf.identity(old.mean()), tf.identity(old.stddev()))
    a = old.sample(seed=[1, 2])
    advantage = tf.random.stateless_normal([400], [3, 4], dtype=tf.float64)
    with tf.GradientTape() as tape:
        objective = tf.reduce_mean(policy.distribution(x).log_prob(a) * advantage)
    gradient = flat_gradient(tape, objective, policy.theta)
    start = flatten(policy.theta)
    fast.compiled(x, a, advantage, tf.fill([400], tf.constant(1.0 / 400.0, tf.float64)))
    direction = flatten(policy.theta) - start

    def divergence(step):
        # Steps of the same improvement, to first order.
        assign(policy.theta, start + step * 1e-4 / tf.tensordot(step, gradient, 1))
        return float(tf.reduce_mean(tfd.kl_divergence(old, policy.distribution(x))))

    assert float(tf.tensordot(direction, gradient, 1)) > 0.0
    assert divergence(direction) < 0.7 * divergence(gradient)


def test_loops_are_as_many_single_steps():
    fast = problem(**COMPILED)
    for _ in range(8):
        last = fast.step()
    expected = fast.values()
    fast.reset()
    # Split where no eigendecomposition is due.
    fast.step(count=4)
    report = fast.step(count=4)
    np.testing.assert_allclose(tf.stack(report), tf.stack(last), rtol=1e-6, atol=1e-12)
    for value, each in zip(fast.values(), expected, strict=True):
        np.testing.assert_allclose(value, each, rtol=1e-9)
    fast.reset()
    data = tensors(batch(0))

    @tf.function(autograph=False)
    def loop():
        def body(index):
            fast.update(*data)
            return [index + 1]

        return tf.while_loop(lambda index: index < 8, body, [tf.constant(0)])

    loop()
    for value, each in zip(fast.values(), expected, strict=True):
        np.testing.assert_allclose(value, each, rtol=1e-9)


@pytest.mark.parametrize("settings", [PLAIN, COMPILED], ids=["plain", "compiled"])
def test_a_batch_that_is_not_finite_changes_nothing(settings):
    fast = problem(**settings)
    for seed, spoiled, value in [
        (0, 0, np.nan),
        (3, 0, np.inf),
        (4, 1, np.nan),
        (5, 2, np.inf),
        (7, 2, np.nan),
    ]:
        # The first batch of all, too.
        before = [variable.numpy() for variable in fast.variables()]
        arrays = batch(seed)
        arrays[spoiled][(3, 1)[: arrays[spoiled].ndim]] = value
        arrays[3][3] = 0.5
        report = fast.compiled(*tensors(arrays))
        assert float(report.trust_region_scale) == 0.0
        assert float(report.predicted_kl) == 0.0
        after = [variable.numpy() for variable in fast.variables()]
        for old, new in zip(before, after, strict=True):
            np.testing.assert_array_equal(old, new)
        assert float(fast.step(seed + 1).trust_region_scale) > 0.0
        assert all(np.all(np.isfinite(value)) for value in fast.values())


def test_equal_weights_are_the_default():
    fast = problem(**FREE)
    x, a, advantage, _ = tensors(batch(0))
    weights = tf.fill([COUNT], tf.constant(1.0 / COUNT, tf.float64))
    fast.compiled(x, a, advantage, weights)
    expected = fast.values()
    fast.reset()

    @tf.function(autograph=False)
    def update():
        def evaluate(batch):
            x, a, advantage = batch
            log_prob = fast.policy.distribution(x).log_prob(a)
            return tf.reduce_mean(advantage * log_prob), log_prob

        return fast.kfac.step(evaluate, (x, a, advantage))

    update()
    for value, each in zip(fast.values(), expected, strict=True):
        np.testing.assert_allclose(value, each, rtol=1e-12)


def test_a_restored_run_goes_on_bit_for_bit(tmp_path):
    results, path = [], None
    for run in (problem(**PLAIN), Problem(**PLAIN)):
        checkpoint = tf.train.Checkpoint(policy=run.policy, kfac=run.kfac)
        if path:
            checkpoint.read(path).assert_consumed()
        else:
            run.kfac.learning_rate.assign(0.04)
            for seed in range(5):
                run.step(seed)
            path = checkpoint.write(str(tmp_path / "checkpoint"))
        for seed in range(5, 10):
            run.step(seed)
        results.append([variable.numpy().tobytes() for variable in run.variables()])
    assert results[0] == results[1]
    # The model is not the optimizer's to save.
    names = [name for name, _ in tf.train.list_variables(path) if name.startswith("kfac")]
    assert len(names) == len(run.kfac.variables)
    assert not [name for name in names if "kernel" in name or "log_std" in name or "plan" in name]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("learning_rate", 0.0),
        ("damping", 0.0),
        ("clip_kl", -1.0),
        ("momentum", 1.0),
        ("factor_decay", 1.0),
        ("factor_interval", 0),
        ("eigen_interval", 0),
        ("cg_iterations", -1),
    ],
)
def test_settings_outside_their_rule_are_refused(name, value):
    with pytest.raises(ConfigurationError, match=f"Kfac.{name} must be .*got {value!r}"):
        Kfac(**{name: value})
