"""How rough Q(s, ·) is where a policy acts: mean sizes of its first and second derivatives."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

# Q(s, a) `[N]` of states `[N, S]` and actions `[N, A]`.
Critic = Callable[[np.ndarray, np.ndarray], np.ndarray]


class Smoothness(NamedTuple):
    """Sizes of derivatives at N pairs of state and action.

    Attributes:
      gradient: ‖∇ₐQ‖₁/A, `[N]`; its mean is M₁.
      curvature: Σᵢⱼ |∂²Q/∂aᵢ∂aⱼ|/A², `[N]`; its mean is M₂.
    """

    gradient: np.ndarray
    curvature: np.ndarray


def q_smoothness(critic: Critic, state: np.ndarray, action: np.ndarray, step: float = 0.1) -> Smoothness:
    """Returns the sizes of Q's derivatives with respect to actions of [−1, 1]^A, by central differences.

    Differences rather than derivatives, so that critics of ReLU networks (whose second derivative is 0 almost
    everywhere, though they bend) and Q of a grid are measured like smooth ones: on the scale of `step`. In
    float32 with |Q| of some hundred a second difference over 0.1 errs by some 0.01.

    Messaoud et al. 2024, *S²AC*, §4.2 and Figure 15.

    Args:
      critic: Q.
      state: `[N, S]`.
      action: `[N, A]`; those nearer than `step` to the box's edge are moved in by so much.
      step: Distance of the differences, action units.
    """
    size = action.shape[-1]
    centre = np.clip(np.asarray(action, np.float64), -1 + step, 1 - step)
    unit = step * np.eye(size)
    pairs = [(i, j) for i in range(size) for j in range(i)]
    shifts = [np.zeros(size), *unit, *-unit]
    for i, j in pairs:
        shifts += [unit[i] + unit[j], unit[i] - unit[j], -unit[i] + unit[j], -unit[i] - unit[j]]
    points = centre[:, np.newaxis] + np.stack(shifts)
    states = np.repeat(state, len(shifts), axis=0)
    values = np.asarray(critic(states, points.reshape(-1, size)), np.float64).reshape(len(state), -1)
    middle, plus, minus = values[:, :1], values[:, 1 : 1 + size], values[:, 1 + size : 1 + 2 * size]
    gradient = np.abs(plus - minus).sum(axis=1) / (2 * step)
    curvature = np.abs(plus - 2 * middle + minus).sum(axis=1) / step**2
    for index in range(len(pairs)):
        both, first, second, neither = values[:, 1 + 2 * size + 4 * index : 5 + 2 * size + 4 * index].T
        curvature += 2 * np.abs(both - first - second + neither) / (4 * step**2)
    return Smoothness(gradient / size, curvature / size**2)
