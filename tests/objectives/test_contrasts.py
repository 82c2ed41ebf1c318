"""The actions that a discriminator tells apart: where Langevin steps bring them, against slow references."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from tf_agents.specs import tensor_spec

from expol_tf.bijectors import Squash
from expol_tf.errors import CapabilityError, ConfigurationError
from expol_tf.networks import FlowActorNetwork, GaussianActorNetwork, NoisyActorNetwork, SamplingActorNetwork
from expol_tf.objectives import langevin_particles, uniform_actions
from expol_tf.samplers import langevin

tfd = tfp.distributions

OBSERVATION = tensor_spec.TensorSpec([3], tf.float32)
WIDE = tensor_spec.BoundedTensorSpec([2], tf.float32, [-0.4, 0.0], [0.4, 10.0])
MIDDLE, HALF = np.array([0.0, 5.0]), np.array([0.4, 5.0])
UNIT = tensor_spec.BoundedTensorSpec([1], tf.float32, -1.0, 1.0)
SEED = tf.constant([1, 2])

particles = functools.partial(langevin_particles, langevin=langevin)


def states(count):
    return tf.constant(np.random.default_rng(0).standard_normal([count, 3]), tf.float32)


def squashed(box, loc=0.0, scale=0.5):
    """The same policy in all states."""

    def policy(observation):
        shape = [observation.shape[0], *box.shape]
        latent = tfd.Independent(tfd.Normal(loc * tf.ones(shape), scale), 1)
        return tfd.TransformedDistribution(latent, Squash(box))

    return policy


def flat(observation, action):
    """Q = 0, of two critics."""
    return tf.zeros_like(tf.concat([action[..., :1]] * 2, axis=-1)) * tf.reduce_sum(action)


def concave(observation, action):
    """Two critics, of which the first is the larger."""
    scaled = (action - tf.constant(MIDDLE, tf.float32)) / tf.constant(HALF, tf.float32)
    q = -tf.reduce_sum(tf.square(scaled - 0.3), axis=-1, keepdims=True)
    return tf.concat([q, 3.0 * q - 1.0], axis=-1)


def given(score, num_steps=1, step_size=1.0):
    """A sampler that takes a plain step and remembers the score there."""
    seen = []

    def sampler(u, score_fn, num_steps, step_size, seed):
        seen.append((u.numpy(), score_fn(u).numpy()))
        return langevin(u, score_fn, num_steps, step_size, noise=False)

    return sampler, seen


@pytest.mark.parametrize("box", [UNIT, WIDE], ids=["unit", "wide"])
def test_the_score_of_the_squash(box):
    sampler, seen = given(None)
    langevin_particles(
        states(200), squashed(box, scale=3.0), flat, tf.constant(0.7), SEED, box=box, langevin=sampler
    )
    ((u, score),) = seen
    assert np.abs(u).max() > 5
    np.testing.assert_allclose(score, -2 * np.tanh(u), atol=1e-6)


@pytest.mark.parametrize("reduction", ["first", "min", "mean"])
def test_the_score_of_values(reduction):
    sampler, seen = given(None)
    found = langevin_particles(
        states(50),
        squashed(WIDE),
        concave,
        tf.constant(0.25),
        SEED,
        box=WIDE,
        langevin=sampler,
        num_steps=1,
        step_size=1e-3,
        reduction=reduction,
    )
    ((u, score),) = seen
    weight = {"first": 1.0, "min": 3.0, "mean": 2.0}[reduction]
    x = np.tanh(u)
    slope = -2 * weight * (x - 0.3) / 0.25 * (1 - x**2) - 2 * x
    np.testing.assert_allclose(score, slope, rtol=1e-4, atol=1e-4)
    moved = MIDDLE + HALF * np.tanh(u + 1e-3 * slope)
    np.testing.assert_allclose(found.policy_action, (MIDDLE + HALF * x)[:, 0], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found.other_action, moved[:, 0], rtol=1e-5, atol=1e-5)
    gain = -weight * (np.square(np.tanh(u + 1e-3 * slope) - 0.3) - np.square(x - 0.3)).sum(-1).mean()
    assert float(found.metrics["particle_q_gain"]) == pytest.approx(gain, rel=0.01)
    displacement = 1e-3 * np.sqrt(np.square(slope).mean())
    assert float(found.metrics["particle_displacement"]) == pytest.approx(displacement, rel=1e-3)


def test_particles_against_a_slow_loop():
    """K steps with the noise of the same seeds, drawn by hand."""
    observation, alpha, eta, num_steps = states(7), 0.4, 0.03, 4
    found = particles(
        observation,
        squashed(WIDE, loc=0.2),
        concave,
        tf.constant(alpha),
        SEED,
        box=WIDE,
        num_steps=num_steps,
        step_size=eta,
    )
    sample_seed, noise_seed = tf.unstack(tf.random.experimental.stateless_split(SEED, 2))
    start = squashed(WIDE, loc=0.2)(observation).distribution.sample(seed=sample_seed).numpy()
    u = start.astype(np.float64)
    for k in range(num_steps):
        noise = tf.random.stateless_normal(
            [7, 1, 2], tf.random.experimental.stateless_fold_in(noise_seed, k)
        ).numpy()[:, 0]
        for i in range(7):
            for j in range(2):
                x = np.tanh(u[i, j])
                drift = -6 * (x - 0.3) / alpha * (1 - x**2) - 2 * x  # "min" takes the second critic.
                u[i, j] += eta * drift + np.sqrt(2 * eta) * noise[i, j]
    np.testing.assert_allclose(found.policy_action, MIDDLE + HALF * np.tanh(start), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found.other_action, MIDDLE + HALF * np.tanh(u), rtol=1e-4, atol=1e-5)
    rms = np.sqrt(np.mean((u - start) ** 2))
    assert float(found.metrics["particle_displacement"]) == pytest.approx(rms, rel=1e-4)
    q = [3 * -np.square(np.tanh(each) - 0.3).sum(-1) - 1 for each in (start, u)]
    assert float(found.metrics["particle_q_gain"]) == pytest.approx((q[1] - q[0]).mean(), rel=1e-3)


def test_a_long_run_reaches_the_target():
    """Q chosen such that u of exp(Q/α) is standard normal: Q = α·(−u²/2 − log squash′(u))."""
    alpha = 0.3

    def critic(observation, action):
        u = tf.atanh(tf.clip_by_value(action, -0.999999, 0.999999))
        return alpha * (-0.5 * tf.square(u) - tf.math.log1p(-tf.square(tf.tanh(u))))

    @tf.function(autograph=False)
    def run():
        return particles(
            states(20_000),
            squashed(UNIT, loc=1.0, scale=0.2),
            critic,
            tf.constant(alpha),
            SEED,
            box=UNIT,
            num_steps=120,
            step_size=0.04,
        ).other_action

    u = np.arctanh(np.clip(run().numpy(), -0.9999999, 0.9999999))
    # The discretized dynamics' own is 1/(1 − η/2) = 1.02.
    assert np.var(u) == pytest.approx(1.0, abs=0.05) and np.mean(u) == pytest.approx(0.0, abs=0.03)


def test_langevin_on_a_standard_normal():
    run = tf.function(lambda u: langevin(u, lambda u: -u, 150, 0.03, seed=4).particles, autograph=False)
    u = run(tf.fill([20_000, 1, 1], 2.0)).numpy()
    assert np.var(u) == pytest.approx(1.0, abs=0.05) and np.mean(u) == pytest.approx(0.0, abs=0.05)


def test_how_far_noise_alone_moves():
    """By √(2Kη), 0.055 with the defaults, where neither Q nor the squash has a slope."""

    def against_the_squash(observation, action):
        x = (action - MIDDLE.astype(np.float32)) / HALF.astype(np.float32)
        return -tf.reduce_sum(tf.math.log1p(-tf.square(x)), axis=-1, keepdims=True)

    call = functools.partial(
        particles, states(4000), squashed(WIDE, scale=0.3), against_the_squash, tf.constant(1.0), SEED
    )
    for settings, expected in (({}, 0.0548), (dict(num_steps=2, step_size=0.01), 0.2)):
        displacement = call(box=WIDE, **settings).metrics["particle_displacement"]
        assert float(displacement) == pytest.approx(expected, rel=0.03)


def test_particles_climb():
    # Far from the best action, where steps with little noise climb.
    gain = {}
    for alpha in (0.01, 1.0):
        found = particles(
            states(500), squashed(WIDE, loc=-0.7, scale=0.1), concave, tf.constant(alpha), SEED, box=WIDE
        )
        gain[alpha] = float(found.metrics["particle_q_gain"])
    assert gain[0.01] > 0.2 > gain[1.0] > 0.0


def test_states_that_do_not_count():
    valid = tf.constant([True, False] * 10)
    observation = states(20)
    policy = squashed(WIDE)

    def spoilt(observation, action):
        q = concave(observation, action)
        mask = tf.reshape(tf.cast(valid, tf.float32), [20] + [1] * (q.shape.rank - 1))
        return tf.where(mask > 0, q, 1e6)

    call = functools.partial(
        particles, policy=policy, temperature=tf.constant(0.3), seed=SEED, box=WIDE, step_size=0.02
    )
    kept, spoilt_ones = call(observation, critic=concave), call(observation, critic=spoilt, valid=valid)
    start, end = (np.arctanh((each.numpy() - MIDDLE) / HALF)[::2] for each in kept[:2])
    assert float(spoilt_ones.metrics["particle_displacement"]) == pytest.approx(
        np.sqrt(np.mean((end - start) ** 2)), rel=1e-3
    )
    q = [concave(None, each).numpy().min(axis=-1)[::2] for each in kept[:2]]
    assert float(spoilt_ones.metrics["particle_q_gain"]) == pytest.approx((q[1] - q[0]).mean(), rel=1e-3)


@pytest.mark.parametrize(
    "make",
    [
        functools.partial(GaussianActorNetwork, squash=True),
        functools.partial(FlowActorNetwork, squash=True, num_transformations=1),
        SamplingActorNetwork,
        NoisyActorNetwork,
    ],
    ids=["Gaussian", "flow", "sampling", "noisy"],
)
def test_any_squashed_policy_and_no_gradient(make):
    actor = make(OBSERVATION, WIDE, hidden_units=(8,))
    with tf.GradientTape(persistent=True) as tape:
        policy = lambda observation: actor(observation)[0]  # noqa: E731
        moved = particles(states(6), policy, concave, tf.constant(0.3), SEED, box=WIDE)
        drawn = uniform_actions(states(6), policy, concave, tf.constant(0.3), SEED, box=WIDE)
        ends = [tf.reduce_sum(each) for each in (*moved[:2], *drawn[:2])]
    # The samples are the policy's, in action units, before and behind the squash alike.
    sample_seed = tf.random.experimental.stateless_split(SEED, 2)[0]
    expected = policy(states(6)).sample(seed=sample_seed).numpy()
    np.testing.assert_allclose(drawn.policy_action, expected, rtol=1e-5, atol=1e-5)
    for each in (*moved[:2], *drawn[:2]):
        assert each.shape == (6, 2) and np.all(np.abs((each - MIDDLE) / HALF) <= 1.0)
    change = np.abs((moved.other_action - moved.policy_action) / HALF).max()
    assert 0.005 < change < 0.5
    for end in ends:
        assert all(each is None for each in tape.gradient(end, actor.trainable_variables))


def test_a_flows_particles_start_at_its_own_actions():
    actor = FlowActorNetwork(OBSERVATION, WIDE, hidden_units=(8,), squash=True, num_transformations=2)
    # Variables off their start, where the flow is near to the identity.
    for index, variable in enumerate(actor.trainable_variables):
        variable.assign_add(0.3 * tf.random.stateless_normal(variable.shape, [5, index]))
    many = tf.tile(states(1), [3000, 1])
    policy = lambda observation: actor(observation)[0]  # noqa: E731
    started = particles(many, policy, concave, tf.constant(0.3), SEED, box=WIDE).policy_action.numpy()
    expected = policy(many).sample(seed=[7, 7]).numpy()
    for own, other in zip(started.T, expected.T, strict=True):
        places = np.linspace(0.05, 0.95, 10)
        spread = np.std(other)
        difference = np.quantile(own, places) - np.quantile(other, places)
        assert np.abs(difference).max() < 0.15 * spread


def test_uniform_actions():
    policy = squashed(WIDE)
    found = uniform_actions(states(5000), policy, flat, tf.constant(0.0), SEED, box=WIDE)
    again = uniform_actions(states(5000), policy, flat, tf.constant(0.0), SEED, box=WIDE)
    other = uniform_actions(states(5000), policy, flat, tf.constant(0.0), tf.constant([1, 3]), box=WIDE)
    np.testing.assert_array_equal(found.other_action, again.other_action)
    assert np.all(found.other_action != other.other_action)
    assert not found.metrics
    x = np.sort((found.other_action.numpy() - MIDDLE) / HALF, axis=0)
    # Kolmogorov's statistic; 1.63/√N is the 1 % quantile.
    grid = np.linspace(0, 1, 5000)[:, np.newaxis]
    assert np.abs((x + 1) / 2 - grid).max() < 1.63 / np.sqrt(5000)
    assert abs(np.corrcoef(found.other_action.numpy().T)[0, 1]) < 0.06


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (dict(num_steps=0), "num_steps must be 1 or more; got 0"),
        (dict(step_size=0.0), "step_size must be positive; got 0.0"),
        (dict(step_size=float("nan")), "step_size must be positive; got nan"),
        (dict(reduction="max"), "reduction must be one of .*got 'max'"),
    ],
)
def test_what_is_refused(settings, words):
    with pytest.raises(ConfigurationError, match=words):
        particles(states(3), squashed(WIDE), concave, tf.constant(1.0), SEED, box=WIDE, **settings)


@pytest.mark.parametrize(
    "policy",
    [
        lambda s: tfd.MultivariateNormalDiag(tf.zeros([3, 2]), tf.ones([2])),
        lambda s: GaussianActorNetwork(OBSERVATION, WIDE, hidden_units=(4,))(s)[0],
        lambda s: FlowActorNetwork(OBSERVATION, WIDE, hidden_units=(4,), num_transformations=1)(s)[0],
    ],
    ids=["Normal", "Gaussian", "flow"],
)
def test_policies_without_a_squash_are_refused(policy):
    with pytest.raises(CapabilityError, match="squashed policy.*squash=True"):
        particles(states(3), policy, concave, tf.constant(1.0), SEED, box=WIDE)


@pytest.mark.parametrize(("weight", "num_steps", "step_size"), [(0.01, 5, 3e-3), (0.1, 20, 0.01)])
def test_the_variance_that_reverse_kl_and_an_entropy_bonus_settle_on(weight, num_steps, step_size):
    """Of a Gaussian, toward a Gaussian of variance 1, as docs/parpi.md has it.

    With the best f held, dKL(π ‖ p)/d log s = s²/v − 1, v the particles' variance, and dH/d log s = 1: the
    fixed point is where s² = (1 + w)v.
    """
    left = np.exp(-2 * num_steps * step_size)
    variance = (1 + weight) * (1 - left) / (1 - (1 + weight) * left)
    assert variance > 1.1 * (1 + weight)  # Not what particles at rest would give.
    start = tf.random.stateless_normal([1_000_000, 1, 1], SEED) * np.sqrt(variance)
    moved = langevin(start, lambda u: -u, num_steps, step_size, seed=tf.constant([3, 4])).particles
    found = float(tf.math.reduce_variance(moved))
    # Steps are not infinitely small, and a variance of a million draws errs by 0.14 %.
    assert (1 + weight) * found == pytest.approx(variance, rel=0.006)
