"""Cells of the figures' printed tables."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np


def rounded(values: Sequence[float], digits: int = 3) -> str:
    """Returns the mean of values, without the sign of a rounded −0."""
    return f"{round(float(np.mean(values)), digits) + 0.0:.{digits}f}"


def mean_and_range(values: Sequence[float]) -> str:
    """Returns "mean (lowest … highest)", or the value where there is one."""
    if len(values) == 1:
        return rounded(values)
    return f"{rounded(values)} ({rounded([min(values)])} … {rounded([max(values)])})"


def median_and_range(values: Sequence[float]) -> str:
    """Returns "median (lowest … highest)" to three digits, for what varies by magnitudes."""
    if len(values) == 1:
        return f"{values[0]:.3g}"
    return f"{np.median(values):.3g} ({min(values):.3g} … {max(values):.3g})"


def signed(number: float, digits: int = 0) -> str:
    """Returns a number with a minus of the same width as on the axes."""
    return f"{number:.{digits}f}".replace("-", "−")


def known(value: float, digits: str = "", unknown: str = "") -> str:
    """Returns a number with these digits, such as ".2f", or `unknown` where it is NaN."""
    return unknown if math.isnan(value) else f"{value:{digits}}"
