"""Checks of the tasks' arguments."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from expol_tf.errors import ConfigurationError


def number(value: float, name: str, lowest: float, excluded: bool = False) -> float:
    """Returns `value` as a float, once it is known to be finite and not below `lowest`.

    Args:
      value: The number that the user passed.
      name: The argument's name, for the message.
      lowest: The smallest number allowed; −∞ allows every finite one.
      excluded: Whether `lowest` itself is refused.

    Raises:
      ConfigurationError: If it is not such a number.
    """
    rule = "finite" if lowest == -np.inf else f"finite and {'above' if excluded else 'at least'} {lowest:g}"
    try:
        result = float(value)
    except (TypeError, ValueError) as error:
        raise ConfigurationError(f"{name} must be a number, {rule}; got {value!r}.") from error
    if not np.isfinite(result) or result < lowest or (excluded and result == lowest):
        raise ConfigurationError(f"{name} must be {rule}; got {value!r}.")
    return result


def array(value: npt.ArrayLike, name: str, content: str = "numbers") -> np.ndarray:
    """Returns a float64 copy of `value`; the error says that `name` must be an array of `content`."""
    try:
        return np.array(value, np.float64)
    except (TypeError, ValueError) as error:
        raise ConfigurationError(f"{name} must be an array of {content}; got {value!r}.") from error


def points(value: npt.ArrayLike, name: str, place: str, half_width: float) -> np.ndarray:
    """Returns points `[G, 2]` as float64, once they are known to lie in [−half_width, half_width]².

    Raises:
      ConfigurationError: If they are not points, or one lies outside or is NaN. The message says `place` for
        the square.
    """
    result = array(value, name, "points")
    if result.ndim != 2 or result.shape[1] != 2 or not len(result):
        raise ConfigurationError(f"{name} must be points, of shape (number of points, 2); got {value!r}.")
    if not np.all(np.abs(result) <= half_width):
        raise ConfigurationError(
            f"{name} must lie in {place} [-{half_width:g}, {half_width:g}]²; got {result.tolist()}."
        )
    return result
