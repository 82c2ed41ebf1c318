import json
import os
import platform

import numpy as np
import tensorflow as tf

from expol_tf.runs import environment_record


def test_the_record_names_what_numbers_depend_on(monkeypatch):
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")
    record = json.loads(json.dumps(environment_record.describe_environment(seed=7, device="cpu")))
    assert record["seed"] == 7 and record["device"] == "cpu"
    assert record["versions"]["python"] == platform.python_version()
    assert record["versions"]["tensorflow"] == tf.__version__
    assert record["versions"]["numpy"] == np.__version__
    assert record["variables"]["TF_ENABLE_ONEDNN_OPTS"] == "0"
    assert record["threads"]["available"] == len(os.sched_getaffinity(0))
    assert record["command"]


def test_differences_name_old_and_new():
    recorded = {"versions": {"numpy": "1.26"}, "threads": {"intra_op": 1}, "host": "a"}
    current = {"versions": {"numpy": "1.26", "mujoco": "4"}, "threads": {"intra_op": 2}, "host": "b"}
    assert environment_record.differences(recorded, current) == [
        "versions.mujoco: None → 4",
        "threads.intra_op: 1 → 2",
    ]
    assert environment_record.differences(recorded, recorded) == []
