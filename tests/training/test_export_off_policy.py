"""Exported critics, and policies without a density or with exploration noise."""

from __future__ import annotations

import functools
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from tf_agents.specs import tensor_spec
from tf_agents.trajectories import time_step as ts

from expol_tf.agents import (
    Acting,
    ActorCriticAgent,
    AmortizedPolicy,
    DdpgAgent,
    FixedTemperature,
    GaussianNoise,
    ParticleSelection,
    S2acAgent,
    Selection,
    SqlAgent,
    SteinImprovement,
)
from expol_tf.distributions import SteinSampler
from expol_tf.keras_api import keras
from expol_tf.networks import (
    CriticNetwork,
    DeterministicActorNetwork,
    GaussianActorNetwork,
    LogStd,
    ObservationNormalizer,
    SamplingActorNetwork,
)
from expol_tf.training import export_critic, export_policy, load_policy

OBSERVATION = tensor_spec.TensorSpec([3], tf.float32)
ACTION = tensor_spec.BoundedTensorSpec([2], tf.float32, minimum=[-1.0, 0.0], maximum=[1.0, 10.0])
OBSERVATIONS = np.random.default_rng(0).normal(5.0, 3.0, [6, 3]).astype(np.float32)
ACTIONS = np.random.default_rng(1).uniform(ACTION.minimum, ACTION.maximum, [6, 2]).astype(np.float32)


def make_agent(name: str) -> ActorCriticAgent:
    keras.utils.set_random_seed(0)
    normalizer = ObservationNormalizer(OBSERVATION)
    normalizer.update(tf.constant(OBSERVATIONS))
    critic = CriticNetwork(OBSERVATION, ACTION, hidden_units=(8,))
    specs = (ts.time_step_spec(OBSERVATION), ACTION)
    if name == "sql":
        actor = SamplingActorNetwork(OBSERVATION, ACTION, hidden_units=(8,))
        return SqlAgent(*specs, actor, critic, normalizer, acting=Acting(seed=0, jit_compile=False))
    deterministic = DeterministicActorNetwork(OBSERVATION, ACTION, hidden_units=(8,))
    for variable in deterministic.trainable_variables:
        variable.assign_add(tf.random.stateless_normal(variable.shape, [0, 1], stddev=0.3))
    acting = Acting(GaussianNoise(0.5), seed=0, jit_compile=False)
    return DdpgAgent(*specs, deterministic, critic, normalizer, acting=acting)


def test_a_policy_without_a_density(tmp_path: pathlib.Path) -> None:
    agent = make_agent("sql")
    export_policy(agent, tmp_path / "policy")
    policy = load_policy(tmp_path, seed=1)
    expected = agent.policy.act(OBSERVATIONS)[0].numpy()
    np.testing.assert_allclose(policy.act(OBSERVATIONS, deterministic=True), expected, atol=1e-5)
    many = np.tile(OBSERVATIONS[:1], [4000, 1])
    ours, theirs = policy.act(many), agent.collect_policy.act(many)[0].numpy()
    assert (ours >= ACTION.minimum).all() and (ours <= ACTION.maximum).all()
    np.testing.assert_allclose(ours.mean(axis=0), theirs.mean(axis=0), atol=0.1 * theirs.std(axis=0).max())
    np.testing.assert_allclose(ours.std(axis=0), theirs.std(axis=0), rtol=0.1)
    assert ours.std(axis=0).min() > 0


def test_exploration_noise_is_left_out(tmp_path: pathlib.Path) -> None:
    agent = make_agent("ddpg")
    export_policy(agent, tmp_path / "policy")
    policy = load_policy(tmp_path)
    expected = agent.policy.act(OBSERVATIONS)[0].numpy()
    assert np.abs(agent.collect_policy.act(OBSERVATIONS)[0].numpy() - expected).max() > 0.1
    for deterministic in (True, False):
        np.testing.assert_allclose(policy.act(OBSERVATIONS, deterministic), expected, atol=1e-5)


def make_s2ac(amortized: bool, selection: Selection | None = None) -> S2acAgent:
    keras.utils.set_random_seed(0)
    normalizer = ObservationNormalizer(OBSERVATION)
    normalizer.update(tf.constant(OBSERVATIONS))
    network = AmortizedPolicy(functools.partial(SamplingActorNetwork, hidden_units=(11,)))
    return S2acAgent(
        ts.time_step_spec(OBSERVATION),
        ACTION,
        GaussianActorNetwork(OBSERVATION, ACTION, (7,), squash=True, log_std=LogStd(state_dependent=True)),
        CriticNetwork(OBSERVATION, ACTION, hidden_units=(9,), activation="elu"),
        normalizer,
        improvement=SteinImprovement(SteinSampler(4, 2), amortized=network if amortized else None),
        temperature=FixedTemperature(0.01),
        acting=Acting(selection=selection, seed=0, jit_compile=False),
    )


ACTING_PROCESS = """
import sys
for name in ("expol_tf", "tensorflow_probability", "tf_agents"):
    sys.modules[name] = None
import numpy as np
import tensorflow as tf
model = tf.saved_model.load(sys.argv[1])
observation = tf.constant(np.load(sys.argv[2]))
np.save(sys.argv[3], model.signatures["deterministic"](observation=observation)["action"].numpy())
assert model.signatures["sample"](observation=observation)["action"].shape == [6, 2]
"""


@pytest.mark.parametrize("amortized", [False, True])
def test_a_stein_policy_and_its_amortized_one(amortized: bool, tmp_path: pathlib.Path) -> None:
    agent = make_s2ac(amortized)
    export_policy(agent, tmp_path / "policy")
    expected = agent.policy.act(OBSERVATIONS)[0].numpy()
    # In a process that has TensorFlow alone.
    np.save(tmp_path / "given.npy", OBSERVATIONS)
    paths = [str(tmp_path / each) for each in ("policy", "given.npy", "found.npy")]
    command = [sys.executable, "-c", ACTING_PROCESS, *paths]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    np.testing.assert_allclose(np.load(tmp_path / "found.npy"), expected, atol=1e-5)
    # Widths of hidden layers tell whose variables were written.
    reader = tf.train.load_checkpoint(str(tmp_path / "policy" / "variables" / "variables"))
    shapes = list(reader.get_variable_to_shape_map().values())
    widths = {size for shape in shapes for size in shape}
    assert (11 in widths, 7 in widths, 9 in widths) == (amortized, not amortized, not amortized)
    network = agent.evaluation_network
    normalizer = agent.observation_normalizer
    assert normalizer is not None
    written = sum(int(np.prod(shape)) for shape in shapes if shape)
    wanted = sum(
        each.shape.num_elements() for each in [*network.variables, *normalizer.variables] if each.shape.rank
    )
    assert wanted <= written <= wanted + 8  # The generator's state, and what TensorFlow notes.


@pytest.mark.parametrize("selection", ["random", "argmax"])
def test_an_exported_stein_policy_selects_as_the_collect_policy_does(
    selection: str, tmp_path: pathlib.Path
) -> None:
    agent = make_s2ac(False, ParticleSelection(selection))
    export_policy(agent, tmp_path / "policy")
    policy = load_policy(tmp_path, seed=1)
    many = np.tile(OBSERVATIONS[:1], [3000, 1])
    ours, theirs = policy.act(many), agent.collect_policy.act(many)[0].numpy()
    np.testing.assert_allclose(ours.mean(axis=0), theirs.mean(axis=0), atol=0.1 * theirs.std(axis=0).max())
    values = [float(np.mean(np.min(agent.critic(many, action), axis=-1))) for action in (ours, theirs)]
    drawn = make_s2ac(False).collect_policy.act(many)[0]
    least = float(np.mean(np.min(agent.critic(many, drawn), axis=-1)))
    assert values[0] == pytest.approx(values[1], abs=0.02)
    assert (values[0] > least + 0.02) == (selection == "argmax")


# The user's process has TensorFlow alone.
FOREIGN_PROCESS = """
import sys
for name in ("expol_tf", "tensorflow_probability", "tf_agents"):
    sys.modules[name] = None
import numpy as np
import tensorflow as tf
model = tf.saved_model.load(sys.argv[1])
q = model.signatures["q"]
given = np.load(sys.argv[2])
observation, action = tf.constant(given["observation"]), tf.constant(given["action"])
with tf.GradientTape() as tape:
    tape.watch(action)
    value = q(observation=observation, action=action)["q"]
np.savez(sys.argv[3], q=value.numpy(), gradient=tape.gradient(value, action).numpy())
"""


@pytest.mark.parametrize("name", ["sql", "ddpg"])
def test_the_critic_and_its_gradient_without_the_library(name: str, tmp_path: pathlib.Path) -> None:
    agent = make_agent(name)
    export_critic(agent, tmp_path / "critic")
    np.savez(tmp_path / "given.npz", observation=OBSERVATIONS, action=ACTIONS)
    paths = [str(tmp_path / each) for each in ("critic", "given.npz", "found.npz")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", FOREIGN_PROCESS, *paths]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    action = tf.constant(ACTIONS)
    with tf.GradientTape() as tape:
        tape.watch(action)
        each = agent.critic(tf.constant(OBSERVATIONS), action)
        least = tf.reduce_min(each, axis=-1)
    gradient = tape.gradient(least, action).numpy()
    # Both critics are the lesser one somewhere, and neither is flat.
    assert len(set(np.argmin(each, axis=-1))) == 2 and np.abs(gradient).min() > 0
    found = np.load(tmp_path / "found.npz")
    np.testing.assert_allclose(found["q"], least, atol=1e-5)
    np.testing.assert_allclose(found["gradient"], gradient, atol=1e-5)
