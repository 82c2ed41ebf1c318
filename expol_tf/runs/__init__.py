"""A run's directory and what lies in it: tables, atomic files, its lock, its progress, its learning curve."""

from __future__ import annotations

from expol_tf.runs import atomic_files
from expol_tf.runs.environment_record import describe_environment
from expol_tf.runs.interruption import StopRequest
from expol_tf.runs.learning_curve import plot_learning_curve
from expol_tf.runs.progress import Progress
from expol_tf.runs.run_directory import RunDirectory
from expol_tf.runs.tables import CsvTable, read_table

__all__ = [
    "CsvTable",
    "Progress",
    "RunDirectory",
    "StopRequest",
    "atomic_files",
    "describe_environment",
    "plot_learning_curve",
    "read_table",
]
