"""Many runs at once: sweeps of experiments × tasks × settings × seeds on Ray."""

from __future__ import annotations

from expol_tf.distributed.sweep import LogUniform, Sweep, Uniform
from expol_tf.distributed.sweep_check import CheckedRun, check_runs
from expol_tf.distributed.sweep_file import read_sweep
from expol_tf.distributed.sweep_plan import SweepRun, plan_sweep
from expol_tf.distributed.sweep_runner import SweepResult, run_sweep

__all__ = [
    "CheckedRun",
    "LogUniform",
    "Sweep",
    "SweepResult",
    "SweepRun",
    "Uniform",
    "check_runs",
    "plan_sweep",
    "read_sweep",
    "run_sweep",
]
