"""Keras 2 is chosen before TensorFlow is imported, and nothing else is taken for it."""

from __future__ import annotations

import importlib.util
import os
import pathlib
import subprocess
import sys
import types

import pytest
import tensorflow as tf

import expol_tf
from expol_tf.errors import DependencyError

ROOT = pathlib.Path(expol_tf.__file__).parents[1]
SECOND_SET = importlib.util.find_spec("tf_keras") is not None


def imported(code: str, *path: pathlib.Path, **environment: str) -> str:
    """What `code` prints in a fresh process that has the directories `path` before all others."""
    unset = {name: text for name, text in os.environ.items() if name != "TF_USE_LEGACY_KERAS"}
    python_path = os.pathsep.join([*map(str, path), str(ROOT), os.environ.get("PYTHONPATH", "")])
    found = subprocess.run(
        [sys.executable, "-c", code],
        env={**unset, "PYTHONPATH": python_path, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return found.stdout.strip()


SHOW = (
    "import expol_tf, os, sys; print(os.environ.get('TF_USE_LEGACY_KERAS'), "
    "'tensorflow.python.pywrap_dlopen_global_flags' in sys.modules)"
)


def test_keras_2_is_chosen_where_it_is_a_package_of_its_own(tmp_path: pathlib.Path) -> None:
    (tmp_path / "tf_keras").mkdir()
    (tmp_path / "tf_keras" / "__init__.py").touch()
    assert imported(SHOW, tmp_path) == "1 True"
    # What the user says stands.
    assert imported(SHOW, tmp_path, TF_USE_LEGACY_KERAS="0") == "0 True"


@pytest.mark.skipif(SECOND_SET, reason="tf-keras is installed")
def test_nothing_is_set_where_keras_2_is_part_of_tensorflow() -> None:
    assert imported(SHOW) == "None False"


def test_keras_3_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    source = ROOT / "expol_tf" / "keras_api.py"
    spec = importlib.util.spec_from_file_location("another_keras_api", source)
    assert spec is not None and spec.loader is not None
    monkeypatch.setattr(tf, "keras", types.SimpleNamespace(__version__="3.12.0"))
    with pytest.raises(DependencyError, match=r"must be Keras 2; got Keras 3\.12\.0.*TF_USE_LEGACY"):
        spec.loader.exec_module(importlib.util.module_from_spec(spec))
