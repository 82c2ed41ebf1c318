"""Segments in the plane."""

from __future__ import annotations

import numpy as np


def crosses(start: np.ndarray, end: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Returns which segments from `start` to `end` touch the segment from `first` to `second`.

    Args:
      start: Points where the moving segments begin, `[..., 2]`.
      end: Points where they end, `[..., 2]`.
      first: One end of the fixed segment, `[2]`.
      second: Its other end, `[2]`, a different point.

    Returns:
      Bool `[...]`. Touching at an end point counts.
    """
    start, end = np.broadcast_arrays(start, end)
    start_side, end_side = _side(first, second, start), _side(first, second, end)
    first_side, second_side = _side(start, end, first), _side(start, end, second)
    # Two points on one side of a line have signs whose product is positive: then that segment does not cross.
    apart = (start_side * end_side > 0) | (first_side * second_side > 0)
    # Where all four points lie on one line, every side is 0: the projections on the axes decide then.
    for axis in (0, 1):
        low, high = sorted((first[axis], second[axis]))
        apart = apart | (np.maximum(start[..., axis], end[..., axis]) < low)
        apart = apart | (np.minimum(start[..., axis], end[..., axis]) > high)
    return ~apart


def _side(first: np.ndarray, second: np.ndarray, point: np.ndarray) -> np.ndarray:
    """Returns a number whose sign says on which side of the line first → second `point` lies."""
    along, across = second - first, point - first
    return along[..., 0] * across[..., 1] - along[..., 1] * across[..., 0]
