"""Too little memory is one error with one sentence, whoever notices it.

Nothing here imports TensorFlow: its errors are known by the names of their classes.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

from expol_tf.errors import ExpolError, OutOfMemoryError, TaskError
from expol_tf.tensorflow_texts import without_nodes

# What NumPy and TensorFlow say of sizes that no memory has.
_TOO_LARGE = re.compile(
    r"array is too big|maximum allowed dimension|overflow|tensor used for shape",
    re.IGNORECASE,
)
_LONGEST_REASON = 300


@contextlib.contextmanager
def memory_errors(sizes: bool = False) -> Iterator[None]:
    """Turns what Python, NumPy and TensorFlow raise where memory is short into one sentence.

    Args:
      sizes: Whether sizes that no memory has count too, which are errors of other kinds. This is for blocks
        whose sizes are settings: elsewhere such an error may be a defect.

    Raises:
      OutOfMemoryError: There is not enough memory for what the block does.
    """
    try:
        yield
    except ExpolError:
        raise
    except Exception as error:
        if not (_is_shortage(error) or (sizes and _is_size_of_no_memory(error))):
            raise
        line = without_nodes((str(error).strip().splitlines() or [""])[0])[:_LONGEST_REASON]
        raise OutOfMemoryError(
            f"this machine has too little memory for it ({line.rstrip('.') or type(error).__name__}). Lower "
            "what is large: NUM_ENVS, OffPolicyRunner.replay_capacity, a batch, the number of samples or "
            "particles, or the hidden_units of a network. Or end other programs."
        ) from error


def is_shortage_of_memory(error: Exception) -> bool:
    """Whether an error says that memory is short, also one that an environment raised."""
    return _is_shortage(error.raised if isinstance(error, TaskError) else error)


def _is_shortage(error: BaseException | None) -> bool:
    return isinstance(error, MemoryError) or "ResourceExhaustedError" in _names(error)


def _is_size_of_no_memory(error: Exception) -> bool:
    refused = isinstance(error, ValueError | OverflowError) or "InvalidArgumentError" in _names(error)
    return refused and _TOO_LARGE.search(str(error)) is not None


def _names(error: BaseException | None) -> set[str]:
    return {cls.__name__ for cls in type(error).__mro__}
