"""The blackbox policy: noise of weights and dropout, against networks drawn one by one."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from tf_agents.specs import tensor_spec

from expol_tf.distributions import PointMass, capabilities, greedy_action, split_squash
from expol_tf.errors import ConfigurationError, SpaceError
from expol_tf.networks import EpisodeNetwork, NoisyActorNetwork
from expol_tf.random.generators import standard_normal
from expol_tf.testing.assertions import perturbed

OBSERVATION = tensor_spec.TensorSpec([3], tf.float32)
LOW, HIGH = np.array([-0.4, 0.0]), np.array([0.4, 10.0])
ACTION = tensor_spec.BoundedTensorSpec([2], tf.float32, LOW, HIGH)
STATES = tf.constant(np.random.default_rng(0).standard_normal([4, 3]), tf.float32)
SAME = tf.tile(STATES[:1], [4, 1])
SEED = tf.constant([0, 1])
NOISES = pytest.mark.parametrize("noise", ["per_sample", "per_batch", "per_episode"])


@pytest.fixture(autouse=True)
def _seeded():
    tf.keras.utils.set_random_seed(0)


def make(noise="per_sample", hidden_units=(5, 4), **settings):
    return NoisyActorNetwork(OBSERVATION, ACTION, hidden_units, noise, **settings)


def latent(network, states=STATES):
    """The distribution of u, before the squash."""
    return split_squash(network(states)[0])[0]


def layers(network):
    """(μ_W, μ_b, σ_W, σ_b) of each dense layer, and (g, o) of each norm."""
    values = [variable.numpy().astype(np.float64) for variable in network.variables]
    dense = [values[4 * index : 4 * index + 4] for index in range(3)]
    norms = [values[12:14], values[14:16]]
    return [(w, b, np.log1p(np.exp(p)), np.log1p(np.exp(q))) for w, b, p, q in dense], norms


def normalized(x, gain, offset):
    centred = x - x.mean(-1, keepdims=True)
    return gain * centred / np.sqrt(np.square(centred).mean(-1, keepdims=True) + 1e-3) + offset


def slow_forward(network, states, dense, keep):
    """u `[..., A]`, by a function of (x, μ_W, μ_b, σ_W, σ_b, index) for a layer, and what dropout leaves."""
    weights, norms = layers(network)
    x = states
    for index in range(2):
        x = np.maximum(normalized(dense(x, *weights[index], index), *norms[index]), 0.0)
    return dense(x * keep, *weights[2], 2)


def slow_sample(network, states, noise, dropout=0.3):
    """u `[S, B, A]` of a number for each weight `[S, B, W]`: a network for every sample of every row."""
    keep = (noise[..., :4] > tfp.distributions.Normal(0.0, 1.0).quantile(dropout).numpy()) / (1 - dropout)
    start, drawn = 4, []
    for inputs, units in ((3, 5), (5, 4), (4, 2)):
        kernel = noise[..., start : start + inputs * units].reshape([*noise.shape[:2], inputs, units])
        start += inputs * units
        drawn.append((kernel, noise[..., start : start + units]))
        start += units

    def dense(x, w, b, w_std, b_std, index):
        kernel, bias = drawn[index]
        return np.einsum("sri,sriu->sru", x, w + w_std * kernel) + b + b_std * bias

    return slow_forward(network, np.broadcast_to(states, [*noise.shape[:2], 3]), dense, keep)


def noise_of(network, *shape):
    return standard_normal(tf.constant(shape), tfp.random.sanitize_seed(SEED, salt="implicit")).numpy()


W = 4 + 3 * 5 + 5 + 5 * 4 + 4 + 4 * 2 + 2


def test_weights_for_a_batch_are_one_draw():
    network = make("per_batch", dropout=0.3, initial_rho=-1.0)
    with perturbed(network.trainable_variables, 0.3, seed=0):
        u = latent(network).sample(3, seed=SEED)
        noise = np.broadcast_to(noise_of(network, 3, 1, W), [3, 4, W])
        np.testing.assert_allclose(u, slow_sample(network, STATES.numpy(), noise), rtol=1e-3, atol=1e-4)
    draw = tf.function(lambda: network(STATES)[0].sample(7, seed=SEED), autograph=False)
    graph = draw.get_concrete_function().graph
    draws = [op.outputs[0].shape for op in graph.get_operations() if "RandomUniform" in op.type]
    assert draws == [[2, (7 * W + 1) // 2]]  # Memory and time of one network for a sample.


def test_weights_for_an_episode_are_given():
    network = make("per_episode", dropout=0.3, initial_rho=-1.0)
    assert network.episode_noise_size == W
    for noise in ("per_sample", "per_batch"):
        assert make(noise).episode_noise_size == 0
    with perturbed(network.trainable_variables, 0.3, seed=0):
        noise = tf.random.stateless_normal([4, W], SEED)
        policy = network.for_episode(STATES, noise)
        assert isinstance(policy, PointMass)
        u = slow_sample(network, STATES.numpy(), noise.numpy()[np.newaxis])[0]
        expected = (LOW + HIGH) / 2 + (HIGH - LOW) / 2 * np.tanh(u)
    np.testing.assert_allclose(policy.sample(seed=SEED), expected, rtol=1e-3, atol=1e-4)
    annotated: EpisodeNetwork = network
    assert annotated.episode_noise_size == W


@pytest.mark.parametrize("noise", ["per_sample", "per_episode"])
def test_the_local_form_is_a_function_of_a_number_for_each_output(noise):
    network = make(noise, dropout=0.3, initial_rho=-1.0)
    with perturbed(network.trainable_variables, 0.3, seed=0):
        u = latent(network).sample(3, seed=SEED)
        mask, *parts = np.split(noise_of(network, 3, 4, 4 + 5 + 4 + 2), [4, 9, 13], axis=-1)

        def dense(x, w, b, w_std, b_std, index):
            variance = np.square(x) @ np.square(w_std) + np.square(b_std)
            return x @ w + b + np.sqrt(variance) * parts[index]

        keep = (mask > -0.5244005) / 0.7
        expected = slow_forward(network, STATES.numpy(), dense, keep)
    np.testing.assert_allclose(u, expected, rtol=1e-3, atol=1e-4)


def test_the_local_form_has_the_distribution_of_networks_drawn_for_each_row():
    network = make(dropout=0.3, initial_rho=-1.0)
    states, count = tf.gather(STATES, [0, 0, 1]), 6000
    generator = np.random.default_rng(0)
    with perturbed(network.trainable_variables, 0.3, seed=0):
        slow = slow_sample(network, states.numpy(), generator.standard_normal([count, 3, W]))
        fast = latent(network, states).sample(count, seed=SEED).numpy()
    slow, fast = slow.reshape(count, 6), fast.reshape(count, 6)
    std = slow.std(0)
    # About four standard errors of a difference; the tails are heavier than a Gaussian's.
    np.testing.assert_allclose((fast.mean(0) - slow.mean(0)) / std, np.zeros(6), atol=0.075)
    scale = np.outer(std, std)
    np.testing.assert_allclose(np.cov(fast.T) / scale, np.cov(slow.T) / scale, atol=0.12)
    quantiles = [0.05, 0.25, 0.5, 0.75, 0.95]
    np.testing.assert_allclose(
        np.quantile(fast, quantiles, 0) / std, np.quantile(slow, quantiles, 0) / std, atol=0.15
    )
    # Rows are independent, those of equal observations too, and an action's components are not.
    correlation = np.corrcoef(fast.T)
    for row, other in ((0, 1), (0, 2), (1, 2)):
        block = correlation[2 * row : 2 * row + 2, 2 * other : 2 * other + 2]
        np.testing.assert_allclose(block, np.zeros([2, 2]), atol=4 / count**0.5)
    # u₀ and u₁ share hidden noise, so they are dependent even where their correlation is small.
    squares = np.corrcoef(np.square(fast - fast.mean(0)).T)
    assert max(abs(correlation[0, 1]), abs(squares[0, 1])) > 0.1


@NOISES
@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_noise_differs_between_rows_unless_it_is_for_a_batch(noise, dropout):
    actions = make(noise, dropout=dropout)(SAME)[0].sample(50, seed=SEED).numpy()
    between_rows, between_samples = np.ptp(actions, axis=1), np.ptp(actions, axis=0)
    assert (between_samples > 1e-3).all()
    if noise == "per_batch":
        np.testing.assert_allclose(between_rows, np.zeros([50, 2]), atol=1e-6)
    else:
        assert (between_rows > 0).mean() > 0.9 and (np.mean(between_rows, axis=0) > 1e-3).all()


@NOISES
def test_every_variable_receives_a_gradient(noise):
    network = make(noise)
    assert len(network.trainable_variables) == 3 * 4 + 2 * 2
    with tf.GradientTape() as tape:
        u = latent(network).sample(32, seed=SEED)
    for variable, gradient in zip(
        network.trainable_variables, tape.gradient(u, network.trainable_variables), strict=True
    ):
        assert np.isfinite(gradient).all() and np.any(gradient != 0), variable.name
    assert len(make(layer_norm=False).variables) == 3 * 4


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_features_are_dropped_at_the_rate(rate):
    count = 20_000
    network = make(hidden_units=(1,), dropout=rate, initial_rho=-100.0, layer_norm=False, activation="linear")
    policy = latent(network, STATES[:1])
    u = policy.sample(count, seed=SEED).numpy()[:, 0]
    # The output layer's bias is 0, and greedily nothing is dropped.
    kept = np.abs(u[:, 0]) > 1e-6
    np.testing.assert_allclose(np.mean(~kept), rate, atol=4 * (rate * (1 - rate) / count) ** 0.5)
    np.testing.assert_allclose(
        u[kept], np.tile(greedy_action(policy) / (1 - rate), [kept.sum(), 1]), rtol=1e-4
    )


def modes(samples):
    """Local maxima of a histogram that rise above what noise makes."""
    counts, _ = np.histogram(samples, bins=60, range=(-1.0, 1.0))
    smooth = np.convolve(counts, [0.25, 0.5, 0.25], "same")
    padded = np.pad(smooth, 1)
    return int(np.sum((smooth > padded[:-2]) & (smooth >= padded[2:]) & (smooth > 0.02 * samples.size)))


@pytest.mark.parametrize(("dropout", "expected"), [(0.5, 4), (0.0, 1)])
def test_dropout_makes_modes(dropout, expected):
    action = tensor_spec.BoundedTensorSpec([1], tf.float32, -1.0, 1.0)
    network = NoisyActorNetwork(
        OBSERVATION, action, (2,), initial_rho=-3.5, dropout=dropout, layer_norm=False, activation="linear"
    )
    # Features of 1 that the state does not move, of which the action's is a sum.
    for variable, value in zip(network.variables[:2], (np.zeros([3, 2]), np.ones(2)), strict=True):
        variable.assign(value)
    network.variables[4].assign([[0.6], [-0.35]])
    actions = network(STATES[:1])[0].sample(20_000, seed=SEED).numpy().ravel()
    # tanh of 0, 1.2, −0.7 and 0.5, a quarter of the time each.
    assert modes(actions) == expected


@NOISES
def test_the_deterministic_limit(noise):
    network = make(noise, initial_rho=-100.0, dropout=0.0)
    actions = network(STATES)[0].sample(5, seed=SEED)
    greedy = greedy_action(network(STATES)[0])
    np.testing.assert_allclose(actions, np.tile(greedy, [5, 1, 1]), rtol=1e-4, atol=1e-6)
    # Greedy actions know neither noise nor dropout. Both are the same function of the mean weights.
    noisy = make(noise, initial_rho=0.0, dropout=0.9)
    for index, (target, source) in enumerate(zip(noisy.variables, network.variables, strict=True)):
        if index >= 12 or index % 4 < 2:  # All but ρ.
            target.assign(source)
    np.testing.assert_allclose(greedy_action(noisy(STATES)[0]), greedy, rtol=1e-4, atol=1e-6)


def test_the_greedy_u_is_the_mean_over_masks():
    """The output layer is linear and dropout is scaled up."""
    network = make(initial_rho=-100.0, dropout=0.5)
    policy = latent(network)
    u = policy.sample(20_000, seed=SEED).numpy()
    error = u.std(0) / 20_000**0.5
    np.testing.assert_allclose((u.mean(0) - greedy_action(policy)) / error, np.zeros([4, 2]), atol=4.0)


@NOISES
@pytest.mark.parametrize(("rho", "dropout"), [(-1e30, 0.0), (-6.0, 0.9), (10.0, 0.9), (10.0, 1 - 1e-12)])
def test_nothing_is_nan_at_the_ends_of_the_ranges(noise, rho, dropout):
    network = make(noise, initial_rho=rho, dropout=dropout)
    states = tf.stack([tf.zeros([3]), tf.fill([3], 1e4), tf.constant([0.0, 1e-20, 0.0])])
    with tf.GradientTape() as tape:
        action = network(states)[0].sample(8, seed=SEED)
    for each in (action, *tape.gradient(action, network.trainable_variables)):
        assert np.isfinite(each).all()
    assert np.isfinite(greedy_action(network(states)[0])).all()


@pytest.mark.parametrize("sizes", [(1, 1), (3, 1), (17, 6), (300, 17)])
def test_a_new_policy_is_broad_whatever_the_sizes(sizes):
    network = NoisyActorNetwork(
        tensor_spec.TensorSpec([sizes[0]], tf.float32),
        tensor_spec.BoundedTensorSpec([sizes[1]], tf.float32, -1.0, 1.0),
    )
    states = tf.random.stateless_normal([16, sizes[0]], SEED)
    policy = latent(network, states)
    assert 0.4 < np.mean(np.std(policy.sample(500, seed=SEED), axis=0)) < 1.2
    # And its features know more than the direction of an observation.
    farther = greedy_action(latent(network, 3.0 * states)) - greedy_action(policy)
    assert np.mean(np.abs(farther)) > 0.004


@NOISES
def test_a_part_of_the_batch_is_a_policy(noise):
    policy = make(noise)(STATES)[0]
    for part, batch in ((policy[1:3], [2]), (policy[0], []), (policy[tf.newaxis, 1:3], [1, 2])):
        for shape in ((), (3,), (5, 3)):
            assert part.sample(shape, seed=SEED).shape == [*shape, *batch, 2]
    np.testing.assert_allclose(greedy_action(policy[2]), greedy_action(policy)[2], rtol=1e-5)
    assert "log_prob" not in capabilities(policy) and "reparameterized_sample" in capabilities(policy)


@NOISES
def test_a_seed_decides(noise):
    network = make(noise)
    first, again, other = (network(STATES)[0].sample(3, seed=seed) for seed in (SEED, SEED, SEED + 1))
    np.testing.assert_array_equal(first, again)
    assert np.all(first != other)


@pytest.mark.parametrize("noise", ["per_sample", "per_batch"])
def test_xla_compiles_it(noise):
    network = make(noise)
    signature = [tf.TensorSpec([None, 3]), tf.TensorSpec([2], tf.int32)]

    @tf.function(autograph=False, jit_compile=True, input_signature=signature)
    def act(states, seed):
        policy = network(states)[0]
        return policy.sample(3, seed=seed), greedy_action(policy)

    action, greedy = act(STATES, SEED)
    assert action.shape == [3, 4, 2] and (action > LOW).numpy().all() and (action < HIGH).numpy().all()
    assert (np.ptp(action, axis=0) > 0).all()
    np.testing.assert_allclose(greedy, greedy_action(network(STATES)[0]), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (dict(hidden_units=()), "hidden_units must name one layer size or more; got \\(\\)"),
        (dict(hidden_units=(8, 0)), "hidden_units .*; got \\(8, 0\\)"),
        (dict(noise="per_state"), "noise must be one of .*per_episode.*; got 'per_state'"),
        (dict(dropout=1.0), "dropout must be 0 or more and less than 1; got 1.0"),
        (dict(dropout=-0.1), "dropout must .*; got -0.1"),
        (dict(dropout=float("nan")), "dropout must .*; got nan"),
        (dict(initial_rho=float("inf")), "initial_rho must be"),
    ],
)
def test_a_wrong_setting_is_named(arguments, words):
    with pytest.raises(ConfigurationError, match=words):
        make(**arguments)


def test_an_unbounded_action_is_refused():
    make_ = functools.partial(NoisyActorNetwork, OBSERVATION)
    with pytest.raises(SpaceError, match="finite bounds"):
        make_(tensor_spec.BoundedTensorSpec([2], tf.float32, -np.inf, 1.0))


def test_an_episode_network_with_a_misspelt_method_is_refused():
    class Misspelt(EpisodeNetwork):
        """Has `in_episode` where `for_episode` is meant."""

        def __init__(self):
            super().__init__(OBSERVATION, state_spec=(), name="Misspelt")

        episode_noise_size = 3

        def in_episode(self, observation, noise):
            return PointMass(observation)

    with pytest.raises(TypeError, match="abstract.*for_episode"):
        Misspelt()
