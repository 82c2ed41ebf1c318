"""A step of SVGD term by term in NumPy, and its derivatives by complex steps.

An analytic function has f'(x) = Im f(x + ih)/h to the last digits for a tiny h, because nothing cancels. So
the code takes complex particles: it squares where it would take absolute values, and compares real parts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np


def jacobian(function: Callable[[np.ndarray], np.ndarray], u: np.ndarray) -> np.ndarray:
    """∂f/∂u `[size of f, size of u]`."""
    columns = []
    for index in range(u.size):
        bumped = u.astype(complex)
        bumped.flat[index] += 1e-30j
        columns.append(np.imag(function(bumped)).ravel() / 1e-30)
    return np.stack(columns, axis=-1)


def total_variance(x: np.ndarray) -> complex:
    """The sum of the components' variances over the rows of x."""
    return np.sum(np.mean((x - np.mean(x, axis=0)) ** 2, axis=0))


class SlowStep(NamedTuple):
    """One step of one set of particles `[M, A]`; `score` is a function of NumPy arrays, complex ones too."""

    score: Callable[[np.ndarray], np.ndarray]
    epsilon: float
    alpha: float = 1.0
    rule: str | float = "mean"
    limit: float | None = None
    floor: float = 2e-3

    def width(self, u):
        """h = 2σ², of a set."""
        if not isinstance(self.rule, str):
            return 2.0 * self.rule**2
        pairs = [np.sum((u[i] - u[j]) ** 2) for i in range(len(u)) for j in range(i)]
        if not pairs:
            return self.floor
        pairs.sort(key=np.real)
        middle = (pairs[(len(pairs) - 1) // 2] + pairs[len(pairs) // 2]) / 2
        found = (middle if self.rule == "median" else np.mean(pairs) / 2) / np.log(len(u) + 1)
        return max(found, self.floor, key=np.real)

    def frozen_sums(self, u):
        """M·∂Δ_i/∂u_i `[M, A, A]` with the neighbours frozen."""
        h, score, sums = self.width(u), self.score(u), []
        for i in range(len(u)):
            total = np.zeros([u.shape[1]] * 2, u.dtype)
            for j in set(range(len(u))) - {i}:
                apart = u[i] - u[j]
                drift = -2 / h * np.outer(score[j], apart)
                spread = 2 / h * np.eye(u.shape[1]) - 4 / h**2 * np.outer(apart, apart)
                total += np.exp(-np.sum(apart**2) / h) * (drift + self.alpha * spread)
            sums.append(total)
        return np.stack(sums)

    def factor(self, u):
        """min(1, r/b), what ε is multiplied by."""
        if self.limit is None:
            return 1.0
        h, spread = self.width(u), total_variance(u)
        curvature = np.sqrt(total_variance(self.score(u)) / spread) if spread != 0 else 0.0
        alone = [np.sqrt(np.sum(each**2)) + curvature for each in self.frozen_sums(u)]
        kernels = [sum(np.exp(-np.sum((one - other) ** 2) / h) for other in u) for one in u]
        together = [curvature * each for each in kernels]
        bound = self.epsilon / len(u) * max(alone + together, key=np.real)
        return self.limit / bound if np.real(bound) > self.limit else 1.0

    def frozen(self, u):
        """J_i `[M, A, A]`, the derivative of each particle's step; neighbours and factor are frozen."""
        return np.eye(u.shape[1]) + self.factor(u) * self.epsilon / len(u) * self.frozen_sums(u)

    def moved(self, u, in_width=None, in_factor=None):
        """The particles after the step; the kernel's width and the factor may be those of other particles."""
        h = self.width(u if in_width is None else in_width)
        scale = self.factor(u if in_factor is None else in_factor) * self.epsilon / len(u)
        score, after = self.score(u), u + 0.0 * (h + scale)
        for i in range(len(u)):
            for j in range(len(u)):
                apart = u[i] - u[j]
                kernel = np.exp(-np.sum(apart**2) / h)
                after[i] += scale * kernel * (score[j] + 2 * self.alpha / h * apart)
        return after

    def joint_jacobian(self, u):
        """∂F `[M·A, M·A]`, the derivative of all particles after the step by all before it."""
        return jacobian(self.moved, u)

    def changes(self, u):
        """The changes `[M]` of the log-density under their names."""
        frozen, whole = self.frozen(u), self.joint_jacobian(u)
        identity = np.eye(u.size)
        # Only the sum over a set means something. Each particle's share is the part of the traces on its
        # rows, where the cross terms of outer products stand twice in one order.
        alone = jacobian(lambda v: self.moved(v, u, u), u) - identity
        width = jacobian(lambda v: self.moved(u, v, u), u)
        factor = jacobian(lambda v: self.moved(u, u, v), u)
        np.testing.assert_allclose(whole, identity + alone + width + factor, atol=1e-10)
        square = alone @ alone + 2 * alone @ (width + factor)
        square += width @ width + factor @ factor + 2 * factor @ width
        np.testing.assert_allclose(np.trace(square), np.trace((whole - identity) @ (whole - identity)))
        shares = np.diag(0.5 * square - (whole - identity)).reshape(u.shape).sum(axis=-1)
        return {
            "joint_trace": shares,
            "joint_logdet": np.full(len(u), -np.linalg.slogdet(whole)[1] / len(u)),
            "printed": u.shape[1] - np.trace(frozen, axis1=1, axis2=2),
            "logdet": -np.linalg.slogdet(frozen)[1],
        }
