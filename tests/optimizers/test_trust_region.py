"""The trust-region step: its length, what it accepts, and that a rejected one leaves no trace."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from expol_tf.errors import ConfigurationError
from expol_tf.objectives import importance_surrogate
from expol_tf.optimizers import TrustRegion, flatten
from tests.optimizers.policies import LinearGaussian

tfd = tfp.distributions

DELTA = 0.01


class Problem:
    """A linear-Gaussian policy with sampled actions, random advantages and its exact divergence."""

    def __init__(self, seed=0, count=300, advantage=None, dtype=tf.float32, log_std=None):
        self.policy = LinearGaussian(num_observations=count, seed=seed, dtype=dtype)
        if log_std is not None:
            self.policy.log_std.assign(log_std)
        self.old = tfd.MultivariateNormalDiag(
            tf.constant(self.policy.distribution().mean()), tf.constant(self.policy.distribution().stddev())
        )
        self.action = self.old.sample(seed=[seed, 1])
        self.old_log_prob = self.old.log_prob(self.action)
        if advantage is None:
            advantage = np.random.default_rng(seed).normal(size=count)
        self.advantage = tf.constant(advantage, dtype)
        self.valid = tf.fill([count], True)

    def log_prob(self):
        return self.policy.distribution().log_prob(self.action)

    def surrogate(self):
        return importance_surrogate(self.log_prob(), self.old_log_prob, self.advantage, self.valid)

    def kl(self):
        return tf.reduce_mean(tfd.kl_divergence(self.old, self.policy.distribution()))

    def measure(self):
        return self.surrogate(), self.kl()

    def step(self, measure=None, **settings):
        region = TrustRegion(max_kl=DELTA, **settings)
        measure = measure or self.measure
        return region.step(self.policy.variables, lambda _: measure(), lambda _: self.log_prob(), self.action)


@pytest.mark.parametrize("seed", range(4))
def test_a_step_obeys_the_exact_divergence_and_improves_the_surrogate(seed):
    problem = Problem(seed)
    before = float(problem.surrogate())
    report = tf.function(problem.step, autograph=False)() if seed == 0 else problem.step()
    assert float(report.accepted_step_fraction) > 0.0
    exact = float(problem.kl())
    assert 0.1 * DELTA < exact <= 1.5 * DELTA
    assert float(report.kl) == pytest.approx(exact, rel=1e-3)
    improvement = float(problem.surrogate()) - before
    assert improvement > 0.0
    assert float(report.surrogate) == pytest.approx(improvement, rel=1e-3, abs=1e-6)


def test_a_quadratic_step_has_the_length_of_the_ball_and_the_natural_direction():
    # With σ fixed, KL[old ‖ new] is exactly ½ ΔᵀFΔ, so that the full step must have divergence δ exactly, and
    # go along F⁻¹∇S.
    problem = Problem(1, count=20, dtype=tf.float64)
    policy = problem.policy
    observation, action, weights = policy.quadrature()
    objective = tf.constant(np.random.default_rng(0).normal(size=(3, 2)))

    def measure():
        return tf.reduce_sum(objective * policy.weights), problem.kl()

    old = policy.weights.numpy()
    region = TrustRegion(max_kl=DELTA, damping=0.0, cg_iterations=6, cg_tolerance=1e-18)
    report = region.step(
        [policy.weights],
        lambda _: measure(),
        lambda _: policy.distribution(observation).log_prob(action),
        problem.action,
        fisher_samples=(action, weights),
    )
    assert float(report.accepted_step_fraction) == 1.0
    assert float(problem.kl()) == pytest.approx(DELTA, rel=1e-6)
    direction = np.linalg.solve(policy.fisher()[:6, :6], objective.numpy().reshape(-1))
    step = (policy.weights.numpy() - old).reshape(-1)
    np.testing.assert_allclose(step / np.linalg.norm(step), direction / np.linalg.norm(direction), rtol=1e-6)
    assert float(report.cg_residual) < 1e-8
    assert float(report.gradient_norm) == pytest.approx(np.linalg.norm(objective))


@pytest.mark.parametrize("size", [2.0**-100, 2.0**-40, 2.0**30])
def test_fault_08_a_step_does_not_depend_on_the_size_of_the_gradient(size):
    steps = []
    for factor in (1.0, size):
        problem = Problem(1, count=20, dtype=tf.float64)
        policy = problem.policy
        observation, action, weights = policy.quadrature()
        objective = factor * np.random.default_rng(0).normal(size=(3, 2))
        old = policy.weights.numpy()
        # Without a surrogate at the start, of which the improvement would be lost in rounding.
        report = TrustRegion(max_kl=DELTA).step(
            [policy.weights],
            lambda _, o=objective, p=problem, w=old: (tf.reduce_sum(o * (p.policy.weights - w)), p.kl()),
            lambda _, p=policy, x=observation, a=action: p.distribution(x).log_prob(a),
            problem.action,
            fisher_samples=(action, weights),
        )
        assert float(report.accepted_step_fraction) == 1.0
        steps.append(policy.weights.numpy() - old)
    np.testing.assert_array_equal(steps[1], steps[0])


def test_damping_is_part_of_the_solve_and_of_the_length():
    problem = Problem(1, count=20, dtype=tf.float64)
    policy = problem.policy
    observation, action, weights = policy.quadrature()
    objective = np.random.default_rng(0).normal(size=(3, 2))
    old = policy.weights.numpy()
    TrustRegion(max_kl=DELTA, damping=0.7, cg_iterations=6, cg_tolerance=1e-18).step(
        [policy.weights],
        lambda _: (tf.reduce_sum(objective * policy.weights), problem.kl()),
        lambda _: policy.distribution(observation).log_prob(action),
        problem.action,
        fisher_samples=(action, weights),
    )
    damped = policy.fisher()[:6, :6] + 0.7 * np.eye(6)
    direction = np.linalg.solve(damped, objective.reshape(-1))
    expected = direction * np.sqrt(2.0 * DELTA / (direction @ damped @ direction))
    np.testing.assert_allclose((policy.weights.numpy() - old).reshape(-1), expected, rtol=1e-6)


# Values that x + 0·step and other arithmetic would change.
AWKWARD = [-0.0, 1e-40]


def bits_of(problem):
    return [variable.numpy().tobytes() for variable in problem.policy.variables]


def moved(problem, old):
    return tf.reduce_any(tf.not_equal(flatten(problem.policy.variables), old))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda surrogate, kl, moved: (surrogate, tf.where(moved, 1.0, kl)),
        lambda surrogate, kl, moved: (surrogate, tf.where(moved, np.nan, kl)),
        lambda surrogate, kl, moved: (tf.where(moved, surrogate - 1.0, surrogate), kl),
        lambda surrogate, kl, moved: (tf.where(moved, np.inf, surrogate), kl),
        lambda surrogate, kl, moved: (tf.where(moved, np.nan, surrogate), kl),
        lambda surrogate, kl, moved: (surrogate, tf.where(moved, -np.inf, kl)),
    ],
    ids=["far", "nan kl", "worse", "inf surrogate", "nan surrogate", "inf kl"],
)
def test_a_rejected_step_restores_every_bit(spoil):
    problem = Problem(0, count=30, log_std=AWKWARD)
    bits = bits_of(problem)
    old = tf.constant(flatten(problem.policy.variables))
    report = problem.step(lambda: spoil(*problem.measure(), moved(problem, old)))
    assert bits_of(problem) == bits
    assert float(report.accepted_step_fraction) == 0.0
    assert float(report.surrogate) == 0.0
    assert float(report.kl) == 0.0
    # Nothing but what was spoiled stood in the step's way.
    assert float(problem.step().accepted_step_fraction) > 0.0
    assert bits_of(problem) != bits


@pytest.mark.parametrize("advantage", [0.0, np.nan, np.inf], ids=str)
def test_without_a_usable_gradient_nothing_moves(advantage):
    problem = Problem(0, count=30, advantage=np.full(30, advantage), log_std=AWKWARD)
    bits = bits_of(problem)
    report = problem.step()
    assert bits_of(problem) == bits
    assert float(report.accepted_step_fraction) == 0.0


def test_backs_off_to_the_first_acceptable_fraction():
    problem = Problem(2)
    start = tf.constant(flatten(problem.policy.variables))
    full = problem.step()
    assert float(full.accepted_step_fraction) == 1.0
    step = flatten(problem.policy.variables) - start
    for variable, value in zip(problem.policy.variables, tf.split(start, [6, 2]), strict=True):
        variable.assign(tf.reshape(value, variable.shape))
    length = tf.norm(step)

    def measure():
        surrogate, _ = problem.measure()
        # A divergence of 1.5 δ at 0.3 of the full step: 1 and 0.6 are too far, 0.36 is too, 0.216 is not.
        fraction = tf.norm(flatten(problem.policy.variables) - start) / length
        return surrogate, 1.5 * DELTA * fraction / 0.3

    report = problem.step(measure, backtrack_ratio=0.6)
    assert float(report.accepted_step_fraction) == pytest.approx(0.216)
    np.testing.assert_allclose(flatten(problem.policy.variables), start + 0.216 * step, rtol=1e-4, atol=1e-5)
    assert float(report.kl) == pytest.approx(1.5 * DELTA * 0.72, rel=1e-3)


@pytest.mark.parametrize(("slack", "fraction"), [(1.0, 0.5), (1.5, 1.0)])
def test_slack_is_a_multiple_of_delta(slack, fraction):
    problem = Problem(2)
    start = tf.constant(flatten(problem.policy.variables))
    visits = tf.Variable(-1.0)

    def measure():
        surrogate, _ = problem.measure()
        trial = visits.assign_add(1.0)  # 0 at the old parameters, then 1, 2, …
        return surrogate, tf.where(trial <= 1.0, 1.2, 0.9) * DELTA

    report = problem.step(measure, kl_slack=slack)
    assert float(report.accepted_step_fraction) == fraction
    assert bool(moved(problem, start))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_kl", 0.0),
        ("damping", -0.1),
        ("cg_iterations", 0),
        ("kl_slack", 0.9),
        ("max_backtracks", 0),
        ("backtrack_ratio", 1.0),
    ],
)
def test_settings_outside_their_rule_are_refused(name, value):
    with pytest.raises(ConfigurationError, match=f"TrustRegion.{name} must be .*got {value}"):
        TrustRegion(**{name: value})
