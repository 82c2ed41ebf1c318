"""The trust-region update of a policy: divergences, entropy and the Fisher matrix's samples."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from expol_tf.agents import OnPolicyAgent, TrustRegionUpdate
from expol_tf.distributions import action_log_prob, sampled_kl
from expol_tf.errors import ConfigurationError
from expol_tf.objectives import importance_surrogate
from expol_tf.optimizers import TrustRegion
from tests.agents.small_agents import (
    built,
    make_actor,
    make_agent,
    make_batch,
    make_rollout,
    set_values,
    values_of,
)


def make_update(actor, *rule, entropy_weight=0.0, entropy_samples=10, kl_estimator="auto", **settings):
    update = TrustRegionUpdate(*rule, **settings)
    return built(update, actor, entropy_weight, entropy_samples, kl_estimator)


def surrogate_of(actor, rollout, advantage):
    log_prob = action_log_prob(
        actor(rollout.observation.reshape(-1, 3))[0],
        rollout.action.reshape(-1, 2),
        rollout.policy_info["pre_squash_action"].reshape(-1, 2),
    )
    old = rollout.policy_info["log_prob"].reshape(-1)
    return float(importance_surrogate(log_prob, old, advantage, rollout.valid.reshape(-1)))


def test_an_accepted_step_improves_the_surrogate_as_reported():
    class RecordingUpdate(TrustRegionUpdate):
        def __call__(self, objective, batch, seed):
            return {**super().__call__(objective, batch, seed), "advantage": batch.advantage}

    actor = make_actor("mixture", squash=True)
    agent = make_agent(actor_network=actor, cls=OnPolicyAgent, policy_update=RecordingUpdate())
    for seed in range(3):
        rollout = make_rollout(agent, seed=seed)
        metrics = agent.train_on_rollout(rollout).extra
        improvement = surrogate_of(actor, rollout, metrics["advantage"]) - float(
            tf.reduce_mean(metrics["advantage"][rollout.valid.reshape(-1)])
        )
        assert float(metrics["accepted_step_fraction"]) > 0.0
        assert improvement > 0.0
        assert float(metrics["surrogate"]) == pytest.approx(improvement, rel=1e-2)


def step(update, batch, seed=(1, 2)):
    return update(batch, tf.constant(seed))  # Without a graph: one step is sooner done than traced.


@pytest.mark.parametrize("estimator", ["k1", "k3"])
def test_a_sampled_divergence_is_close_to_the_exact_one(estimator):
    actor = make_actor()
    start = values_of(actor.trainable_variables)
    batch = make_batch(actor, 20_000)
    exact = step(make_update(actor), batch)
    moved = values_of(actor.trainable_variables)
    set_values(actor.trainable_variables, start)
    sampled = step(make_update(actor, kl_estimator=estimator), batch)
    for found, expected in zip(values_of(actor.trainable_variables), moved, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-5)
    # k1's terms have the deviation √(2δ), about 14 times δ; those of k3 about √2 times δ.
    tolerance = 5 * (15 if estimator == "k1" else 2) / 18_000**0.5
    assert float(sampled["kl"]) == pytest.approx(float(exact["kl"]), rel=tolerance)
    assert float(sampled["kl"]) != float(exact["kl"])


def test_fresh_actions_do_not_flatter_the_step():
    # Few samples for many parameters: at the actions taken the divergence would look small.
    actor = make_actor("flow")
    log_density = tf.function(
        lambda batch: action_log_prob(actor(batch.observation)[0], batch.action), autograph=False
    )
    run = tf.function(make_update(actor, TrustRegion(kl_slack=100.0)), autograph=False)
    start = values_of(actor.trainable_variables)
    at_fresh, at_taken, true = [], [], []
    for seed in range(20):
        set_values(actor.trainable_variables, start)
        batch = make_batch(actor, 100, seed=seed)
        many = make_batch(actor, 5_000, seed=1000 + seed)
        at_fresh.append(float(run(batch, tf.constant([seed, 3]))["kl"]))
        for found, at in ((at_taken, batch), (true, many)):
            terms = sampled_kl(at.log_prob, log_density(at))
            found.append(float(tf.reduce_mean(terms[at.valid])))
    assert np.mean(at_taken) < 0.9 * np.mean(true)
    assert np.mean(at_fresh) == pytest.approx(np.mean(true), rel=0.15)


def test_an_entropy_bonus_raises_the_entropy_of_a_squashed_policy():
    actor = make_actor("gaussian", squash=True)
    batch = make_batch(actor, advantage=np.zeros(400))
    before = values_of(actor.trainable_variables)
    step(make_update(actor), batch)
    np.testing.assert_array_equal(actor._log_std, before[-1])  # Nothing to gain.
    update = make_update(actor, entropy_weight=0.1, entropy_samples=5)
    entropies = []
    for seed in range(3):
        samples = make_batch(actor, 2_000, seed=50 + seed)
        entropies.append(-float(tf.reduce_mean(samples.log_prob)))
        report = step(update, make_batch(actor, advantage=np.zeros(400), seed=seed), [seed, 2])
        assert float(report["accepted_step_fraction"]) > 0.0
    # N(0, 1) squashed is narrower than the uniform density on the box, whose entropy is 2 log 2.
    assert entropies[0] < entropies[1] < entropies[2] < 2.0 * np.log(2.0)


def test_advantages_and_entropy_are_weighed_against_each_other():
    # Wide actions are bad: without a bonus the policy narrows, with a large one it widens.
    actor = make_actor()
    start = values_of(actor.trainable_variables)
    batch = make_batch(actor, 2_000)
    narrow = -tf.reduce_sum(tf.square(batch.action), axis=-1)
    batch = batch._replace(advantage=narrow - tf.reduce_mean(narrow))
    widened = []
    for weight in (0.0, 100.0):
        set_values(actor.trainable_variables, start)
        report = step(make_update(actor, entropy_weight=weight), batch)
        assert float(report["accepted_step_fraction"]) > 0.0
        widened.append(float(tf.reduce_sum(actor._log_std)))
    assert widened[0] < -0.01 and widened[1] > 0.01


def test_every_nth_sample_of_the_fisher_matrix():
    actor = make_actor()
    start = values_of(actor.trainable_variables)
    batch = make_batch(actor, 60)
    third = tf.range(60) % 3 == 0
    # Where only every third sample counts anyway, to leave out the others changes nothing more.
    thinned = batch._replace(valid=tf.logical_and(batch.valid, third))
    steps = []
    for subsample, given in ((3, batch), (1, batch), (3, thinned), (1, thinned)):
        set_values(actor.trainable_variables, start)
        step(make_update(actor, fisher_subsample=subsample), given)
        steps.append(np.concatenate([*map(np.ravel, values_of(actor.trainable_variables))]))
    assert not np.allclose(steps[0], steps[1], rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(steps[2], steps[3], rtol=1e-3, atol=1e-5)


def test_the_fisher_matrix_of_fresh_actions():
    actor = make_actor()
    start = values_of(actor.trainable_variables)

    def steps(batch, *updates):
        for update in updates:
            set_values(actor.trainable_variables, start)
            step(update, batch)
            moved = values_of(actor.trainable_variables)
            yield np.concatenate([np.ravel(new - old) for new, old in zip(moved, start, strict=True)])

    taken = make_update(actor)
    fresh = make_update(actor, fisher_actions="fresh")
    one, other = steps(make_batch(actor, 50), taken, fresh)
    assert np.linalg.norm(one - other) > 0.05 * np.linalg.norm(one)
    # Both are estimates of one matrix.
    one, other = steps(make_batch(actor, 50_000), taken, fresh)
    assert 0.0 < np.linalg.norm(one - other) < 0.05 * np.linalg.norm(one)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"fisher_actions": "old"}, "fisher_actions must be one of .*got 'old'"),
        ({"kl_estimator": "k2"}, "kl_estimator must be one of .*got 'k2'"),
        ({"fisher_subsample": 0}, "fisher_subsample must be 1 or more; got 0"),
        ({"entropy_weight": -1.0}, "entropy_weight must be 0 or more; got -1.0"),
    ],
)
def test_settings_outside_their_rule_are_refused(settings, message):
    with pytest.raises(ConfigurationError, match=message):
        make_update(make_actor(), **settings)
