"""What all update rules measure of a policy: densities, the entropy bonus and the divergence from π_old."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from tf_agents.networks import network

from expol_tf.agents import PolicyObjective
from expol_tf.distributions import sampled_kl
from expol_tf.errors import ConfigurationError
from expol_tf.objectives import SCALINGS, importance_surrogate, scale_advantages
from tests.agents.slow_ppo import LinearGaussianActorNetwork
from tests.agents.small_agents import OBSERVATION, make_actor, make_batch, perturb

tfd = tfp.distributions

SEED = tf.constant([1, 2])


def bonus_and_gradient(objective, batch, seed=SEED):
    with tf.GradientTape() as tape:
        value = objective.entropy_bonus(objective.distribution(batch.observation), batch, seed)
    return float(value), tape.gradient(value, objective.variables)


def test_a_gaussians_entropy_bonus_is_exact():
    actor = LinearGaussianActorNetwork()
    batch = make_batch(actor, 20)
    objective = PolicyObjective(actor, entropy_weight=2.0).scaled(tf.constant(0.25))
    value, (of_mean, of_log_std) = bonus_and_gradient(objective, batch)
    entropy = np.sum(actor.log_std.numpy() + 0.5 * np.log(2.0 * np.pi * np.e))
    assert value == pytest.approx(2.0 * 0.25 * entropy, rel=1e-5)
    np.testing.assert_allclose(of_log_std, [0.5, 0.5], rtol=1e-5)
    assert of_mean is None or not np.any(of_mean)


@pytest.mark.parametrize(
    ("kind", "squash"), [("gaussian", True), ("mixture", False), ("flow", False), ("flow", True)]
)
def test_a_sampled_entropy_bonus(kind, squash):
    actor = make_actor(kind, squash=squash)
    perturb(actor)
    few, many = make_batch(actor, 200), make_batch(actor, 20_000, seed=5)
    objective = PolicyObjective(actor, entropy_weight=0.5, entropy_samples=50)
    value, gradients = bonus_and_gradient(objective, few)
    # Another way to the same number: the mean of −log π of single actions.
    expected = -0.5 * np.mean(many.log_prob)
    spread = 0.5 * np.std(many.log_prob)
    # The states are others too; 200 of them.
    assert value == pytest.approx(expected, abs=5.0 * spread / 200**0.5)
    assert any(np.any(gradient) for gradient in gradients if gradient is not None)
    assert all(np.all(np.isfinite(gradient)) for gradient in gradients if gradient is not None)
    again, _ = bonus_and_gradient(objective, few)
    other, _ = bonus_and_gradient(objective, few, tf.constant([3, 4]))
    assert again == value != other


def test_more_samples_of_the_entropy_vary_less():
    actor = make_actor(squash=True)
    perturb(actor)
    batch = make_batch(actor, 20)
    deviations = []
    for samples in (1, 30):
        objective = PolicyObjective(actor, 1.0, samples)
        distribution = objective.distribution(batch.observation)
        draws = [objective.entropy_bonus(distribution, batch, tf.constant([s, 0])) for s in range(40)]
        deviations.append(np.std(draws))
    # √30 = 5.5 times.
    assert 3.0 < deviations[0] / deviations[1] < 10.0


def test_frames_that_are_not_valid_have_no_entropy():
    actor = make_actor(squash=True)
    perturb(actor)
    batch = make_batch(actor, 20)
    objective = PolicyObjective(actor, 1.0)
    value, _ = bonus_and_gradient(objective, batch)
    wild = tf.where(batch.valid[:, tf.newaxis], batch.observation, 1e3)
    assert bonus_and_gradient(objective, batch._replace(observation=wild))[0] == pytest.approx(
        value, rel=1e-6
    )
    none = batch._replace(valid=tf.zeros_like(batch.valid))
    assert bonus_and_gradient(objective, none)[0] == 0.0


def test_no_weight_costs_nothing():
    batch = make_batch(make_actor(), 5)
    bonus = PolicyObjective(make_actor()).entropy_bonus(None, batch, SEED)
    assert float(bonus) == 0.0


def test_scalings_of_advantages_and_the_direction_of_ascent():
    actor = LinearGaussianActorNetwork()
    batch = make_batch(actor, 50)
    objective = PolicyObjective(actor, entropy_weight=2.0)
    directions, lengths = {}, {}
    for scaling in SCALINGS:
        scaled = scale_advantages(7.0 * batch.advantage, batch.valid, scaling)
        given = batch._replace(advantage=scaled.advantage)
        with tf.GradientTape() as tape:
            log_prob, distribution = objective.log_prob(given)
            value = importance_surrogate(log_prob, given.log_prob - 0.1, given.advantage, given.valid)
            value += objective.scaled(scaled.entropy_scale).entropy_bonus(distribution, given, SEED)
        gradient = np.concatenate([np.ravel(g) for g in tape.gradient(value, objective.variables)])
        lengths[scaling] = np.linalg.norm(gradient)
        directions[scaling] = gradient / lengths[scaling]
    # An optimum of one is an optimum of the other.
    np.testing.assert_allclose(directions["standardize_all"], directions["center"], atol=1e-5)
    deviation = 7.0 * np.std(batch.advantage[batch.valid])
    assert lengths["center"] / lengths["standardize_all"] == pytest.approx(deviation, rel=1e-4)
    assert directions["standardize"] @ directions["center"] < 0.98


def gaussian_kl(old, new, observation):
    """KL[N(W_oᵀs, σ_o²) ‖ N(W_nᵀs, σ_n²)] for each observation."""
    (old_weights, old_log_std), (new_weights, new_log_std) = old, new
    moved = (observation @ (old_weights - new_weights)) ** 2
    ratio = (np.exp(2.0 * old_log_std) + moved) / (2.0 * np.exp(2.0 * new_log_std))
    return np.sum(new_log_std - old_log_std + ratio - 0.5, axis=1)


@pytest.mark.parametrize("estimator", ["auto", "k1", "k3"])
def test_the_divergence_of_a_gaussian(estimator):
    actor = LinearGaussianActorNetwork()
    batch = make_batch(actor, 20_000 if estimator != "auto" else 50)
    objective = PolicyObjective(actor, kl_estimator=estimator)
    observation, valid = batch.observation.numpy(), batch.valid.numpy()
    old = [variable.numpy() for variable in actor.variables]
    divergence = objective.divergence_from(objective.distribution(observation), batch, SEED)
    assert float(divergence(objective.distribution(observation))) == pytest.approx(0.0, abs=1e-6)
    perturb(actor, 0.05)
    new = [variable.numpy() for variable in actor.variables]
    expected = np.mean(gaussian_kl(old, new, observation)[valid])
    found = float(divergence(objective.distribution(observation)))
    if estimator == "auto":
        assert found == pytest.approx(expected, rel=1e-4)
    else:
        # The deviation of a term is √(2δ), and √2·δ for k3.
        deviation = (2.0 * expected) ** 0.5 if estimator == "k1" else 2.0**0.5 * expected
        assert found == pytest.approx(expected, abs=5.0 * deviation / np.sum(valid) ** 0.5)
        assert found != pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("squash", [False, True], ids=["open", "squashed"])
def test_the_divergence_of_a_flow_is_of_fresh_actions(squash):
    actor = make_actor("flow", squash=squash)
    perturb(actor)
    batch, many = make_batch(actor, 5_000), make_batch(actor, 50_000, seed=5)
    objective = PolicyObjective(actor)
    distribution = objective.distribution(batch.observation)
    divergences = [objective.divergence_from(distribution, batch, seed) for seed in ([1, 2], [3, 4])]
    perturb(actor, 0.03, seed=1)
    one, other = (float(each(objective.distribution(batch.observation))) for each in divergences)
    expected = float(tf.reduce_mean(sampled_kl(many.log_prob, objective.log_prob(many)[0])))
    assert expected > 1e-3
    assert one == pytest.approx(expected, rel=0.15) and other == pytest.approx(expected, rel=0.15)
    assert one != other


class LateActorNetwork(network.Network):
    """Its distribution reads the deviation when it is asked, not when it is made."""

    def __init__(self, name="LateActorNetwork"):
        super().__init__(OBSERVATION, state_spec=(), name=name)
        self.std = tf.Variable([1.0, 1.0])
        self.create_variables()

    def call(self, observation, step_type=None, network_state=(), training=False):
        return tfd.MultivariateNormalDiag(observation[:, :2], self.std), network_state


def test_a_distribution_that_follows_its_variables_still_has_a_divergence():
    actor = LateActorNetwork()
    batch = make_batch(actor, 20_000)
    objective = PolicyObjective(actor)
    divergence = objective.divergence_from(objective.distribution(batch.observation), batch, SEED)
    actor.std.assign([1.2, 1.0])
    expected = np.log(1.2) + 0.5 / 1.2**2 - 0.5
    assert float(divergence(objective.distribution(batch.observation))) == pytest.approx(expected, rel=0.1)


def test_densities_are_taken_before_the_squash():
    # tanh(10) and tanh(12) are both 1 in float32; their densities differ by far.
    actor = make_actor(squash=True)
    latent = tf.constant([[10.0, 0.0], [12.0, 0.0]])
    batch = make_batch(actor, 2)._replace(pre_squash_action=latent, action=tf.tanh(latent))
    log_prob, _ = PolicyObjective(actor).log_prob(batch)
    mean = actor._mean(batch.observation).numpy()
    expected = -0.5 * np.sum((latent - mean) ** 2, axis=1) - np.log(2.0 * np.pi)
    expected -= np.sum(2.0 * (np.log(2.0) - latent - np.log1p(np.exp(-2.0 * latent))), axis=1)
    np.testing.assert_allclose(log_prob, expected, rtol=1e-4)


@pytest.mark.parametrize("squash", [False, True], ids=["open", "squashed"])
def test_an_example_has_the_shapes_of_a_batch(squash):
    actor = make_actor("mixture", squash=squash)
    example, batch = PolicyObjective(actor).example(), make_batch(actor, 2)
    for name, part in batch._asdict().items():
        found = getattr(example, name)
        if part is None:
            assert found is None and name == "pre_squash_action" and not squash
        else:
            assert found.shape == part.shape and found.dtype == part.dtype, name
    assert not np.any(example.observation) and np.all(example.valid)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kl_estimator": "k2"}, "kl_estimator must be one of .*got 'k2'"),
        ({"entropy_weight": -1.0}, "entropy_weight must be 0 or more; got -1.0"),
        ({"entropy_samples": 0}, "entropy_samples must be 1 or more; got 0"),
    ],
)
def test_settings_outside_their_rule_are_refused(settings, message):
    with pytest.raises(ConfigurationError, match=message):
        PolicyObjective(make_actor(), **settings)
