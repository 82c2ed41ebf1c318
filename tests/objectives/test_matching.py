"""Divergences by discriminators: values, slopes and conjugates against slow ones."""

from __future__ import annotations

import math

import gin
import numpy as np
import pytest
import tensorflow as tf
from tf_agents.specs import tensor_spec

from expol_tf.errors import ConfigurationError
from expol_tf.objectives import (
    Matching,
    f_divergence,
    gradient_penalty,
    jsd,
    reverse_kl,
    wasserstein,
)

LOG_2 = math.log(2.0)
WIDE = tensor_spec.BoundedTensorSpec([2], tf.float32, [-0.4, 0.0], [0.4, 10.0])
MIDDLE, HALF = np.array([0.0, 5.0]), np.array([0.4, 5.0])
SEED = tf.constant([3, 4])


def pearson(t):
    return t + tf.square(t) / 4


def hellinger():
    return f_divergence(lambda t: t / (1 - t), lambda f: 0.999 - tf.nn.softplus(-f), "hellinger")


def sigmoid(f):
    return 1 / (1 + np.exp(-f))


def slow_jsd(f, g):
    return np.log(sigmoid(f)) + np.log(sigmoid(-g))


def slow_hellinger(f, g):
    t, u = (0.999 - np.log(1 + np.exp(-each)) for each in (f, g))
    return t - u / (1 - u)


VALUES = {
    "jsd": (jsd, slow_jsd),
    "saturating": (lambda: jsd(saturating=True), slow_jsd),
    "wasserstein": (wasserstein, lambda f, g: f - g),
    "hinge": (lambda: wasserstein(hinge=True), lambda f, g: np.minimum(0, f - 1) + np.minimum(0, -1 - g)),
    "reverse_kl": (reverse_kl, lambda f, g: f - np.exp(g - 1)),
    "f_divergence": (lambda: f_divergence(pearson), lambda f, g: f - g - g**2 / 4),
    "hellinger": (hellinger, slow_hellinger),
}
POLICY_LOSSES = {
    "jsd": lambda f: -np.log(sigmoid(-f)),
    "saturating": lambda f: np.log(sigmoid(f)),
    "hellinger": lambda f: 0.999 - np.log(1 + np.exp(-f)),
}
DIVERGENCES = {
    "jsd": lambda v: (v + 2 * LOG_2) / 2,
    "saturating": lambda v: (v + 2 * LOG_2) / 2,
    "hinge": lambda v: 1 + v / 2,
}


@pytest.mark.parametrize("name", VALUES)
def test_values_are_those_of_the_formulae(name):
    make, slow = VALUES[name]
    matching = make()
    f, g = np.random.default_rng(0).normal(0, 2, [2, 100])
    np.testing.assert_allclose(matching.value(tf.constant(f), tf.constant(g)), slow(f, g), rtol=1e-10)
    slow_loss = POLICY_LOSSES.get(name, lambda f: f)
    np.testing.assert_allclose(matching.policy_loss(tf.constant(f)), slow_loss(f), rtol=1e-10)
    slow_divergence = DIVERGENCES.get(name, lambda v: v)
    np.testing.assert_allclose(matching.divergence(tf.constant(-0.7)), slow_divergence(-0.7), rtol=1e-6)
    assert matching.penalty == (10.0 if name in ("wasserstein", "hinge") else 0.0)


def test_the_jensen_shannon_value_is_never_positive_and_least_informed_at_zero():
    matching = jsd()
    f, g = tf.constant(np.random.default_rng(0).normal(0, 30, [2, 10000]))
    assert np.max(matching.value(f, g)) <= 0
    zero = tf.zeros([5], tf.float64)
    np.testing.assert_allclose(matching.value(zero, zero), np.full(5, -2 * LOG_2))
    np.testing.assert_allclose(matching.divergence(matching.value(zero, zero)), 0, atol=1e-7)
    # Between equal densities no f has more: pointwise, with the same samples on both sides.
    assert np.max(matching.value(f, f)) <= -2 * LOG_2
    np.testing.assert_allclose(matching.divergence(tf.constant(0.0)), LOG_2, rtol=1e-6)


# All but the user's own conjugate, which has no bound.
@pytest.mark.parametrize("name", sorted(set(VALUES) - {"f_divergence"}))
def test_values_and_slopes_are_finite_however_large_f_is(name):
    matching = VALUES[name][0]()
    f = tf.constant([-1e6, -1e3, -100.0, -80.0, 0.0, 80.0, 90.0, 100.0, 1e3, 1e6])
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(f)
        value = matching.value(tf.zeros_like(f), f)
        own = matching.value(f, tf.zeros_like(f))
        loss = matching.policy_loss(f)
    for each in (value, own, loss):
        slope = tape.gradient(each, f)
        assert np.all(np.isfinite(each)) and np.all(np.isfinite(slope))
    # Upwards in the policy's f and downwards in the target's, never the other way round.
    assert np.all(tape.gradient(own, f) >= 0) and np.all(tape.gradient(value, f) <= 0)
    assert np.all(tape.gradient(loss, f) >= 0)


def test_where_each_policys_loss_has_its_slope():
    f = tf.constant([-20.0, 0.0, 20.0])
    slopes = {}
    for saturating in (False, True):
        with tf.GradientTape() as tape:
            tape.watch(f)
            loss = jsd(saturating).policy_loss(f)
        slopes[saturating] = tape.gradient(loss, f).numpy()
    np.testing.assert_allclose(slopes[False], [0.0, 0.5, 1.0], atol=1e-6)
    np.testing.assert_allclose(slopes[True], [1.0, 0.5, 0.0], atol=1e-6)


def conjugate_of(matching, t):
    """F*(t), as the value has it: that of f_policy = 0 is 0 less F*."""
    t = tf.constant(t)
    return -matching.value(tf.zeros_like(t), t).numpy()


@pytest.mark.parametrize("max_ratio", [20.0, 1000.0])
def test_the_conjugate_of_the_reverse_kl_is_fenchels_of_a_bounded_ratio(max_ratio):
    ratio = np.geomspace(1e-6, max_ratio, 100001)
    t = np.linspace(-4, 2 + np.log(max_ratio), 13)
    slow = [np.max(each * ratio - ratio * np.log(ratio)) for each in t]
    np.testing.assert_allclose(conjugate_of(reverse_kl(max_ratio), t), slow, rtol=1e-4, atol=1e-6)
    assert np.any(t - 1 > np.log(max_ratio)) and np.sum(t - 1 < np.log(max_ratio)) > 5


def test_below_the_bound_it_is_exp_and_above_its_tangent():
    matching, t = reverse_kl(max_ratio=math.e**2), tf.constant([0.0, 2.999999, 3.000001, 5.0], tf.float64)
    with tf.GradientTape() as tape:
        tape.watch(t)
        value = -matching.value(tf.zeros_like(t), t)
    e2 = math.e**2
    np.testing.assert_allclose(value, [1 / math.e, e2, e2, 3 * e2], rtol=1e-5)
    np.testing.assert_allclose(tape.gradient(value, t), [1 / math.e, e2, e2, e2], rtol=1e-5)


def test_the_jensen_shannon_value_is_a_conjugates():
    """With t = log σ(f): F(r) = r log r − (1 + r) log(1 + r), F*(t) = −log(1 − eᵗ)."""
    ratio = np.geomspace(1e-6, 400, 100001)
    f = np.linspace(-4, 4, 9)
    t = np.log(sigmoid(f))
    slow = [np.max(each * ratio - ratio * np.log(ratio) + (1 + ratio) * np.log1p(ratio)) for each in t]
    zero = jsd().value(tf.zeros([9], tf.float64), tf.constant(f)).numpy() + LOG_2
    np.testing.assert_allclose(-zero, slow, rtol=1e-4, atol=1e-6)


def test_the_conjugates_of_the_example_are_fenchels():
    ratio = np.concatenate([[0.0], np.geomspace(1e-6, 500, 100001)])
    t = np.linspace(-1.5, 3, 10)
    slow = [np.max(each * ratio - (ratio - 1) ** 2) for each in t]
    np.testing.assert_allclose(conjugate_of(f_divergence(pearson), t), slow, atol=1e-5)
    f = np.linspace(-3, 3, 9)
    t = hellinger().policy_loss(tf.constant(f)).numpy()
    slow = [np.max(each * ratio - (np.sqrt(ratio) - 1) ** 2) for each in t]
    zero = hellinger().policy_loss(tf.zeros([9], tf.float64)).numpy()
    np.testing.assert_allclose(conjugate_of(hellinger(), f) + zero, slow, rtol=1e-4, atol=1e-5)


# With the exact discriminator, of π = N(μ, 1) and p = N(0, 1): the gradient in μ, by quadrature.
NODES = np.linspace(-8, 8, 6001)
WEIGHTS = np.exp(-(NODES**2) / 2) / np.sum(np.exp(-(NODES**2) / 2))


def density(x, mean):
    return np.exp(-((x - mean) ** 2) / 2) / math.sqrt(2 * math.pi)


def integral(function, mean):
    x = np.linspace(min(0, mean) - 12, max(0, mean) + 12, 4001)
    return np.sum(function(density(x, mean), density(x, 0.0), x, mean)) * (x[1] - x[0])


def kl(a, b):
    return a * np.log(a / b)


def jensen_shannon(pi, p):
    return 0.5 * kl(pi, (pi + p) / 2) + 0.5 * kl(p, (pi + p) / 2)


def log_ratio(x, mean):
    return mean * (x - mean / 2)


# The matching, its best f(x, μ), and what the policy's gradient is that of: an integrand over x.
EXACT = {
    "jsd": (jsd, log_ratio, lambda pi, p, x, m: 2 * kl((pi + p) / 2, p)),
    "saturating": (lambda: jsd(True), log_ratio, lambda pi, p, x, m: 2 * jensen_shannon(pi, p)),
    "reverse_kl": (lambda: reverse_kl(1e9), lambda x, m: 1 + log_ratio(x, m), lambda pi, p, x, m: kl(pi, p)),
    "pearson": (
        lambda: f_divergence(pearson),
        lambda x, m: 2 * (tf.exp(log_ratio(x, m)) - 1),
        lambda pi, p, x, m: (pi - p) ** 2 / p,
    ),
    # t = 1 − r^(−1/2) through the activation's inverse.
    "hellinger": (
        hellinger,
        lambda x, m: -tf.math.log(tf.math.expm1(tf.exp(-0.5 * log_ratio(x, m)) - 0.001)),
        lambda pi, p, x, m: (np.sqrt(pi) - np.sqrt(p)) ** 2,
    ),
    # A slope of 1 toward the policy: |μ| = E_π ± x − E_p ± x.
    "wasserstein": (wasserstein, lambda x, m: np.sign(m) * x, lambda pi, p, x, m: np.sign(m) * x * pi),
    # The best of the hinge form among the 1-Lipschitz; its maximum is the value at that f.
    "hinge": (
        lambda: wasserstein(hinge=True),
        lambda x, m: tf.clip_by_value(np.sign(m) * (x - m / 2), -1.0, 1.0),
        lambda pi, p, x, m: np.clip(np.sign(m) * (x - m / 2), -1, 1) * (pi - p),
    ),
}


def policy_gradient(matching, discriminator, mean):
    """d/dμ of the policy's mean loss, reparameterized, with f held."""
    moving, fixed = tf.Variable(mean, dtype=tf.float64), tf.constant(mean, tf.float64)
    with tf.GradientTape() as tape:
        loss = matching.policy_loss(discriminator(moving + NODES, fixed))
        loss = tf.reduce_sum(WEIGHTS * loss)
    return tape.gradient(loss, moving).numpy()


@pytest.mark.parametrize("mean", [-1.0, 0.3, 1.5])
@pytest.mark.parametrize("name", EXACT)
def test_with_the_exact_discriminator_the_gradient_is_the_divergences(name, mean):
    make, discriminator, integrand = EXACT[name]
    found = policy_gradient(make(), discriminator, mean)
    step = 1e-4
    slow = (integral(integrand, mean + step) - integral(integrand, mean - step)) / (2 * step)
    # A node at the edge of the clipping counts in full or not at all.
    np.testing.assert_allclose(found, slow, rtol=2e-3 if name == "hinge" else 1e-4)
    assert np.sign(found) == np.sign(mean)


@pytest.mark.parametrize("name", EXACT)
def test_policy_steps_lead_to_the_target(name):
    make, discriminator, _ = EXACT[name]
    matching, mean = make(), 0.8
    for step in range(40):
        # Smaller and smaller, as the slope of W₁ is not where its minimum is near.
        mean -= 0.5 / (1 + 0.2 * step) * policy_gradient(matching, discriminator, mean)
    assert abs(mean) < 0.1


def test_the_saturating_gradient_vanishes_far_from_the_target():
    saturating, default = (policy_gradient(jsd(each), log_ratio, 4.0) for each in (True, False))
    np.testing.assert_allclose(default / saturating, 28.2, rtol=0.01)


def scaled(action):
    return (action - tf.constant(MIDDLE, action.dtype)) / tf.constant(HALF, action.dtype)


STATES = tf.constant(np.random.default_rng(1).standard_normal([40, 3]), tf.float32)
ACTION, OTHER = tf.constant(
    np.random.default_rng(2).uniform(MIDDLE - HALF, MIDDLE + HALF, [2, 40, 2]), tf.float32
)


def test_the_penalty_of_a_linear_function_is_that_of_its_slope():
    found = gradient_penalty(
        lambda s, a: s[:, 0] + tf.linalg.matvec(scaled(a), [3.0, 4.0]), STATES, ACTION, OTHER, SEED, WIDE
    )
    np.testing.assert_allclose(found, np.full(40, 16.0), rtol=1e-4)


def test_the_penalty_is_taken_between_the_actions_of_each_state():
    """f = s₀‖x‖²/2 has the slope s₀·x, which tells where on the segment it was taken."""
    found = gradient_penalty(
        lambda s, a: s[:, 0] * tf.reduce_sum(scaled(a) ** 2, axis=-1) / 2, STATES, ACTION, OTHER, SEED, WIDE
    )
    share = tf.random.stateless_uniform([40, 1], SEED).numpy()
    x = scaled(ACTION).numpy() * (1 - share) + scaled(OTHER).numpy() * share
    slow = (np.linalg.norm(STATES[:, :1] * x, axis=1) - 1) ** 2
    np.testing.assert_allclose(found, slow, rtol=1e-4, atol=1e-5)
    assert np.ptp(share) > 0.8
    again, different = (
        gradient_penalty(lambda s, a: tf.reduce_sum(a**2, axis=-1), STATES, ACTION, OTHER, seed, WIDE)
        for seed in (SEED, SEED + 1)
    )
    assert np.any(again != different)


def test_the_penaltys_gradient_reaches_the_parameters_and_not_the_actions():
    weight = tf.Variable([0.8, -0.3])

    def penalty():
        return gradient_penalty(
            lambda s, a: tf.reduce_sum(tf.tanh(weight * scaled(a)), axis=-1),
            STATES,
            ACTION,
            OTHER,
            SEED,
            WIDE,
        )

    @tf.function
    def slopes():
        with tf.GradientTape() as tape:
            tape.watch(ACTION)
            loss = tf.reduce_mean(penalty())
        return tape.gradient(loss, [weight, ACTION])

    found, of_action = slopes()
    assert of_action is None
    start = weight.numpy()
    for i in range(2):
        values = []
        for sign in (1, -1):
            weight.assign(start + 1e-2 * sign * np.eye(2, dtype=np.float32)[i])
            values.append(np.mean(penalty()))
        np.testing.assert_allclose(found[i], (values[0] - values[1]) / 2e-2, rtol=5e-3)
        weight.assign(start)


def test_a_function_without_slope_has_a_penalty_and_no_gradient():
    weight = tf.Variable(0.0)
    with tf.GradientTape() as tape:
        each = gradient_penalty(
            lambda s, a: weight * tf.reduce_sum(a, axis=-1), STATES, ACTION, OTHER, SEED, WIDE
        )
        loss = tf.reduce_mean(each)
    np.testing.assert_allclose(each, np.ones(40), rtol=1e-5)
    np.testing.assert_array_equal(tape.gradient(loss, weight), 0.0)


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: wasserstein(gradient_penalty=-1.0), "gradient_penalty"),
        (lambda: reverse_kl(max_ratio=1.0), "max_ratio"),
        (lambda: reverse_kl(max_ratio=float("nan")), "max_ratio"),
    ],
)
def test_settings_outside_their_rules_are_refused(make, name):
    with pytest.raises(ConfigurationError, match=f"{name} must be .* got"):
        make()


@pytest.mark.parametrize("name", VALUES)
def test_values_that_would_be_paired_all_with_all_are_refused(name):
    with pytest.raises(ConfigurationError, match=r"f_target must be \[N\]; got \(5, 1\).*squeeze"):
        VALUES[name][0]().value(tf.zeros([5]), tf.zeros([5, 1]))


def test_they_are_made_without_tensors_and_used_in_any_graph():
    with tf.Graph().as_default() as graph:
        made = [make() for make, _ in VALUES.values()]
        assert not graph.get_operations()
    for matching in made:
        compiled = tf.function(lambda f, g, matching=matching: matching.value(f, g))
        assert compiled(tf.zeros([3]), tf.ones([3])).shape == [3]


def test_a_gin_file_chooses_one_and_its_settings():
    @gin.configurable(module="tests")
    def matched(matching: Matching) -> Matching:
        return matching

    @gin.configurable(module="tests")
    def own_conjugate(t):
        return pearson(t)

    def chosen(config):
        try:
            with gin.unlock_config():
                gin.parse_config(config)
            return matched()
        finally:
            gin.clear_config()

    found = chosen(
        "matched.matching = @wasserstein()\nwasserstein.hinge = True\nwasserstein.gradient_penalty = 3.0"
    )
    assert found.name == "hinge" and found.penalty == 3.0
    assert chosen("matched.matching = @jsd()\njsd.saturating = True").policy_loss(tf.zeros([1]))[0] < 0
    assert chosen("matched.matching = @reverse_kl()").name == "reverse_kl"
    found = chosen("matched.matching = @f_divergence()\nf_divergence.conjugate = @own_conjugate")
    np.testing.assert_allclose(found.value(tf.constant([1.0]), tf.constant([2.0])), [-2.0])
