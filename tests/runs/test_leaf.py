"""Who only reads runs does not wait for TensorFlow."""

from __future__ import annotations

import os
import subprocess
import sys

PROGRAM = """
import sys
import expol_tf.runs
loaded = [name for name in ("tensorflow", "gin", "matplotlib.figure", "pandas", "ray") if name in sys.modules]
assert not loaded, loaded
import expol_tf.reports.runs, expol_tf.sweeps
assert "tensorflow" not in sys.modules
"""


def test_importing_runs_imports_no_tensorflow():
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
