"""Normalized returns: 0 is a random policy and 1 a reference, so that tasks can be averaged."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np


class Reference(NamedTuple):
    """A task's returns: of uniformly random actions in the versions v4 and v5, and of the reference."""

    random_v4: float
    random_v5: float
    reference: float
    source: str


_SAC = "SAC after 1M steps, the published benchmark of Tianshou (10 seeds, versions v2 and v3)"
_RANDOM = "mean of 100 episodes of uniformly random actions"

# Random: measured with Gymnasium 1.3 and MuJoCo 3.17 as docs/reports.md says. Swimmer's reference is what a
# good gait earns, which needs a discount near 1; SAC with its usual one stays at 44.
REFERENCES: Mapping[str, Reference] = {
    "Ant": Reference(-66.43, -67.54, 5850.2, _SAC),
    "HalfCheetah": Reference(-274.86, -274.86, 12138.8, _SAC),
    "Hopper": Reference(17.67, 16.67, 3542.2, _SAC),
    "Walker2d": Reference(2.61, 1.77, 5007.0, _SAC),
    "Humanoid": Reference(120.89, 112.60, 5488.5, _SAC),
    "Swimmer": Reference(0.80, 0.80, 360.0, "the known good gait"),
    "Reacher": Reference(-43.35, -43.29, -2.6, _SAC),
    "InvertedPendulum": Reference(6.23, 5.23, 1000.0, "the most that the task gives"),
    "InvertedDoublePendulum": Reference(59.09, 49.09, 9359.5, _SAC),
    "Pendulum": Reference(-1207.56, -1207.56, -150.0, "about what a swing-up costs"),
}


@dataclasses.dataclass(frozen=True)
class Normalization:
    """score = (return − zero) / (one − zero).

    Attributes:
      zero: The return with score 0.
      one: The return with score 1.
      source: Where both are from.
    """

    zero: float
    one: float
    source: str

    def __call__(self, returns: np.ndarray) -> np.ndarray:
        """Returns the scores of returns of any shape."""
        return (np.asarray(returns, float) - self.zero) / (self.one - self.zero)


def normalization(task: str, returns: np.ndarray) -> Normalization:
    """Returns the task's normalization: the committed reference, or the range of the report's own returns.

    Args:
      task: A Gymnasium id; with anything behind it (another length or reward) it is a task of its own.
      returns: Every return of the report on this task, from the beginning of its curves on.
    """
    match = re.fullmatch(r"(?:.*[/:])?(\w+)-v(\d+)", task)
    if match and match.group(1) in REFERENCES:
        known = REFERENCES[match.group(1)]
        random = known.random_v5 if int(match.group(2)) >= 5 else known.random_v4
        return Normalization(random, known.reference, f"0: {_RANDOM}; 1: {known.source}")
    low, high = float(np.min(returns)), float(np.max(returns))
    if high <= low:
        high = low + 1.0
    source = "lowest and highest return on the curves of this report, as no reference is known"
    return Normalization(low, high, source)
