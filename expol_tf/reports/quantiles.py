"""Sensitivity: how an experiment's final returns are distributed over its runs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def quantile_curve(returns: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """Returns (levels, sorted returns), both [N]: the i-th smallest of N is the (i − ½)/N quantile."""
    values = np.sort(np.asarray(returns, float))
    return (np.arange(len(values)) + 0.5) / max(len(values), 1), values


def as_numbers(values: Sequence[str]) -> np.ndarray | None:
    """Returns the values of a parameter as numbers [N]; None if one of them is no finite number."""
    try:
        numbers = np.array([float(value) for value in values])
    except ValueError:
        return None
    return numbers if np.isfinite(numbers).all() else None
