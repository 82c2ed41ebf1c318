"""ACKTR: its step is K-FAC's, its rate follows the divergence, and the value is fitted by K-FAC too."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from expol_tf.agents import AcktrAgent, KroneckerUpdate, PolicyObjective
from expol_tf.distributions import analytic_kl
from expol_tf.errors import CapabilityError, ConfigurationError
from expol_tf.networks import ObservationNormalizer
from expol_tf.objectives import AdvantageEstimation, importance_surrogate
from expol_tf.optimizers import Kfac, KfacRegression
from tests.agents.checkpoints import check_continuation
from tests.agents.small_agents import (
    OBSERVATION,
    built,
    make_actor,
    make_agent,
    make_batch,
    make_rollout,
    set_values,
    values_of,
)
from tests.agents.unusual_networks import CustomActorNetwork, LateActorNetwork, LateValueNetwork, Unseen

tfd = tfp.distributions


def make_update(actor, kfac=None, entropy_weight=0.0, **settings):
    """Returns the update as a function, and its optimizer."""
    update = KroneckerUpdate(kfac or Kfac(jit_compile=False), **settings)
    return built(update, actor, entropy_weight), update.kfac


def compile_update(update):
    compiled = tf.function(update[0], autograph=False)
    return lambda batch, seed=(1, 2): {
        name: float(value) for name, value in compiled(batch, tf.constant(seed)).items()
    }


def make_acktr(kind="gaussian", **settings):
    settings.setdefault("value_fit", KfacRegression(updates=3, jit_compile=False))
    return make_agent(kind, cls=AcktrAgent, **settings)


def test_an_update_is_a_step_of_kfac_and_says_what_it_did():
    mine, theirs = make_actor(), make_actor()
    entropy_weight = 0.2
    run = compile_update(make_update(mine, entropy_weight=entropy_weight))
    kfac = Kfac(jit_compile=False)
    objective = PolicyObjective(theirs, entropy_weight)
    kfac.build(theirs.trainable_variables, lambda: objective.log_prob(objective.example())[0])

    def evaluate(batch):
        distribution = theirs(batch.observation)[0]
        log_prob = distribution.log_prob(batch.action)
        value = importance_surrogate(log_prob, batch.log_prob, batch.advantage, batch.valid)
        # A Gaussian's own entropy, the same in all states.
        return value + entropy_weight * tf.reduce_mean(distribution.entropy()), log_prob

    @tf.function(autograph=False)
    def step(batch):
        weights = tf.cast(batch.valid, tf.float32) / tf.reduce_sum(tf.cast(batch.valid, tf.float32))
        return kfac.step(evaluate, batch, weights)

    for seed in range(3):  # Momentum and the running factors are kept from update to update.
        batch = make_batch(mine, 200, seed=seed)
        old, before = theirs(batch.observation)[0], float(evaluate(batch)[0])
        rate = float(kfac.learning_rate)
        report, found = step(batch), run(batch)
        for variable, expected in zip(mine.trainable_variables, theirs.trainable_variables, strict=True):
            np.testing.assert_allclose(variable, expected, rtol=1e-5, atol=1e-6)
        kl = np.mean(analytic_kl(old, theirs(batch.observation)[0])[batch.valid])
        assert found["surrogate"] == pytest.approx(float(evaluate(batch)[0]) - before, rel=1e-2, abs=1e-6)
        assert found["kl"] == pytest.approx(kl, rel=1e-2, abs=1e-7) and kl > 0.0
        assert found["accepted_step_fraction"] == pytest.approx(float(report.trust_region_scale))
        assert found["predicted_kl"] == pytest.approx(float(report.predicted_kl), rel=1e-4)
        assert found["gradient_norm"] == pytest.approx(float(report.gradient_norm), rel=1e-4)
        # The divergence is far below the aim.
        assert found["learning_rate"] == pytest.approx(1.5 * rate)
        kfac.learning_rate.assign(1.5 * rate)


@pytest.mark.parametrize("momentum", [0.0, 0.5])
def test_fault_07_a_step_that_goes_too_far_is_scaled_back(momentum):
    whole, mine = make_actor(), make_actor()
    settings = dict(learning_rate=0.5, damping=1e-2, clip_kl=1e9, momentum=momentum, jit_compile=False)
    free, kfac = Kfac(**settings), Kfac(**settings)
    batch = make_batch(mine, 200)
    start = values_of(mine.trainable_variables)
    too_far = compile_update(make_update(whole, free, desired_kl=1e6))(batch)
    aim = too_far["kl"] / 40.0
    found = compile_update(make_update(mine, kfac, desired_kl=aim))(batch)
    fraction = 40.0**-0.5
    assert found["accepted_step_fraction"] == pytest.approx(fraction * too_far["accepted_step_fraction"])
    # The divergence is nearly quadratic: the aim, and not only a quarter of the limit, is met.
    assert found["kl"] == pytest.approx(aim, rel=0.3)
    for variable, old, far in zip(mine.trainable_variables, start, whole.trainable_variables, strict=True):
        np.testing.assert_allclose(variable, old + fraction * (far - old), rtol=1e-4, atol=1e-6)
    velocities = [
        [each.numpy() for each in optimizer.variables if each.name.startswith("velocity")]
        for optimizer in (kfac, free)
    ]
    for short, long in zip(*velocities, strict=True):
        np.testing.assert_allclose(short, fraction * long, rtol=1e-4, atol=1e-7)
    # The rate follows what was measured first.
    assert found["learning_rate"] == pytest.approx(0.5 / 1.5)


def test_fault_07_a_step_within_four_times_the_aim_is_left_to_the_bit():
    whole, mine = make_actor(), make_actor()
    batch = make_batch(mine, 200)
    settings = dict(learning_rate=0.5, clip_kl=1e9, momentum=0.0, jit_compile=False)
    found = compile_update(make_update(whole, Kfac(**settings), desired_kl=1e6))(batch)
    again = compile_update(make_update(mine, Kfac(**settings), desired_kl=found["kl"] / 3.9))(batch)
    assert again["kl"] == found["kl"] and again["learning_rate"] == pytest.approx(0.5 / 1.5)
    for variable, expected in zip(mine.trainable_variables, whole.trainable_variables, strict=True):
        np.testing.assert_array_equal(variable, expected)


def test_fault_07_the_fisher_matrix_is_of_the_policy_as_it_has_become():
    # The output layer begins near 0 and grows two hundredfold: the curvature of the layer before it does
    # 40,000-fold.
    actor = make_actor()
    run = compile_update(make_update(actor, Kfac(clip_kl=1e9, momentum=0.0, jit_compile=False)))
    (kernel,) = (variable for variable in actor.trainable_variables if variable.shape == [4, 2])
    kernel.assign(0.01 * kernel)
    for seed in range(3):
        run(make_batch(actor, 500, seed=seed))
    kernel.assign(2.0 * kernel / tf.norm(kernel))
    found = run(make_batch(actor, 500, seed=3))
    # By the decompositions of the first update it has some forty times what it predicts.
    assert found["predicted_kl"] / 4.0 < found["kl"] < 4.0 * found["predicted_kl"]


def test_the_learning_rate_follows_the_divergence():
    actor = make_actor()
    batch = make_batch(actor, 200)
    update = make_update(
        actor, Kfac(0.5, clip_kl=1e9, jit_compile=False), desired_kl=1e-3, max_learning_rate=10.0
    )
    run = compile_update(update)
    state = [*actor.trainable_variables, *update[1].variables]
    start = values_of(state)
    per_square = run(batch)["kl"] / 0.5**2
    for ratio, factor in ((2.5, 1 / 1.5), (1.6, 1.0), (1 / 1.6, 1.0), (1 / 2.5, 1.5)):
        set_values(state, start)
        rate = (1e-3 * ratio / per_square) ** 0.5
        update[1].learning_rate.assign(rate)
        found = run(batch)
        assert found["kl"] == pytest.approx(1e-3 * ratio, rel=0.15)
        assert found["learning_rate"] == pytest.approx(rate * factor, rel=1e-4)
        assert float(update[1].learning_rate) == pytest.approx(found["learning_rate"])


@pytest.mark.parametrize(("aim", "bound"), [(1e-9, 0.02), (1e3, 0.05)], ids=["lower", "upper"])
def test_the_learning_rate_stays_within_its_bounds(aim, bound):
    actor = make_actor()
    update = make_update(actor, desired_kl=aim, min_learning_rate=0.02, max_learning_rate=0.05)
    run = compile_update(update)
    for seed in range(3):
        rate = run(make_batch(actor, 50, seed=seed))["learning_rate"]
    assert rate == pytest.approx(bound)


def test_a_step_that_ends_in_nothing_finite_is_undone():
    # Steps of 10⁴ in log σ: exp overflows.
    actor = make_actor()
    start = values_of(actor.trainable_variables)
    kfac = Kfac(learning_rate=1e6, clip_kl=1e30, jit_compile=False)
    update = make_update(actor, kfac, max_learning_rate=1e7)
    run = compile_update(update)
    found = run(make_batch(actor, 100))
    for variable, value in zip(actor.trainable_variables, start, strict=True):
        np.testing.assert_array_equal(variable, value)
    assert found["surrogate"] == found["kl"] == found["accepted_step_fraction"] == 0.0
    assert all(np.isfinite(value) for value in found.values())
    assert found["learning_rate"] == pytest.approx(1e6 / 1.5)
    velocities = [each for each in kfac.variables if each.name.startswith("velocity")]
    assert velocities and not any(np.any(each.numpy()) for each in velocities)
    # With a rate that does, the next step is taken.
    kfac.learning_rate.assign(1e-4)
    found = run(make_batch(actor, 100))
    assert found["accepted_step_fraction"] > 0.0 and np.isfinite(found["kl"])
    assert any(
        np.any(variable.numpy() != value) for variable, value in zip(actor.variables, start, strict=True)
    )


def test_what_a_broken_decomposition_does_is_undone():
    actor = make_actor()
    start = values_of(actor.trainable_variables)
    update = make_update(actor, Kfac(factor_interval=2, eigen_interval=10, jit_compile=False))
    run = compile_update(update)
    run(make_batch(actor, 100))  # The next one does not enter the factors, so that they are not decomposed.
    set_values(actor.trainable_variables, start)
    basis = next(each for each in update[1].variables if each.name.startswith("output_basis"))
    basis.assign(tf.fill(basis.shape, np.nan))
    run(make_batch(actor, 100))
    for variable, value in zip(actor.trainable_variables, start, strict=True):
        np.testing.assert_array_equal(variable, value)


def test_a_batch_that_is_not_finite_changes_nothing_and_shows():
    actor = make_actor()
    start = values_of(actor.trainable_variables)
    advantage = np.ones(50)
    advantage[7] = np.inf
    batch = make_batch(actor, 50, advantage=advantage)._replace(valid=tf.fill([50], True))
    found = compile_update(make_update(actor))(batch)
    for variable, value in zip(actor.trainable_variables, start, strict=True):
        np.testing.assert_array_equal(variable, value)
    assert found["accepted_step_fraction"] == 0.0
    assert not np.isfinite(found["surrogate"])  # Training ends with a message at such a metric.


@pytest.mark.parametrize(
    ("kind", "num_layers"),
    [("gaussian", 2), ("mixture", 4), ("flow", 2)],
    ids=["gaussian", "mixture", "flow"],
)
@pytest.mark.parametrize("squash", [False, True], ids=["open", "squashed"])
def test_coverage_names_what_each_variable_gets(kind, num_layers, squash):
    actor = make_actor(kind, squash=squash)
    coverage = make_update(actor)[1].coverage
    assert [layer.shape for layer in coverage.layers] == [(4, 4), (5, 2)] * (num_layers // 2)
    layered = [name for layer in coverage.layers for name in (layer.kernel, layer.bias)]
    names = [variable.name.removesuffix(":0") for variable in actor.trainable_variables]
    assert sorted([*layered, *coverage.exact]) == sorted(names)
    # The last layers of couplings are stacked kernels, one for the scale and one for the shift.
    assert all("dense" in name for name in layered) and not any("dense" in name for name in coverage.exact)
    assert coverage.exact == ("log_std",) if kind != "flow" else len(coverage.exact) >= 8
    text = str(coverage)
    assert f"{num_layers} layers with Kronecker factors" in text and coverage.exact[0] in text


def test_an_agent_shows_its_coverage_and_that_of_its_value():
    agent = make_acktr()
    assert agent.kfac_coverage.exact == ("log_std",) and len(agent.kfac_coverage.layers) == 2
    fit = KfacRegression(jit_compile=False)
    make_acktr(value_fit=fit)
    assert [layer.shape for layer in fit.coverage.layers] == [(4, 4), (5, 1)] and not fit.coverage.exact


def test_a_policy_without_density_is_named():
    with pytest.raises(CapabilityError) as caught:
        make_acktr(actor_network=CustomActorNetwork(Unseen))
    for part in ("AcktrAgent needs", "log_prob", "CustomActorNetwork's Unseen"):
        assert part in str(caught.value)


def test_a_network_that_does_not_know_its_observations_is_told_what_to_do():
    def normal(mean):
        return tfd.MultivariateNormalDiag(mean, tf.ones_like(mean))

    with pytest.raises(ConfigurationError, match="actor_network: must know .*input_tensor_spec=None"):
        make_acktr(actor_network=CustomActorNetwork(normal, observation_spec=None))


def test_a_variable_that_the_density_does_not_depend_on_is_named():
    def fixed(mean):
        return tfd.MultivariateNormalDiag(tf.zeros_like(mean), tf.ones_like(mean))

    with pytest.raises(ConfigurationError, match="must depend on each of them; it does not on Variable"):
        make_acktr(actor_network=CustomActorNetwork(fixed))


def test_networks_may_make_their_variables_when_first_called():
    agent = make_acktr(actor_network=LateActorNetwork(), value_network=LateValueNetwork())
    assert len(agent.kfac_coverage.layers) == 1 and not agent.kfac_coverage.exact


def test_one_optimizer_serves_one_network():
    kfac = Kfac(jit_compile=False)
    with pytest.raises(ConfigurationError, match="Kfac: it holds the state for one model"):
        make_acktr(policy_update=KroneckerUpdate(kfac), value_fit=KfacRegression(kfac))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"desired_kl": 0.0}, "KroneckerUpdate.desired_kl must be positive; got 0.0"),
        ({"min_learning_rate": 0.0}, "min_learning_rate must be positive; got 0.0"),
        ({"max_learning_rate": 1e-5}, "at most max_learning_rate; got 0.0001 and 1e-05"),
    ],
)
def test_settings_outside_their_rule_are_refused(settings, message):
    with pytest.raises(ConfigurationError, match=message):
        make_update(make_actor(), **settings)


def test_it_learns():
    # One-step episodes: the first component of the action is to be the first of the observation.
    agent = make_acktr(
        policy_update=KroneckerUpdate(Kfac(learning_rate=0.3, jit_compile=False), desired_kl=0.02),
        advantages=AdvantageEstimation(gamma=0.0),
        value_fit=KfacRegression(Kfac(0.1, 0.1, 0.3, jit_compile=False), updates=10),
    )
    rewards, losses = [], []
    for seed in range(50):
        rollout = make_rollout(agent, batch=16, seed=seed)
        rewards.append(rollout.reward[rollout.valid].mean())
        metrics = agent.train_on_rollout(rollout).extra
        losses.append(float(metrics["value_loss"]))
        assert float(metrics["kl"]) < 0.2
    # At first 1 − 1 − 1 = −1 (the policy's variance and the observation's); 1 is the most there is.
    assert np.mean(rewards[:2]) < -0.6 and np.mean(rewards[-5:]) > 0.4
    assert np.mean(losses[-5:]) < 0.5 * losses[0]


def test_the_value_is_fitted_by_kfac():
    agent = make_acktr(
        value_fit=KfacRegression(Kfac(0.05, 0.1, 0.3, jit_compile=False), updates=10),
        advantages=AdvantageEstimation(gamma=0.0),
    )
    rollout = make_rollout(agent, batch=16)
    rollout = rollout._replace(reward=rollout.observation[..., 1] - 2.0)
    losses = [float(agent.train_on_rollout(rollout).extra["value_loss"]) for _ in range(10)]
    # ½·E(s₁ − 2)² = 2.5 at first.
    assert losses[0] > 1.0 and losses[-1] < 0.1 * losses[0]


def new_acktr(seed=0):
    return make_acktr(
        squash=True,
        seed=seed,
        entropy_weight=0.01,
        policy_update=KroneckerUpdate(Kfac(eigen_interval=3, jit_compile=False)),
        observation_normalizer=ObservationNormalizer(OBSERVATION),
    )


@pytest.mark.slow  # The contract's tests do much the same.
def test_a_checkpoint_goes_on_identically(tmp_path):
    names = check_continuation(new_acktr, tmp_path)
    # Without the decompositions the third update, which comes before the next ones, would differ.
    for part in ("learning_rate", "_updates", "_velocities", "inputs", "outputs", "_output_basis"):
        for owner in ("_policy_update/kfac/", "_value_fit/kfac/"):
            assert any(owner in name and part in name for name in names), (owner, part, names)
