"""Densities of squashed actions by way of the pre-squash action."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from tf_agents.specs import tensor_spec

from expol_tf.bijectors import AffineConditioner, AffineCoupling, ElementwiseSpline, Squash
from expol_tf.distributions import action_log_prob, latent_and_squash, sample_action, split_squash
from expol_tf.errors import CapabilityError

tfb = tfp.bijectors
tfd = tfp.distributions

BOX = tensor_spec.BoundedTensorSpec([2], tf.float32, [-0.4, 0.0], [0.4, 10.0])
HALF, MIDDLE = np.array([0.4, 5.0]), np.array([0.0, 5.0])
SEED = tf.constant([1, 2])
MEAN, STD = (
    np.array([[0.3, -0.2], [1.0, 2.0], [-3.0, 0.0]], np.float32),
    np.array([[0.5, 1.0]] * 3, np.float32),
)


def gaussian():
    return tfd.MultivariateNormalDiag(MEAN, STD)


def coupling():
    return AffineCoupling(AffineConditioner(1, 1), 2)


def exact_log_prob(u):
    u = np.float64(u)
    latent = -0.5 * ((u - MEAN) / STD) ** 2 - np.log(STD) - 0.5 * np.log(2 * np.pi)
    # log(1 − tanh² u) = log 4 − 2·log(eᵘ + e⁻ᵘ)
    return np.sum(latent - np.log(HALF) - (np.log(4) - 2 * np.logaddexp(u, -u)), axis=-1)


def test_what_counts_as_squashed():
    normal, squash = gaussian(), Squash(BOX)
    assert split_squash(normal) == (normal, None)
    flow = tfd.TransformedDistribution(normal, coupling())
    assert split_squash(flow) == (flow, None)
    inner, found = split_squash(tfd.TransformedDistribution(flow, squash))
    assert inner is flow and found is squash
    chained = tfd.TransformedDistribution(normal, tfb.Chain([squash, tfb.Shift([0.5, 1.0]), coupling()]))
    inner, found = split_squash(chained)
    assert found is squash
    u = inner.sample(seed=SEED)
    np.testing.assert_allclose(chained.sample(seed=SEED), squash.forward(u), rtol=1e-6)
    np.testing.assert_allclose(
        inner.log_prob(tf.identity(u)) - squash.forward_log_det_jacobian(u, 1),
        chained.log_prob(squash.forward(tf.identity(u))),
        rtol=1e-3,
    )
    affine = tfd.TransformedDistribution(normal, tfb.Chain([tfb.Shift([0.5, 1.0]), tfb.Scale([2.0, 3.0])]))
    assert split_squash(affine) == (affine, None)


@pytest.mark.parametrize("squash", [tfb.Tanh(), tfb.Sigmoid(-1.0, 2.0), tfb.Invert(tfb.Tanh())])
def test_a_squash_of_ones_own_counts_if_its_parameters_are_constants(squash):
    inner, found = split_squash(tfd.TransformedDistribution(gaussian(), squash))
    assert isinstance(inner, tfd.MultivariateNormalDiag) and found is squash


@pytest.mark.parametrize(
    "bijector",
    [
        tfb.Sigmoid(tf.constant(-1.0), tf.constant(2.0)),  # Whether these come from a network is not known.
        tfb.Invert(tfb.Sigmoid(tf.constant(-1.0), tf.constant(2.0))),
        ElementwiseSpline(2).bijector(),
        tfb.Scale(2.0),
        tfb.SoftmaxCentered(),
    ],
)
def test_what_a_policy_learns_is_no_squash(bijector):
    policy = tfd.TransformedDistribution(gaussian(), bijector)
    assert split_squash(policy) == (policy, None)
    with pytest.raises(CapabilityError, match="needs a squashed policy.*squash=True"):
        latent_and_squash(policy)


SCALE, SHIFT = tf.constant([2.0, 0.5]), np.array([1.0, -3.0], np.float32)


@pytest.mark.parametrize(
    "make",
    [
        lambda base, flow: tfd.TransformedDistribution(
            base, tfb.Chain([tfb.Shift(SHIFT), tfb.Scale(SCALE), tfb.Tanh(), flow])
        ),
        lambda base, flow: tfd.TransformedDistribution(
            base,
            tfb.Chain([tfb.Chain([tfb.Shift(SHIFT), tfb.Scale(SCALE)]), tfb.Chain([tfb.Tanh(), flow])]),
        ),
        lambda base, flow: tfd.TransformedDistribution(
            tfd.TransformedDistribution(base, tfb.Chain([tfb.Tanh(), flow])),
            tfb.Chain([tfb.Shift(SHIFT), tfb.Scale(SCALE)]),
        ),
    ],
    ids=["one chain", "chains of a chain", "distributions"],
)
def test_client_04_constant_maps_after_the_squash_belong_to_it(make):
    """In a graph, where a tensor that has a value is known to keep it."""
    flow = coupling()
    policy = make(gaussian(), flow)
    assert split_squash(policy) == (policy, None)  # In eager code it might be a variable's.

    @tf.function(autograph=False)
    def ask():
        sample = sample_action(make(gaussian(), flow), SEED)
        u = sample.pre_squash_action
        by_u = action_log_prob(make(gaussian(), flow), sample.action, u)
        # As if it were far out, where nothing can be inverted.
        return sample, by_u, action_log_prob(make(gaussian(), flow), sample.action, 300.0 + u)

    sample, by_u, far = ask()
    np.testing.assert_allclose(
        sample.action, SHIFT + SCALE.numpy() * np.tanh(sample.pre_squash_action), rtol=1e-5
    )
    np.testing.assert_allclose(sample.log_prob, policy.log_prob(tf.identity(sample.action)), rtol=1e-3)
    np.testing.assert_allclose(by_u, sample.log_prob, rtol=1e-4)
    assert np.all(np.isfinite(far))


@pytest.mark.parametrize("shift", [tf.Variable([1.0, 0.0]), tf.Variable([1.0, 0.0], trainable=False)])
def test_client_04_a_map_after_the_squash_that_may_move_is_none_of_it(shift):
    def ask(shift):
        return split_squash(
            tfd.TransformedDistribution(gaussian(), tfb.Chain([tfb.Shift(shift), tfb.Tanh()]))
        )[1]

    found = []
    for given in (lambda: shift, lambda: shift + 0.0, lambda: tf.exp(shift)):
        tf.function(lambda given=given: found.append(ask(given())), autograph=False)()
        found.append(ask(given()))
    assert found == [None] * 6


def test_a_chain_whose_squash_is_not_last_is_refused():
    chain = tfb.Chain([tfb.Shift([0.5, 1.0]), Squash(BOX), tfb.Shift([1.0, 1.0])])
    policy = tfd.TransformedDistribution(gaussian(), chain)
    for call in (split_squash, latent_and_squash, lambda policy: sample_action(policy, SEED)):
        with pytest.raises(CapabilityError, match=r"last step.*Chain\(\[Shift, Squash, Shift\]\)"):
            call(policy)


def test_a_sample_comes_with_its_density_and_pre_image():
    policy = tfd.TransformedDistribution(gaussian(), Squash(BOX))
    sample = sample_action(policy, SEED)
    u = sample.pre_squash_action.numpy()
    np.testing.assert_allclose(sample.action, MIDDLE + HALF * np.tanh(u), rtol=1e-5)
    np.testing.assert_allclose(sample.log_prob, exact_log_prob(u), rtol=1e-5)
    np.testing.assert_allclose(action_log_prob(policy, *sample[::2]), sample.log_prob, rtol=1e-5)
    unsquashed = sample_action(gaussian(), SEED)
    assert unsquashed.pre_squash_action is None
    np.testing.assert_allclose(gaussian().log_prob(unsquashed.action), unsquashed.log_prob, rtol=1e-5)
    np.testing.assert_allclose(action_log_prob(gaussian(), unsquashed.action), unsquashed.log_prob, rtol=1e-5)


@pytest.mark.parametrize("far", [9.0, 20.0, 300.0])
def test_the_pre_image_keeps_densities_exact_where_the_action_has_lost_them(far):
    mean = tf.Variable(MEAN)
    u = tf.constant(MEAN + far * np.sign(MEAN + 0.1))
    with tf.GradientTape() as tape:
        policy = tfd.TransformedDistribution(tfd.MultivariateNormalDiag(mean, STD), Squash(BOX))
        log_prob = action_log_prob(policy, Squash(BOX).forward(u), u)
    np.testing.assert_allclose(log_prob, exact_log_prob(u), rtol=1e-5)
    np.testing.assert_allclose(tape.gradient(log_prob, mean), (u - MEAN) / STD**2, rtol=1e-5)
    # By the action alone, it is finite, and no more.
    assert np.all(np.isfinite(action_log_prob(policy, Squash(BOX).forward(u))))


def test_densities_follow_a_policy_whose_bijector_is_kept():
    shift = tf.Variable([0.5, 1.0])
    policy = tfd.TransformedDistribution(gaussian(), tfb.Chain([Squash(BOX), tfb.Shift(shift)]))
    action = tf.constant(MIDDLE + HALF * np.array([[0.1, -0.2]] * 3), tf.float32)

    @tf.function(autograph=False)
    def before_and_after(given):
        before = action_log_prob(policy, given)
        shift.assign([-0.5, 0.0])
        return before, action_log_prob(policy, given)

    before, after = before_and_after(action)
    again = tfd.TransformedDistribution(gaussian(), tfb.Chain([Squash(BOX), tfb.Shift([-0.5, 0.0])]))
    np.testing.assert_allclose(after, again.log_prob(action), rtol=1e-5)
    assert np.all(np.abs(before - after) > 0.01)
