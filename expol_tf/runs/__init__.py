"""A run's directory and what lies in it: names, record, tables, atomic files, lock, progress, learning curve.

Training writes it, sweeps and reports read it. Nothing here imports TensorFlow when it is imported.
"""

from __future__ import annotations

from expol_tf.interruption import StopRequest
from expol_tf.runs import atomic_files, reading
from expol_tf.runs.environment_record import describe_environment
from expol_tf.runs.learning_curve import plot_learning_curve
from expol_tf.runs.lock import DirectoryLock
from expol_tf.runs.progress import Progress
from expol_tf.runs.returns import Episodes, Evaluations, read_metrics
from expol_tf.runs.run_directory import RunDirectory
from expol_tf.runs.run_files import LOCK, SWEEP_TABLE, RunFiles
from expol_tf.runs.run_tables import TABLES_SCHEMA, RunTables
from expol_tf.runs.tables import (
    CsvTable,
    last_row,
    read_columns,
    read_lines,
    read_table,
    read_text_table,
    write_table,
)

__all__ = [
    "LOCK",
    "SWEEP_TABLE",
    "TABLES_SCHEMA",
    "CsvTable",
    "DirectoryLock",
    "Episodes",
    "Evaluations",
    "Progress",
    "RunDirectory",
    "RunFiles",
    "RunTables",
    "StopRequest",
    "atomic_files",
    "describe_environment",
    "last_row",
    "plot_learning_curve",
    "read_columns",
    "read_lines",
    "read_metrics",
    "read_table",
    "read_text_table",
    "reading",
    "write_table",
]
