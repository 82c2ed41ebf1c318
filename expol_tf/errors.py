"""Errors that a user can mend.

Every message names the argument, the rule, the value got and the remedy. The command-line programs print
these messages without a traceback; anything else that is raised is a defect of the library.
"""

from __future__ import annotations


class ExpolError(Exception):
    """Base of all errors that are the caller's to mend."""


class ConfigurationError(ExpolError, ValueError):
    """A setting (argument, gin binding, flag) is unknown, missing or has a value outside its rule."""


class SpaceError(ExpolError, ValueError):
    """An observation or action space is of a kind that the library does not support."""


class UnknownEnvironmentError(ExpolError, ValueError):
    """No environment is registered under the given name, or it cannot be made here."""


class CapabilityError(ExpolError, TypeError):
    """An algorithm needs something that the policy's distribution cannot do."""


class NonFiniteError(ExpolError, ArithmeticError):
    """An observation, reward or parameter became NaN or infinite."""


class RunDirectoryError(ExpolError, RuntimeError):
    """A run directory is in use, belongs to another experiment, or cannot be written."""


class CheckpointError(ExpolError, RuntimeError):
    """A checkpoint cannot be written, or none that fits can be restored."""


class DependencyError(ExpolError, ImportError):
    """An optional package or system library is needed and not installed."""
