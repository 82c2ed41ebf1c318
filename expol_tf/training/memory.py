"""One message for an experiment that needs more memory than there is."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

import tensorflow as tf

from expol_tf.errors import ConfigurationError, ExpolError
from expol_tf.runs import atomic_files

# What NumPy and TensorFlow say of sizes that no memory has.
_TOO_LARGE = re.compile(
    r"array is too big|maximum allowed dimension|too large to convert|overflow|tensor used for shape",
    re.IGNORECASE,
)


@contextlib.contextmanager
def memory_errors() -> Iterator[None]:
    """Turns what NumPy and TensorFlow raise where memory is short into a message that says what to lower.

    Raises:
      ConfigurationError: There is not enough memory for what the block does.
    """
    try:
        yield
    except ExpolError:
        raise
    except (MemoryError, tf.errors.ResourceExhaustedError) as error:
        raise _short(error) from error
    except (ValueError, OverflowError, tf.errors.InvalidArgumentError) as error:
        if _TOO_LARGE.search(str(error)):
            raise _short(error) from error
        raise


def _short(error: Exception) -> ConfigurationError:
    return ConfigurationError(
        f"the experiment needs more memory than there is ({atomic_files.reason(error)}). Lower what is so "
        "large: NUM_ENVS, OffPolicyRunner.replay_capacity, a batch, the number of samples or particles, "
        "or the hidden_units of a network."
    )
