from __future__ import annotations

import os
import pathlib
import subprocess
import sys

import pytest
import tensorflow as tf

from expol_tf.agents import Acting, TrpoAgent
from expol_tf.environments import load_vector, time_step_spec
from expol_tf.errors import ConfigurationError
from expol_tf.networks import GaussianActorNetwork, ValueNetwork
from expol_tf.training import export_policy
from expol_tf.training.devices import configure_devices, gpu_indices, learner_scope


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"device": "tpu"}, 'device must be "auto", "cpu", "gpu"'),
        ({"device": "gpu:x"}, "got 'gpu:x'"),
        ({"device": "cpu:0"}, "got 'cpu:0'"),
        ({"device": "gpu:0,cpu:1"}, "got 'gpu:0,cpu:1'"),
        ({"device": "gpu:99"}, "device 'gpu:99' is not there"),
        ({"device": "gpu:0,gpu:99"}, "device 'gpu:0,gpu:99' is not there"),
        ({"intra_op_threads": -1}, "intra_op_threads must be 0 or more; got -1"),
    ],
)
def test_bad_arguments(arguments: dict, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        configure_devices(**arguments)


@pytest.mark.parametrize(
    ("device", "indices"),
    [
        ("auto", [0]),
        ("cpu", []),
        ("cpu:2", []),
        ("gpu", [0]),
        ("GPU:2", [2]),
        ("gpu:2,gpu:0", [2, 0]),
        ("gpus", [0, 1, 2]),
    ],
)
def test_which_gpus(device: str, indices: list[int]) -> None:
    assert gpu_indices(device, 3) == indices


def test_gpus_that_are_not_there() -> None:
    assert gpu_indices("auto", 0) == []
    for device in ("gpu", "gpus", "gpu:0"):
        with pytest.raises(ConfigurationError, match="TensorFlow sees 0 GPU"):
            gpu_indices(device, 0)
    with pytest.raises(ConfigurationError, match="each GPU once; got 'gpu:1,gpu:1'"):
        gpu_indices("gpu:1,gpu:1", 3)


def test_one_device_needs_no_scope() -> None:
    with learner_scope():
        assert not tf.distribute.has_strategy()


# TensorFlow fixes its threads and devices once in a process, so these need one of their own.
DIVIDED = """
import tensorflow as tf
from expol_tf.errors import ConfigurationError
from expol_tf.training.devices import configure_devices, learner_scope

for _ in range(2):
    assert configure_devices("cpu:2") == "CPU:0,CPU:1"
with learner_scope():
    assert tf.distribute.get_strategy().num_replicas_in_sync == 2
    variable = tf.Variable(1.0)
assert {copy.device[-5:] for copy in variable.values} == {"CPU:0", "CPU:1"}
assert not tf.distribute.has_strategy()
assert configure_devices("cpu:2") == "CPU:0,CPU:1"
try:
    configure_devices("cpu:3")
except ConfigurationError as error:
    assert "device='cpu:3'" in str(error)
else:
    raise AssertionError("a change after TensorFlow began was accepted")
print("passed")
"""

SCRIPT = """
import tensorflow as tf
from expol_tf.errors import ConfigurationError
from expol_tf.training.devices import configure_devices

assert configure_devices("cpu", intra_op_threads=1, inter_op_threads=2) == "CPU:0"
assert tf.config.threading.get_intra_op_parallelism_threads() == 1
assert tf.config.threading.get_inter_op_parallelism_threads() == 2
tf.constant(1.0) + 1.0
assert configure_devices("CPU", intra_op_threads=1, inter_op_threads=2) == "CPU:0", "the same again"
try:
    configure_devices("cpu", intra_op_threads=2, inter_op_threads=2)
except ConfigurationError as error:
    assert "intra_op_threads=2" in str(error) and "already begun with other settings" in str(error)
else:
    raise AssertionError("a change after TensorFlow began was accepted")
print("passed")
"""


@pytest.mark.parametrize("script", [SCRIPT, DIVIDED], ids=["threads", "logical devices"])
def test_threads_and_devices_are_set_once(script: str) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TF_NUM_")}
    environment["PYTHONPATH"] = os.pathsep.join(sys.path)
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.stdout == "passed\n", done.stderr


# What a notebook does before it trains. The tests' own settings would hide that threads differ.
BEFORE = {
    "a computation": "import tensorflow as tf; tf.constant(1.0) + 1.0",
    "a loaded policy": "import expol_tf; expol_tf.load_policy(sys.argv[1]).act([0.0] * 4)",
}
TRAIN = """
import functools, sys
{before}
import expol_tf
from expol_tf.agents import Acting, TrpoAgent
from expol_tf.networks import GaussianActorNetwork

expol_tf.train(
    "run",
    "InvertedPendulum-v5",
    agent=functools.partial(TrpoAgent, acting=Acting(jit_compile=False)),
    actor_network=functools.partial(GaussianActorNetwork, hidden_units=(4,)),
    num_envs=8, num_env_steps=1, eval_interval=0,
)
"""


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """An exported policy of the task that is trained."""
    directory = tmp_path_factory.mktemp("exported") / "policy"
    env = load_vector("InvertedPendulum-v5")
    specs, action_spec = time_step_spec(env), env.action_spec
    networks = (
        GaussianActorNetwork(specs.observation, action_spec, (4,)),
        ValueNetwork(specs.observation, (4,)),
    )
    export_policy(TrpoAgent(specs, action_spec, *networks, acting=Acting(jit_compile=False)), directory)
    return directory


@pytest.mark.parametrize("before", list(BEFORE))
def test_fault_11_train_comes_after_what_has_computed(
    before: str, policy: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TF_NUM_")}
    environment["PYTHONPATH"] = os.pathsep.join(map(os.path.abspath, sys.path))
    command = [sys.executable, "-c", TRAIN.format(before=BEFORE[before]), str(policy)]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    said = [line for line in done.stderr.splitlines() if "TensorFlow has already begun" in line]
    assert len(said) == 1 and "which may be slower" in said[0] and "intra_op_threads=1" in said[0]
