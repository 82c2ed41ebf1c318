"""r(a) = maxᵢ −(a − μᵢ)ᵀ Λᵢ⁻¹ (a − μᵢ), and the density that maximizes the reward and the entropy."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from expol_tf.environments.tasks.arguments import array, points
from expol_tf.errors import ConfigurationError


class QuadraticReward:
    """r(a) = maxᵢ −(a − μᵢ)ᵀ Λᵢ⁻¹ (a − μᵢ) for actions `[..., 2]` in the box [−1, 1]².

    The reward as printed in Tang & Agrawal 2018, *Boosting Trust Region Policy Optimization by Normalizing
    Flows Policy*, §4.3, lacks the minus sign; see `docs/errata.md`.

    Attributes:
      modes: Modes μ, `[I, 2]`.
      matrices: Matrices Λ, `[I, 2, 2]`.
    """

    def __init__(self, modes: npt.ArrayLike, matrices: npt.ArrayLike, name: str = "matrices"):
        """Checks the modes and matrices.

        Args:
          modes: Modes μ, `[I, 2]`, inside the box.
          matrices: Matrices Λ, `[I, 2, 2]`, or one `[2, 2]` for all modes. Symmetric and positive definite.
          name: The name of the matrices in messages.

        Raises:
          ConfigurationError: If a shape is wrong, a mode lies outside the box, or a matrix is not symmetric
            and positive definite.
        """
        self.modes = points(modes, "modes", "the action box", 1.0)
        given = array(matrices, name)
        if not np.all(np.isfinite(given)):
            raise ConfigurationError(f"{name} must be finite; got {matrices!r}.")
        shape = (len(self.modes), 2, 2)
        if given.shape not in ((2, 2), shape):
            raise ConfigurationError(
                f"{name} must have shape (2, 2), or {shape}: one for each mode; got shape {given.shape}."
            )
        self.matrices = np.broadcast_to(given, shape).copy()
        for matrix in self.matrices:
            # With a tolerance, because a computed matrix is seldom symmetric to the last bit.
            if not np.allclose(matrix, matrix.T) or np.linalg.eigvalsh(matrix).min() <= 0:
                raise ConfigurationError(
                    f"{name} must be symmetric and positive definite; got {matrix.tolist()}, whose "
                    f"eigenvalues are {np.linalg.eigvals(matrix).tolist()}."
                )
        self._inverses = np.linalg.inv(self.matrices)

    def __call__(self, action: npt.ArrayLike) -> np.ndarray:
        """Returns the rewards r `[...]` of actions `[..., 2]`, float64."""
        action = np.asarray(action, np.float64)
        result = np.full(action.shape[:-1], -np.inf)
        for mode, inverse in zip(self.modes, self._inverses, strict=True):
            x, y = action[..., 0] - mode[0], action[..., 1] - mode[1]
            # The product is written out, because a matrix product's rounding depends on the number of rows.
            quadratic = inverse[0, 0] * x * x + 2 * inverse[0, 1] * x * y + inverse[1, 1] * y * y
            result = np.maximum(result, -quadratic)
        return result


def box_quadrature(num_nodes: int = 200) -> tuple[np.ndarray, np.ndarray]:
    """Returns Gauss–Legendre points `[n², 2]` of the box [−1, 1]² and their weights `[n²]`, which sum to 4.

    The points lie closer at the edges, where squashed densities are steepest.

    Args:
      num_nodes: Number n of points in each direction, at least 2.
    """
    if num_nodes < 2:
        raise ConfigurationError(f"num_nodes must be 2 or more; got {num_nodes}.")
    nodes, weights = np.polynomial.legendre.leggauss(num_nodes)
    grid = np.stack(np.meshgrid(nodes, nodes, indexing="ij"), axis=-1)
    return grid.reshape(-1, 2), np.outer(weights, weights).ravel()


def target_log_density(
    reward: Callable[[np.ndarray], np.ndarray], temperature: float, action: npt.ArrayLike
) -> np.ndarray:
    """log π*(a) = r(a)/c − log ∫ exp(r/c), π* = argmax_π E_π[r] + c·H[π] over densities on [−1, 1]².

    For r = −aᵀΣ⁻¹a it is N(0, cΣ/2), truncated to the box.

    Args:
      reward: The function r of actions `[..., 2]`.
      temperature: Weight c > 0 of the entropy, in units of reward per nat.
      action: Actions in the box, `[..., 2]`.

    Returns:
      log π* of the actions, `[...]`. Quadrature normalizes it.
    """
    if not (np.isfinite(temperature) and temperature > 0):
        raise ConfigurationError(f"temperature must be positive and finite; got {temperature!r}.")
    actions, weights = box_quadrature()
    exponent = reward(actions) / temperature
    # Without the largest exponent, exp would overflow at small temperatures.
    highest = exponent.max()
    log_normalizer = highest + np.log(np.sum(weights * np.exp(exponent - highest)))
    return reward(np.asarray(action, np.float64)) / temperature - log_normalizer
