from __future__ import annotations

import os
import subprocess
import sys

import pytest

from expol_tf.errors import ConfigurationError
from expol_tf.training.devices import configure_devices


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"device": "tpu"}, 'device must be "auto", "cpu", "gpu"'),
        ({"device": "gpu:x"}, "got 'gpu:x'"),
        ({"device": "gpu:99"}, "device 'gpu:99' is not there"),
        ({"intra_op_threads": -1}, "intra_op_threads must be 0 or more; got -1"),
    ],
)
def test_bad_arguments(arguments: dict, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        configure_devices(**arguments)


# TensorFlow fixes its threads once in a process, so this needs one of its own.
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


def test_threads_are_set_once() -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TF_NUM_")}
    environment["PYTHONPATH"] = os.pathsep.join(sys.path)
    command = [sys.executable, "-c", SCRIPT]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.stdout == "passed\n", done.stderr
