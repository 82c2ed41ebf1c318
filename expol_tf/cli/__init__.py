"""The command lines, and what all programs share: paths, versions, errors as one message."""

from __future__ import annotations

from expol_tf.cli.paths import home_path, require_path, shown, user_directory, user_path
from expol_tf.cli.programs import USAGE_ERROR, resume_command, run_program
from expol_tf.cli.user_modules import import_user_module, nearest_module
from expol_tf.cli.versions import REPORT_PACKAGES, RUN_PACKAGES, installed_versions
from expol_tf.suggestions import did_you_mean, nearest

__all__ = [
    "REPORT_PACKAGES",
    "RUN_PACKAGES",
    "USAGE_ERROR",
    "did_you_mean",
    "home_path",
    "import_user_module",
    "installed_versions",
    "nearest",
    "nearest_module",
    "require_path",
    "resume_command",
    "run_program",
    "shown",
    "user_directory",
    "user_path",
]
