"""Many runs at once: sweeps of experiments × tasks × settings × seeds on Ray."""

from __future__ import annotations

from expol_tf.configuration import find_file
from expol_tf.sweeps import table
from expol_tf.sweeps.check import CheckedRun, check_runs
from expol_tf.sweeps.file import read_sweep
from expol_tf.sweeps.plan import SweepRun, plan_sweep
from expol_tf.sweeps.ray_pool import import_ray
from expol_tf.sweeps.runner import SweepResult, require_pool, run_sweep
from expol_tf.sweeps.sweep import LogUniform, Sweep, Uniform

__all__ = [
    "CheckedRun",
    "LogUniform",
    "Sweep",
    "SweepResult",
    "SweepRun",
    "Uniform",
    "check_runs",
    "find_file",
    "import_ray",
    "plan_sweep",
    "read_sweep",
    "require_pool",
    "run_sweep",
    "table",
]
