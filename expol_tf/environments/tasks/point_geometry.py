"""Points and segments of the plane."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from expol_tf.errors import ConfigurationError


def crosses(start: np.ndarray, end: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Returns where the segments from `start` to `end` touch the one from `first` to `second`.

    Args:
      start: `[..., 2]`.
      end: `[..., 2]`.
      first: `[2]`.
      second: `[2]`, another point.

    Returns:
      Bool `[...]`; touching at an end point counts.
    """
    start, end = np.broadcast_arrays(start, end)
    start_side, end_side = _side(first, second, start), _side(first, second, end)
    first_side, second_side = _side(start, end, first), _side(start, end, second)
    apart = (start_side * end_side > 0) | (first_side * second_side > 0)
    # On one line both tests are silent: then the segments' shadows on the axes have to meet as well.
    for axis in (0, 1):
        low, high = sorted((first[axis], second[axis]))
        apart = apart | (np.maximum(start[..., axis], end[..., axis]) < low)
        apart = apart | (np.minimum(start[..., axis], end[..., axis]) > high)
    return ~apart


def point_array(points: npt.ArrayLike, name: str, half_width: float) -> np.ndarray:
    """Returns points `[G, 2]` as float64, once they are known to lie in [−half_width, half_width]².

    Raises:
      ConfigurationError: If they do not; names them `name`.
    """
    try:
        array = np.array(points, np.float64)
    except (TypeError, ValueError) as error:
        raise ConfigurationError(f"{name} must be an array of points; got {points!r}.") from error
    if array.ndim != 2 or array.shape[1] != 2 or not len(array):
        raise ConfigurationError(f"{name} must be points, of shape (number of points, 2); got {points!r}.")
    if not np.all(np.abs(array) <= half_width):
        raise ConfigurationError(
            f"{name} must lie in the plane [-{half_width:g}, {half_width:g}]²; got {array.tolist()}."
        )
    return array


def _side(first: np.ndarray, second: np.ndarray, point: np.ndarray) -> np.ndarray:
    """Returns a number whose sign says on which side of the line first → second a point lies."""
    along, across = second - first, point - first
    return along[..., 0] * across[..., 1] - along[..., 1] * across[..., 0]
