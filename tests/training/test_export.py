from __future__ import annotations

import os
import pathlib
import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf
from tf_agents.specs import tensor_spec
from tf_agents.trajectories import time_step as ts

from expol_tf.agents import Acting, TrpoAgent
from expol_tf.errors import ConfigurationError, NonFiniteError, OutOfMemoryError, RunDirectoryError
from expol_tf.networks import (
    FlowActorNetwork,
    GaussianActorNetwork,
    MixtureActorNetwork,
    ObservationNormalizer,
    ValueNetwork,
)
from expol_tf.training.export import export_policy, load_policy
from tests.runs.damage import ANY

OBSERVATION_SPEC = tensor_spec.TensorSpec([3], tf.float32)
ACTION_SPEC = tensor_spec.BoundedTensorSpec([2], tf.float32, minimum=[-1.0, 0.0], maximum=[1.0, 10.0])
OBSERVATIONS = np.random.default_rng(0).normal(5.0, 3.0, [6, 3])


def make_agent(actor_class: type = GaussianActorNetwork, **arguments: object) -> TrpoAgent:
    """An agent whose normalizer has seen data and whose weights are not the initial ones."""
    tf.random.set_seed(0)
    network = actor_class(OBSERVATION_SPEC, ACTION_SPEC, hidden_units=(8,), **arguments)
    for variable in network.trainable_variables:
        variable.assign_add(tf.random.stateless_normal(variable.shape, [0, 1], stddev=0.3))
    normalizer = ObservationNormalizer(OBSERVATION_SPEC)
    normalizer.update(tf.constant(OBSERVATIONS, tf.float32))
    value_network = ValueNetwork(OBSERVATION_SPEC, (8,))
    specs = (ts.time_step_spec(OBSERVATION_SPEC), ACTION_SPEC)
    return TrpoAgent(*specs, network, value_network, normalizer, acting=Acting(seed=0, jit_compile=False))


@pytest.fixture(scope="module")
def agent() -> TrpoAgent:
    return make_agent()


@pytest.mark.parametrize(
    ("actor_class", "arguments"),
    [
        (GaussianActorNetwork, {}),
        (GaussianActorNetwork, {"squash": True}),
        (MixtureActorNetwork, {}),
        (FlowActorNetwork, {"num_transformations": 1}),
    ],
)
def test_exported_actions_are_the_agents(actor_class: type, arguments: dict, tmp_path: pathlib.Path) -> None:
    agent = make_agent(actor_class, **arguments)
    export_policy(agent, tmp_path / "policy")
    policy = load_policy(tmp_path, seed=1)
    expected = agent.policy.act(OBSERVATIONS)[0].numpy()
    np.testing.assert_allclose(policy.act(OBSERVATIONS, deterministic=True), expected, atol=1e-5)
    # The sampled ones have the agent's distribution, clipped to the box.
    many = np.tile(OBSERVATIONS[:1], [4000, 1])
    ours = policy.act(many)
    theirs = np.clip(agent.collect_policy.act(many)[0].numpy(), ACTION_SPEC.minimum, ACTION_SPEC.maximum)
    assert (ours >= ACTION_SPEC.minimum).all() and (ours <= ACTION_SPEC.maximum).all()
    deviation = theirs.std(axis=0)
    np.testing.assert_allclose(ours.mean(axis=0), theirs.mean(axis=0), atol=float(0.1 * deviation.max()))
    np.testing.assert_allclose(ours.std(axis=0), deviation, rtol=0.1)


# The user's process has TensorFlow alone.
FOREIGN_PROCESS = """
import sys
for name in ("expol_tf", "tensorflow_probability", "tf_agents"):
    sys.modules[name] = None
import numpy as np
import tensorflow as tf
directory, observations, greedy = sys.argv[1:4]
model = tf.saved_model.load(directory)
observations = tf.constant(np.load(observations).astype(np.float32))
action = model.signatures["deterministic"](observation=observations)["action"]
np.save(greedy, action.numpy())
first, second = (model.signatures["sample"](observation=observations)["action"] for _ in range(2))
assert first.shape == action.shape and np.abs(first - second).max() > 0, "two draws are equal"
assert sys.modules["expol_tf"] is None and sys.modules["tensorflow_probability"] is None
"""


def test_loads_in_a_process_without_the_library(agent: TrpoAgent, tmp_path: pathlib.Path) -> None:
    export_policy(agent, tmp_path / "policy")
    np.save(tmp_path / "observations.npy", OBSERVATIONS)
    paths = [str(tmp_path / name) for name in ("policy", "observations.npy", "greedy.npy")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", FOREIGN_PROCESS, *paths]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    expected = agent.policy.act(OBSERVATIONS)[0].numpy()
    np.testing.assert_allclose(np.load(tmp_path / "greedy.npy"), expected, atol=1e-5)


def test_one_observation_or_a_batch_of_any_float(agent: TrpoAgent, tmp_path: pathlib.Path) -> None:
    export_policy(agent, tmp_path / "policy")
    policy = load_policy(tmp_path / "policy")
    batch = policy.act(OBSERVATIONS, deterministic=True)
    assert batch.shape == (6, 2) and batch.dtype == np.float32
    for dtype in (np.float64, np.float32):
        one = policy.act(OBSERVATIONS[2].astype(dtype), deterministic=True)
        assert one.shape == (2,)
        np.testing.assert_allclose(one, batch[2], atol=1e-6)
    np.testing.assert_allclose(policy.act([1, 2, 3], True), policy.act(np.array([1.0, 2.0, 3.0]), True))


def test_sampling_follows_the_seed(agent: TrpoAgent, tmp_path: pathlib.Path) -> None:
    export_policy(agent, tmp_path / "policy")

    def draws(seed: int | None) -> np.ndarray:
        policy = load_policy(tmp_path, seed)
        return np.stack([policy.act(OBSERVATIONS) for _ in range(2)])

    first = draws(5)
    assert (first[0] != first[1]).any()
    np.testing.assert_array_equal(draws(5), first)
    assert (draws(6) != first).any()
    assert (draws(None) != draws(None)).any()


def test_a_new_export_replaces_the_old_one_whole(tmp_path: pathlib.Path) -> None:
    agent = make_agent()
    (tmp_path / ".policy.new").mkdir()
    (tmp_path / ".policy.new" / "part_of_a_killed_export").touch()
    export_policy(agent, tmp_path / "policy")
    (tmp_path / "policy" / "marker").touch()
    old = load_policy(tmp_path).act(OBSERVATIONS, deterministic=True)
    for variable in agent.actor_network.trainable_variables:
        variable.assign(0.5 * variable)
    export_policy(agent, tmp_path / "policy")
    new = load_policy(tmp_path).act(OBSERVATIONS, deterministic=True)
    assert (old != new).any()
    assert os.listdir(tmp_path) == ["policy"]
    assert not (tmp_path / "policy" / "marker").exists()


def test_a_directory_that_cannot_be_written(agent: TrpoAgent, tmp_path: pathlib.Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RunDirectoryError, match="cannot write the policy to"):
        export_policy(agent, tmp_path / "file" / "policy")


def test_observations_that_do_not_fit(agent: TrpoAgent, tmp_path: pathlib.Path) -> None:
    export_policy(agent, tmp_path / "policy")
    policy = load_policy(tmp_path)
    for wrong in (np.zeros([4]), np.zeros([2, 4]), np.zeros([1, 1, 3]), np.zeros([])):
        with pytest.raises(ConfigurationError, match=r"must have the shape \[3\], or \[B, 3\]"):
            policy.act(wrong)
    with pytest.raises(NonFiniteError, match="observation must be finite"):
        policy.act([0.0, np.nan, 0.0])


def test_a_directory_without_a_policy(tmp_path: pathlib.Path) -> None:
    with pytest.raises(ConfigurationError, match="holds no policy"):
        load_policy(tmp_path)


def damage_graph(policy: pathlib.Path) -> None:
    (policy / "saved_model.pb").write_bytes(b"garbage")


def truncate_graph(policy: pathlib.Path) -> None:
    path = policy / "saved_model.pb"
    path.write_bytes(path.read_bytes()[:-100])


def empty_graph(policy: pathlib.Path) -> None:
    (policy / "saved_model.pb").write_bytes(b"")


def truncate_variables(policy: pathlib.Path) -> None:
    path = policy / "variables" / "variables.data-00000-of-00001"
    path.write_bytes(path.read_bytes()[:-50])


def change_variables(policy: pathlib.Path) -> None:
    path = policy / "variables" / "variables.data-00000-of-00001"
    path.write_bytes(bytes(len(path.read_bytes())))


def remove_variables(policy: pathlib.Path) -> None:
    (policy / "variables" / "variables.index").unlink()


@pytest.mark.parametrize(
    "damage",
    [damage_graph, truncate_graph, empty_graph, truncate_variables, change_variables, remove_variables],
)
def test_a_damaged_policy_is_said_to_be_one(
    damage: Callable[[pathlib.Path], None], agent: TrpoAgent, tmp_path: pathlib.Path
) -> None:
    export_policy(agent, tmp_path / "policy")
    damage(tmp_path / "policy")
    with pytest.raises(RunDirectoryError) as raised:
        load_policy(tmp_path)
    message = str(raised.value)
    assert message.startswith(f"directory: the policy in {tmp_path / 'policy'} is damaged (")
    assert message.endswith("it exports its policy anew.") and "\n" not in message


@pytest.mark.parametrize("kind", ["directory", "dangling", "pipe"])
@pytest.mark.parametrize("name", ["saved_model.pb", "variables/variables.index", "fingerprint.pb", "."])
def test_fault_14_a_file_of_a_policy_that_is_none(
    agent: TrpoAgent, tmp_path: pathlib.Path, name: str, kind: str
) -> None:
    policy = tmp_path / "policy"
    if name != ".":
        export_policy(agent, policy)
    ANY[kind][0](policy / name)
    if (name, kind) == ("fingerprint.pb", "directory"):
        return  # Nobody reads it.
    with pytest.raises(
        RunDirectoryError, match=r"^directory: the policy in \S+ is damaged \(.*it exports its"
    ):
        load_policy(tmp_path)


def test_fault_14_a_fingerprint_that_is_none(
    agent: TrpoAgent, tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture
) -> None:
    export_policy(agent, tmp_path)
    (tmp_path / "fingerprint.pb").write_bytes(b"\x8b\xffno fingerprint")
    with pytest.raises(RunDirectoryError, match="is damaged"):
        load_policy(tmp_path)
    assert "Traceback" not in caplog.text, "TensorFlow's own, which it logs and goes on"


def test_another_saved_model_is_no_policy(tmp_path: pathlib.Path) -> None:
    tf.saved_model.save(tf.Module(), str(tmp_path))
    with pytest.raises(ConfigurationError, match="holds a SavedModel, but no policy of this library"):
        load_policy(tmp_path)


@pytest.mark.parametrize("directory", [None, 3, b"x"])
def test_the_directory_of_a_policy_is_a_path(directory: object) -> None:
    with pytest.raises(ConfigurationError, match=f"^directory must be a path.*got {directory!r}"):
        load_policy(directory)  # type: ignore[arg-type]


@pytest.mark.parametrize("observation", ["x", [[1.0], [1.0, 2.0]], {}, object(), ["a", "b", "c"]])
def test_an_observation_is_made_of_numbers(
    observation: object, agent: TrpoAgent, tmp_path: pathlib.Path
) -> None:
    export_policy(agent, tmp_path)
    with pytest.raises(ConfigurationError, match="^observation must be an array of real numbers; got "):
        load_policy(tmp_path).act(observation)


def test_a_policy_that_finds_too_little_memory_is_not_called_damaged(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export_policy(make_agent(), tmp_path / "policy")

    def fail(path: str) -> None:
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating")

    monkeypatch.setattr(tf.saved_model, "load", fail)
    with pytest.raises(OutOfMemoryError, match=r"too little memory for it \(OOM when allocating\)"):
        load_policy(tmp_path)
