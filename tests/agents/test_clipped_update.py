"""PPO's update against a slow one, its early stop, and what its entropy bonus does."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from expol_tf.agents import ClippedUpdate
from expol_tf.errors import ConfigurationError
from expol_tf.objectives import SCALINGS, scale_advantages
from expol_tf.optimizers import MinibatchAdam
from tests.agents.slow_ppo import LinearGaussianActorNetwork, SlowPpo
from tests.agents.small_agents import built, make_actor, make_batch, perturb, set_values, values_of

COUNT = 60


def make_update(actor, *optimizer, entropy_weight=0.0, max_norm=None, **settings):
    """Returns the update as a function, and its optimizer."""
    adam = MinibatchAdam(*optimizer, max_gradient_norm=max_norm) if optimizer else None
    update = ClippedUpdate(adam, **settings)
    return built(update, actor, entropy_weight), update.optimizer


def run(update, batch, seed=(1, 2), jit_compile=False):
    compiled = tf.function(update[0], jit_compile=jit_compile, autograph=False)
    return {name: float(value) for name, value in compiled(batch, tf.constant(seed)).items()}


def noisy_batch(actor, seed=0, junk=1e3):
    """A batch whose recorded densities are not those of the network; what is not valid is junk."""
    batch = make_batch(actor, COUNT, seed=seed)
    noise = np.random.default_rng(seed + 1).normal(0.0, 0.15, COUNT)
    parts = batch._replace(log_prob=batch.log_prob + noise)._asdict()
    valid = batch.valid.numpy()
    assert 0 < np.sum(~valid) < 20
    for name in ("observation", "action", "log_prob", "advantage"):
        array = np.array(parts[name])
        array[~valid] = junk
        parts[name] = tf.constant(array)
    return type(batch)(**parts)


def assert_same(actor, slow, found, expected):
    assert found == pytest.approx(expected, rel=2e-3, abs=1e-5)
    np.testing.assert_allclose(actor.weights_of_mean, slow.weights, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(actor.log_std, slow.log_std, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("entropy_weight", "max_norm", "clip_range"), [(0.0, None, 0.2), (0.1, 0.3, 0.1)], ids=["plain", "all"]
)
def test_equal_to_the_slow_loop(entropy_weight, max_norm, clip_range):
    actor = LinearGaussianActorNetwork()
    settings = dict(clip_range=clip_range, max_norm=max_norm, entropy_weight=entropy_weight)
    slow = SlowPpo(actor, 0.02, 4, 16, **settings)
    update, _ = make_update(actor, 0.02, 4, 16, **settings)
    compiled = tf.function(update, autograph=False)
    scale = tf.constant(0.7)
    for seed in range(2):  # Adam's moments are kept from update to update.
        batch = noisy_batch(actor, seed)
        found = {name: float(value) for name, value in compiled(batch, tf.constant([seed, 2]), scale).items()}
        assert_same(actor, slow, found, slow.update(batch, [seed, 2], scale))
        assert found["accepted_step_fraction"] == 1.0
        assert 0.0 < found["clip_fraction"] < 1.0 and found["kl"] > 0.003


@pytest.mark.parametrize("max_kl", [0.02, 0.05])
def test_an_early_stop_like_the_slow_loops(max_kl):
    actor = LinearGaussianActorNetwork()
    slow = SlowPpo(actor, 0.02, 10, 16, max_kl=max_kl)
    batch = noisy_batch(actor)
    found = run(make_update(actor, 0.02, 10, 16, max_kl=max_kl), batch)
    expected = slow.update(batch, [1, 2])
    assert 0.0 < expected["accepted_step_fraction"] < 1.0
    assert_same(actor, slow, found, expected)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_an_early_stop_ends_the_steps_compiled_or_not(jit_compile):
    # Whole epochs as minibatches: XLA draws other random numbers from the same seed, so other shuffles.
    actor = LinearGaussianActorNetwork()
    slow = SlowPpo(actor, 0.01, 40, COUNT, max_kl=0.03)
    batch = noisy_batch(actor)
    found = run(make_update(actor, 0.01, 40, COUNT, max_kl=0.03), batch, jit_compile=jit_compile)
    expected = slow.update(batch, [1, 2])
    assert 0.1 < expected["accepted_step_fraction"] < 0.9
    assert_same(actor, slow, found, expected)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_a_minibatch_beyond_the_divergence_moves_nothing(jit_compile):
    actor = LinearGaussianActorNetwork()
    before = values_of(actor.variables)
    update = make_update(actor, 0.02, 10, 16, max_kl=1e-6)
    found = run(update, noisy_batch(actor), jit_compile=jit_compile)
    for variable, value in zip(actor.variables, before, strict=True):
        np.testing.assert_array_equal(variable, value)
    assert int(update[1].optimizer.step) == 0
    assert found["accepted_step_fraction"] == found["surrogate"] == found["kl"] == 0.0
    assert found["gradient_norm"] > 0.0


def test_the_old_densities_are_the_recorded_ones():
    actor = make_actor()
    start = values_of(actor.variables)
    batch = make_batch(actor, COUNT)
    compiled = tf.function(make_update(actor, 1e-4, 1, COUNT)[0], autograph=False)
    results = []
    for change in (tf.zeros([COUNT]), tf.fill([COUNT], 0.1), tf.linspace(-0.3, 0.3, COUNT)):
        set_values(actor.variables, start)
        found = compiled(batch._replace(log_prob=batch.log_prob + change), tf.constant([1, 2]))
        results.append([float(found[name]) for name in ("clip_fraction", "gradient_norm")])
    assert results[0][0] == 0.0 < results[2][0]  # |exp(∓0.3) − 1| > 0.2 at either end.
    # All ratios are smaller by exp(−0.1), and so is the gradient.
    assert results[1][1] == pytest.approx(np.exp(-0.1) * results[0][1], rel=1e-4)


def entropy_of(actor):
    return -float(tf.reduce_mean(make_batch(actor, 4_000, seed=77).log_prob))


@pytest.mark.parametrize("kind", ["gaussian", pytest.param("mixture", marks=pytest.mark.slow), "flow"])
def test_an_entropy_bonus_raises_the_entropy_of_every_squashed_policy(kind):
    actor = make_actor(kind, squash=True)
    perturb(actor, 0.7)
    batch = make_batch(actor, 128, advantage=np.zeros(128))
    before = entropy_of(actor)
    report = run(make_update(actor, 0.02, 4, 32, entropy_weight=0.1), batch)
    # The most there is belongs to the uniform density on the box, 2 log 2.
    assert before + 0.05 < entropy_of(actor) < 2.0 * np.log(2.0)
    assert report["surrogate"] == pytest.approx(0.1 * (entropy_of(actor) - before), rel=0.5)


def test_without_an_entropy_bonus_there_is_nothing_to_gain_from_no_advantage():
    actor = make_actor(squash=True)
    before = values_of(actor.trainable_variables)
    run(make_update(actor, 0.02, 4, 32), make_batch(actor, 128, advantage=np.zeros(128)))
    for variable, value in zip(actor.trainable_variables, before, strict=True):
        np.testing.assert_array_equal(variable, value)


def test_dividing_advantages_and_entropy_together_changes_no_step():
    # Adam does not see a common factor, here of 1/50.
    actor = LinearGaussianActorNetwork()
    batch = make_batch(actor, COUNT)
    update, optimizer = make_update(actor, 0.02, 3, 16, entropy_weight=20.0)
    compiled = tf.function(update, autograph=False)
    variables = [*actor.variables, *optimizer.optimizer.variables]
    start = values_of(variables)
    ends = {}
    for scaling in SCALINGS:
        set_values(variables, start)
        scaled = scale_advantages(50.0 * batch.advantage, batch.valid, scaling)
        given = batch._replace(advantage=scaled.advantage)
        compiled(given, tf.constant([1, 2]), scaled.entropy_scale)
        ends[scaling] = np.concatenate([np.ravel(value) for value in values_of(actor.variables)])
    np.testing.assert_allclose(ends["standardize_all"], ends["center"], atol=1e-4)
    assert np.abs(ends["standardize"] - ends["center"]).max() > 0.02


def test_a_second_build_is_refused():
    with pytest.raises(ConfigurationError, match="MinibatchAdam: it holds the moments of one network"):
        update = ClippedUpdate()
        for _ in range(2):
            built(update, make_actor())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"clip_range": 0.0}, "ClippedUpdate.clip_range must be positive; got 0.0"),
        ({"max_kl": -0.1}, "ClippedUpdate.max_kl must be positive or None; got -0.1"),
    ],
)
def test_settings_outside_their_rule_are_refused(settings, message):
    with pytest.raises(ConfigurationError, match=message):
        make_update(make_actor(), **settings)
