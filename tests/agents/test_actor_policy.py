"""How policies act: greedily and clipped, or sampling with recorded densities."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
import tensorflow as tf
from gymnasium import spaces
from tf_agents.drivers import dynamic_step_driver, py_driver
from tf_agents.environments import tf_py_environment
from tf_agents.policies import policy_saver, py_tf_eager_policy
from tf_agents.replay_buffers import tf_uniform_replay_buffer
from tf_agents.trajectories import time_step as ts

from expol_tf import environments
from expol_tf.agents import Acting, ActorPolicy, DdpgAgent, GaussianNoise, OrnsteinUhlenbeckNoise
from expol_tf.distributions import greedy_action
from expol_tf.networks import CriticNetwork, NoisyActorNetwork, ObservationNormalizer
from expol_tf.training import OffPolicyRunner
from tests.agents.small_agents import NETWORKS, OBSERVATION, box, make_actor

KINDS = pytest.mark.parametrize("kind", NETWORKS)


def observations(count=6, seed=0):
    return np.random.default_rng(seed).normal(size=(count, 3)).astype(np.float32)


def make_policy(kind="gaussian", action=None, squash=False, **settings):
    action = action or box()
    actor = make_actor(kind, action=action, squash=squash)
    settings.setdefault("seed", 3)
    settings.setdefault("jit_compile", False)
    return ActorPolicy(ts.time_step_spec(OBSERVATION), action, actor, **settings), actor


@KINDS
@pytest.mark.parametrize("squash", [False, True], ids=["open", "squashed"])
def test_sampling_reports_what_training_needs(kind, squash):
    policy, actor = make_policy(kind, box(-3.0, 5.0), squash)
    observation = observations()
    action, info = policy.act(observation)
    assert action.shape == (6, 2) and info["log_prob"].shape == (6,)
    distribution, _ = actor(observation)
    expected = distribution.log_prob(tf.identity(action))
    np.testing.assert_allclose(info["log_prob"], expected, rtol=1e-3, atol=1e-4)
    assert set(info) == set(policy.info_spec) == {"log_prob"} | ({"pre_squash_action"} if squash else set())
    if squash:
        np.testing.assert_allclose(action, 1.0 + 4.0 * np.tanh(info["pre_squash_action"]), rtol=1e-5)
    again, _ = policy.act(observation)
    assert not np.allclose(action, again)


@KINDS
def test_greedy_is_the_distributions_and_does_not_vary(kind):
    policy, actor = make_policy(kind, greedy=True)
    observation = observations()
    action, info = policy.act(observation)
    assert info == ()
    np.testing.assert_allclose(action, greedy_action(actor(observation)[0]), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(action, policy.act(observation)[0])


def test_only_the_greedy_policy_clips():
    # A box around 100 with a policy far outside of it.
    action_spec = box(99.0, 101.0)
    sampling, actor = make_policy(action=action_spec)
    greedy, _ = make_policy(action=action_spec, greedy=True)
    for network in (actor, greedy._actor_network):
        network._mean.layers[-1].bias.assign([50.0, -50.0])
    np.testing.assert_array_equal(greedy.act(observations())[0], np.tile([101.0, 99.0], (6, 1)))
    sampled = sampling.act(observations())[0].numpy()
    assert (sampled[:, 0] > 140.0).all() and (sampled[:, 1] < 60.0).all()


def test_a_seed_is_a_stream_of_actions():
    observation = observations()
    streams = []
    for seed in (3, 3, 4):
        policy, _ = make_policy(seed=seed)
        streams.append([policy.act(observation)[0].numpy() for _ in range(3)])
    np.testing.assert_array_equal(streams[0], streams[1])
    assert not np.allclose(streams[0], streams[2])


def test_without_a_seed_streams_differ():
    first, second = (make_policy(seed=None)[0].act(observations())[0] for _ in range(2))
    assert not np.allclose(first, second)


def test_action_is_act():
    policy, _ = make_policy()
    other, _ = make_policy()
    observation = observations()
    step = policy.action(ts.restart(tf.constant(observation), 6))
    action, info = other.act(observation)
    np.testing.assert_array_equal(step.action, action)
    np.testing.assert_array_equal(step.info["log_prob"], info["log_prob"])
    assert step.state == ()


@pytest.mark.parametrize("seed", [5, tf.constant([5, 5]), tf.constant(5, tf.int64)], ids=str)
def test_a_seed_given_to_action_decides_alone(seed):
    policy, _ = make_policy()
    time_step = ts.restart(tf.constant(observations()), 6)
    state = policy.generator.state.numpy()
    expected = policy.action(time_step, seed=tf.constant([5, 5])).action
    np.testing.assert_array_equal(policy.action(time_step, seed=seed).action, expected)
    np.testing.assert_array_equal(policy.generator.state, state)
    assert not np.allclose(policy.action(time_step, seed=6).action, expected)


@pytest.mark.parametrize("dtype", [np.float64, np.float16, np.int32])
def test_observations_of_any_number_type(dtype):
    policy, _ = make_policy(greedy=True)
    observation = np.round(observations() * 4.0) / 4.0 if dtype != np.int32 else np.arange(18).reshape(6, 3)
    action, _ = policy.act(observation.astype(dtype))
    np.testing.assert_allclose(action, policy.act(observation.astype(np.float32))[0], rtol=1e-6)


def test_the_normalizer_stands_before_the_network():
    normalizer = ObservationNormalizer(OBSERVATION)
    normalizer.update(tf.constant(5.0 + 2.0 * observations(1000)))
    policy, actor = make_policy(greedy=True, observation_normalizer=normalizer)
    raw = 5.0 + 2.0 * observations()
    np.testing.assert_allclose(policy.act(raw)[0], greedy_action(actor(normalizer(raw))[0]), rtol=1e-5)
    assert not np.allclose(policy.act(raw)[0], greedy_action(actor(raw)[0]))


@pytest.mark.parametrize("greedy", [False, True])
def test_distribution_is_the_networks(greedy):
    policy, actor = make_policy("flow", greedy=greedy)
    observation = tf.constant(observations())
    step = policy.distribution(ts.restart(observation, 6))
    action = tf.constant(np.random.default_rng(1).normal(size=(6, 2)).astype(np.float32))
    expected = actor(observation)[0].log_prob(action)
    np.testing.assert_allclose(step.action.log_prob(action), expected, rtol=1e-5)


def test_a_compiled_function_asks_a_distribution_that_nobody_writes():
    policy, actor = make_policy()
    time_step = ts.restart(tf.constant(observations()), 6)

    def ask():
        distribution = policy.distribution(time_step).action
        # PolicySaver writes what has a type spec, and its file would need TFP.
        assert not hasattr(distribution, "_type_spec")
        return distribution.mean(), distribution.entropy(), distribution.log_prob(tf.zeros([6, 2]))

    expected = actor(tf.constant(observations()))[0]
    for found, value in zip(
        tf.function(ask, autograph=False)(),
        (expected.mean(), expected.entropy(), expected.log_prob(tf.zeros([6, 2]))),
        strict=True,
    ):
        np.testing.assert_allclose(found, value, rtol=1e-5)


def test_a_checkpoint_holds_network_normalizer_and_generator(tmp_path):
    observation, path = observations(), str(tmp_path / "policy")
    normalizer = ObservationNormalizer(OBSERVATION)
    normalizer.update(tf.constant(5.0 + 2.0 * observation))
    policy, _ = make_policy(seed=3, observation_normalizer=normalizer)
    policy.act(observation)
    tf.train.Checkpoint(policy=policy).write(path)
    expected, _ = policy.act(observation)
    other, actor = make_policy(seed=4, observation_normalizer=ObservationNormalizer(OBSERVATION))
    for variable in actor.variables:
        variable.assign(tf.zeros_like(variable))
    tf.train.Checkpoint(policy=other).read(path).assert_consumed()
    np.testing.assert_array_equal(other.act(observation)[0], expected)


class Still(gymnasium.Env):
    """Always the same observation, so that actions differ by noise alone; ends with probability 0.3."""

    observation_space = spaces.Box(-np.inf, np.inf, (3,), np.float32)
    action_space = spaces.Box(-1, 1, (2,), np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.ones(3, np.float32), {}

    def step(self, action):
        return np.ones(3, np.float32), 0.0, bool(self.np_random.uniform() < 0.3), False, {}

    def get_state(self):
        return {}

    def set_state(self, state):
        pass


def make_noisy(noise="per_episode", seed=3, jit_compile=False, **settings):
    tf.keras.utils.set_random_seed(0)
    actor = NoisyActorNetwork(OBSERVATION, box(), (8, 8), noise)
    specs = ts.time_step_spec(OBSERVATION), box()
    return ActorPolicy(*specs, actor, seed=seed, jit_compile=jit_compile, **settings), actor


def check_one_action_an_episode(action, first):
    """Actions `[T, N, A]` at one observation change where an episode begins, `[T, N]`, and nowhere else."""
    assert 0.1 < np.mean(first) < 0.6
    same = np.abs(action[1:] - action[:-1]).max(-1) < 1e-6
    np.testing.assert_array_equal(same, ~first[1:])
    assert len(np.unique(np.round(action[0], 5), axis=0)) == first.shape[1]


@pytest.mark.parametrize("jit_compile", [False, True])
def test_weights_are_kept_while_their_state_is(jit_compile):
    policy, actor = make_noisy(jit_compile=jit_compile)
    size = 8 + 4 * 8 + 9 * 8 + 9 * 2
    assert policy.policy_state_spec == tf.TensorSpec([size], tf.float32, "episode_noise")
    state, observation = policy.get_initial_state(3), np.ones([3, 3], np.float32)
    noises, actions = [], []
    for step in range(5):
        action, info, state = policy.act(observation, state)
        assert set(info) == set(policy.info_spec) == {"pre_squash_action"}
        np.testing.assert_allclose(action, np.tanh(info["pre_squash_action"]), rtol=1e-5)
        noises.append(state.numpy())
        actions.append(action.numpy())
        if step == 2:  # A new episode in the second environment.
            state = tf.where([[False], [True], [False]], tf.zeros_like(state), state)
    first = np.zeros([5, 3], bool)
    first[0], first[3, 1] = True, True
    for step in range(1, 5):
        same = (noises[step] == noises[step - 1]).all(-1)
        np.testing.assert_array_equal(same, ~first[step])
        np.testing.assert_array_equal((actions[step] == actions[step - 1]).all(-1), ~first[step])
    assert len(np.unique([*noises[0][:, 0], noises[3][1, 0]])) == 4
    assert abs(np.mean(noises[0])) < 0.25 and 0.85 < np.std(noises[0]) < 1.15
    expected = actor.for_episode(observation, noises[4]).sample(seed=(0, 1))
    np.testing.assert_allclose(actions[4], expected, rtol=1e-4, atol=1e-5)


def test_an_episodes_actions_are_a_function_of_the_state():
    policy, actor = make_noisy()
    _, _, state = policy.act(observations(3), policy.get_initial_state(3))
    action, _, _ = policy.act(observations(3, seed=1), state)
    np.testing.assert_allclose(
        action, actor.for_episode(observations(3, seed=1), state).sample(seed=(0, 1)), rtol=1e-5
    )
    streams = []
    for seed in (3, 3, 4):
        policy, _ = make_noisy(seed=seed)
        streams.append(policy.act(observations(3), policy.get_initial_state(3))[0].numpy())
    np.testing.assert_array_equal(streams[0], streams[1])
    assert not np.allclose(streams[0], streams[2])


@pytest.mark.parametrize("noise", ["per_sample", "per_batch"])
def test_other_noisy_policies_have_no_state(noise):
    policy, _ = make_noisy(noise)
    observation = np.ones([3, 3], np.float32)
    (first, _), (second, _) = (policy.act(observation) for _ in range(2))
    assert policy.policy_state_spec == () and (np.abs(first - second) > 0).all()
    assert np.allclose(first[0], first[1]) == (noise == "per_batch")
    greedy, actor = make_noisy("per_episode", greedy=True)
    assert greedy.policy_state_spec == () and greedy.generator is None
    np.testing.assert_allclose(greedy.act(observation)[0], greedy_action(actor(observation)[0]), rtol=1e-5)


def test_weights_are_kept_under_drivers():
    policy, _ = make_noisy()
    env = environments.load(Still, 3, seed=1)
    buffer = tf_uniform_replay_buffer.TFUniformReplayBuffer(policy.trajectory_spec, 3, max_length=40)
    dynamic_step_driver.DynamicStepDriver(
        tf_py_environment.TFPyEnvironment(env), policy, [buffer.add_batch], num_steps=75
    ).run()
    frames = buffer.gather_all()
    in_graph = tuple(np.moveaxis(each.numpy(), 0, 1) for each in (frames.action, frames.step_type))
    eager = py_tf_eager_policy.PyTFEagerPolicy(policy, use_tf_function=True, batch_time_steps=False)
    env = environments.load(Still, 3, seed=1)
    kept = []
    driver = py_driver.PyDriver(env, eager, [kept.append], max_steps=75)
    driver.run(env.reset(), eager.get_initial_state(3))
    in_python = np.stack([each.action for each in kept]), np.stack([each.step_type for each in kept])
    for action, step_type in (in_graph, in_python):
        assert len(action) >= 25
        check_one_action_an_episode(action, step_type == 0)


@pytest.mark.parametrize("exploration", [GaussianNoise(0.0), OrnsteinUhlenbeckNoise(std=0.0)])
def test_weights_are_kept_by_the_runner(exploration):
    env = environments.load_vector(Still, 3, seed=1)
    actor = NoisyActorNetwork(env.observation_spec, env.action_spec, (8, 8), "per_episode")
    critic = CriticNetwork(env.observation_spec, env.action_spec, (8,))
    specs = ts.time_step_spec(env.observation_spec), env.action_spec
    agent = DdpgAgent(*specs, actor, critic, acting=Acting(exploration, seed=0, jit_compile=False))
    settings = dict(updates_per_step=1e-6, warm_up_steps=0, seed=0)
    runner = OffPolicyRunner(env, agent, 1000, 4, iteration_steps=45, **settings)
    runner.iterate()
    # What is saved of it is enough to go on within the episodes.
    other = OffPolicyRunner(environments.load_vector(Still, 3, seed=1), agent, 1000, 4, **settings)
    state = runner.get_state()
    other.set_state(state)
    kept = [name for name in state if name.startswith("policy_state")]
    assert len(kept) == (1 if isinstance(exploration, GaussianNoise) else 2)
    for name in kept:
        np.testing.assert_array_equal(other.get_state()[name], state[name])
    runner.iterate()
    rows = runner.replay.get_state()["rows"][:90].reshape([30, 3, 10])
    ended = rows[..., 6] == 0.0
    first = np.concatenate([np.ones([1, 3], bool), ended[:-1]])
    check_one_action_an_episode(rows[..., 3:5], first)


def test_kept_weights_and_exploration_are_both_the_state():
    both, actor = make_noisy(exploration=OrnsteinUhlenbeckNoise(std=0.5))
    assert {name: spec.shape for name, spec in both.policy_state_spec.items()} == {
        "exploration": [2],
        "episode": [actor.episode_noise_size],
    }
    white, _ = make_noisy(exploration=GaussianNoise(0.1))
    assert white.policy_state_spec.shape == [actor.episode_noise_size]
    observation = np.ones([3, 3], np.float32)
    action, info, state = both.act(observation, both.get_initial_state(3))
    for _ in range(2):
        kept = actor.for_episode(observation, state["episode"]).sample(seed=(0, 1))
        assert info == ()
        np.testing.assert_allclose(action, np.clip(kept + state["exploration"], -1, 1), atol=1e-5)
        action, info, following = both.act(observation, state)
        np.testing.assert_array_equal(following["episode"], state["episode"])
        assert (following["exploration"] != state["exploration"]).numpy().all()
        state = following
    # An episode's first step begins both anew.
    step_type = tf.constant([1, 0, 1])
    step = ts.TimeStep(step_type, tf.zeros([3]), tf.ones([3]), tf.constant(observation))
    begun = both.action(step, state).state
    np.testing.assert_array_equal((begun["episode"] == state["episode"]).numpy().all(-1), [True, False, True])


def test_one_state_is_as_without_the_other():
    process = OrnsteinUhlenbeckNoise()
    policy, _ = make_policy("gaussian", squash=True, exploration=process)
    assert policy.policy_state_spec == process.state_spec(2)
    selected, _ = make_noisy(selection=lambda distribution, seed: 0.5 * distribution.sample(seed=seed))
    plain, _ = make_noisy()
    observation, state = observations(3), plain.get_initial_state(3)
    np.testing.assert_allclose(
        selected.act(observation, state)[0], 0.5 * plain.act(observation, state)[0], rtol=1e-5
    )


def test_a_policy_that_keeps_weights_is_saved(tmp_path):
    policy, _ = make_noisy(exploration=OrnsteinUhlenbeckNoise())
    policy_saver.PolicySaver(policy, batch_size=None).save(str(tmp_path))
    loaded = tf.saved_model.load(str(tmp_path))
    state, other = policy.get_initial_state(3), loaded.get_initial_state(3)
    time_step = ts.restart(tf.constant(observations(3)), 3)
    for _ in range(2):
        one, two = policy.action(time_step, state), loaded.action(time_step, other)
        np.testing.assert_allclose(one.action, two.action, atol=1e-5)
        state, other = one.state, two.state
        time_step = ts.transition(tf.constant(observations(3, seed=1)), tf.zeros([3]))
