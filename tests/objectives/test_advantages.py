"""Advantages against slow loops, over both kinds of episode end and over boundary frames."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from expol_tf.errors import ConfigurationError
from expol_tf.objectives import AdvantageEstimation, generalized_advantages, scale_advantages

GAMMA, LAMBDA = 0.9, 0.7


def slow_advantages(reward, discount, value, next_value, episode_end, gamma, gae_lambda):
    """The definition as a double sum: Σ_l (γλ)^l δ_{t+l}, up to the end of t's episode or of the rollout."""
    batch, time = reward.shape
    result = np.zeros((batch, time))
    for b in range(batch):
        for t in range(time):
            for later in range(t, time):
                bootstrap = gamma * discount[b, later] * next_value[b, later]
                delta = reward[b, later] + bootstrap - value[b, later]
                result[b, t] += (gamma * gae_lambda) ** (later - t) * delta
                if episode_end[b, later]:
                    break
    return result


def random_rollout(batch=5, time=40, seed=0):
    """Transitions in which about a fifth end an episode, half of those by termination."""
    generator = np.random.default_rng(seed)
    end = generator.uniform(size=(batch, time)) < 0.2
    terminated = end & (generator.uniform(size=(batch, time)) < 0.5)
    assert terminated.any() and (end & ~terminated).any()
    reward, value, next_value = generator.normal(size=(3, batch, time))
    return reward, np.where(terminated, 0.0, 1.0), value, next_value, end


@pytest.mark.parametrize(("gamma", "gae_lambda"), [(GAMMA, LAMBDA), (0.99, 0.98), (1.0, 1.0), (0.9, 0.0)])
def test_equal_to_the_slow_loop(gamma, gae_lambda):
    for seed in range(5):
        rollout = random_rollout(seed=seed)
        fast = generalized_advantages(*map(tf.constant, rollout), gamma, gae_lambda)
        np.testing.assert_allclose(fast, slow_advantages(*rollout, gamma, gae_lambda), rtol=1e-12, atol=1e-12)


def test_float32_in_a_compiled_graph():
    rollout = [array.astype(np.float32) if array.dtype == np.float64 else array for array in random_rollout()]
    compiled = tf.function(generalized_advantages, jit_compile=True, autograph=False)
    fast = compiled(*map(tf.constant, rollout), GAMMA, LAMBDA)
    np.testing.assert_allclose(fast, slow_advantages(*rollout, GAMMA, LAMBDA), rtol=1e-4, atol=1e-5)


def frames_of_episodes(generator, lengths, terminated):
    """One environment's frames, with one after each episode's last, and each episode's own advantages."""
    frames, expected = [], []
    for length, terminal in zip(lengths, terminated, strict=True):
        reward = generator.normal(size=length)
        values = generator.normal(size=length + 1)  # V(s) of its states, the final one included.
        discount = np.ones(length)
        discount[-1] = 0.0 if terminal else 1.0
        end = np.zeros(length, bool)
        end[-1] = True
        episode = (reward, discount, values[:-1], values[1:], end)
        alone = slow_advantages(*(part[np.newaxis] for part in episode), GAMMA, LAMBDA)[0]
        expected += [*alone, np.nan]
        frames += [*zip(*episode, strict=True)]
        # What stands between two episodes is no transition: anything finite may be written in it.
        frames.append((100.0, 1.0, values[-1], -50.0, False))
    return [np.array(column) for column in zip(*frames, strict=True)], np.array(expected)


def test_boundary_frames_keep_episodes_apart():
    generator = np.random.default_rng(3)
    lengths, kinds = [4, 1, 7, 2], [True, False, False, True]
    rows = [frames_of_episodes(generator, lengths[i:] + lengths[:i], kinds[i:] + kinds[:i]) for i in range(4)]
    columns = [np.stack(column) for column in zip(*(frames for frames, _ in rows), strict=True)]
    expected = np.stack([advantages for _, advantages in rows])
    valid = np.isfinite(expected)
    assert (~valid).sum() == 16
    found = generalized_advantages(*columns, GAMMA, LAMBDA).numpy()
    np.testing.assert_allclose(found[valid], expected[valid], rtol=1e-12)


@pytest.mark.parametrize(("discount_at_end", "limit"), [(1.0, 10.0), (0.0, None)])
def test_value_iteration_of_a_truncated_state_finds_the_infinite_sum(discount_at_end, limit):
    # One state, reward 1, episodes of 5 steps: truncation must not hide the rewards that would have followed.
    end = tf.constant([[False, False, False, False, True] * 4])
    discount = tf.where(end, discount_at_end, 1.0)
    value = 0.0
    for _ in range(200):
        constant = tf.fill([1, 20], tf.cast(value, tf.float32))
        values = (constant, constant)
        advantage = generalized_advantages(tf.ones([1, 20]), discount, *values, end, GAMMA, LAMBDA)
        value = float(tf.reduce_mean(advantage + constant))
    if limit is None:
        assert value < 5.0  # At most 1 + γ + … + γ⁴ = 4.1 for the first of five.
    else:
        assert value == pytest.approx(limit, rel=1e-4)


def test_a_shape_that_would_broadcast_is_refused():
    reward, discount, value, next_value, end = random_rollout()
    with pytest.raises(ValueError, match=r"value must have reward.s shape .* = \(5, 40\); got \(5, 1\)"):
        generalized_advantages(reward, discount, value[:, :1], next_value, end, GAMMA, LAMBDA)
    with pytest.raises(ValueError, match=r"reward must be \[B, T\]"):
        generalized_advantages(reward[0], discount[0], value[0], next_value[0], end[0], GAMMA, LAMBDA)


@pytest.mark.parametrize(("gamma", "gae_lambda", "name"), [(1.1, 0.5, "gamma"), (0.5, -0.1, "gae_lambda")])
def test_a_discount_outside_its_range_is_refused(gamma, gae_lambda, name):
    with pytest.raises(ConfigurationError, match=rf"{name} must lie in \[0, 1\]"):
        generalized_advantages(*random_rollout(), gamma, gae_lambda)


@pytest.mark.parametrize("scaling", ["standardize", "center", "standardize_all"])
def test_scaling_is_over_valid_frames(scaling):
    generator = np.random.default_rng(0)
    valid = generator.uniform(size=(6, 9)) < 0.7
    advantages = np.where(valid, generator.normal(3.0, 5.0, (6, 9)), np.nan)
    chosen = advantages[valid]
    expected = chosen - chosen.mean()
    if scaling != "center":
        expected /= chosen.std()
    scaled, entropy_scale = scale_advantages(tf.constant(advantages), tf.constant(valid), scaling)
    scaled = scaled.numpy()
    np.testing.assert_allclose(scaled[valid], expected, rtol=1e-6)
    np.testing.assert_array_equal(scaled[~valid], 0.0)
    # Objectives Â + βH and (Â + βH)/d have the same optimum, Â/d + βH another.
    expected_scale = 1.0 / chosen.std() if scaling == "standardize_all" else 1.0
    assert float(entropy_scale) == pytest.approx(expected_scale)


def test_equal_advantages_scale_to_zero():
    scaled = scale_advantages(tf.fill([8], 2.5), tf.fill([8], True), "standardize").advantage
    np.testing.assert_array_equal(scaled, 0.0)


@pytest.mark.parametrize(("weight", "like"), [(0.0, "standardize"), (0.5, "center")])
def test_the_automatic_scaling_leaves_the_reward_its_weight_against_entropy(weight, like):
    generator = np.random.default_rng(1)
    advantages, valid = tf.constant(generator.normal(size=12)), tf.constant(generator.uniform(size=12) < 0.8)
    automatic = AdvantageEstimation().scale(advantages, valid, weight)
    given = AdvantageEstimation(scaling=like).scale(advantages, valid, weight)
    np.testing.assert_array_equal(automatic.advantage, given.advantage)


def test_an_unknown_scaling_is_refused():
    with pytest.raises(ConfigurationError, match="must be one of .*standardize.*got 'whiten'"):
        scale_advantages(tf.zeros([3]), tf.fill([3], True), "whiten")


@pytest.mark.parametrize("scaling", ["standardize", "center", "standardize_all"])
def test_a_scaling_that_is_asked_for_is_used_whatever_the_entropys_weight(scaling):
    generator = np.random.default_rng(1)
    advantages, valid = tf.constant(generator.normal(0.0, 3.0, 12)), tf.fill([12], True)
    expected = scale_advantages(advantages, valid, scaling)
    for weight in (0.0, 0.5):
        found = AdvantageEstimation(scaling=scaling).scale(advantages, valid, weight)
        np.testing.assert_array_equal(found.advantage, expected.advantage)
        assert float(found.entropy_scale) == float(expected.entropy_scale)


def test_scaling_all_forgets_the_unit_of_the_reward():
    # Rewards and β in another unit are the same task; with "standardize_all" the same numbers come out.
    generator = np.random.default_rng(2)
    advantages, valid = generator.normal(0.0, 3.0, 12), tf.fill([12], True)
    results = []
    for unit in (1.0, 1000.0):
        advantage, entropy_scale = scale_advantages(tf.constant(unit * advantages), valid, "standardize_all")
        results.append([*advantage.numpy(), unit * float(entropy_scale)])
    np.testing.assert_allclose(*results, rtol=1e-6)
