"""The command lines, and what every program does alike: paths, versions, errors as one message."""

from __future__ import annotations

from expol_tf.cli.paths import shown, user_directory, user_path
from expol_tf.cli.programs import USAGE_ERROR, command_start, run_program
from expol_tf.cli.suggestions import did_you_mean, nearest
from expol_tf.cli.versions import REPORT_PACKAGES, RUN_PACKAGES, installed_versions

__all__ = [
    "REPORT_PACKAGES",
    "RUN_PACKAGES",
    "USAGE_ERROR",
    "command_start",
    "did_you_mean",
    "installed_versions",
    "nearest",
    "run_program",
    "shown",
    "user_directory",
    "user_path",
]
