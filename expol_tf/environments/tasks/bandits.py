"""Bandits: one action, one reward, and the episode ends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from gymnasium import spaces
from gymnasium.utils import RecordConstructorArgs

from expol_tf.environments.tasks.array_task import ArrayTaskEnv, TaskStep, Transition
from expol_tf.environments.tasks.quadratic_reward import QuadraticReward

# Levels of the reward's contours in pictures, lowest first, and their colours.
_LEVELS = (-8.0, -4.0, -2.0, -1.0, -0.25)
_COLOURS = ("#fcae91", "#fb6a4a", "#de2d26", "#a50f15", "#67000d")


class BanditTask:
    """An episode is one step from one state: action a ∈ [−1, 1]², reward r(a).

    The observation is always 1. If it were 0, a network without biases would always return 0.
    """

    def __init__(self, reward: QuadraticReward):
        """Makes the task with the reward r."""
        self.reward = reward
        self.observation_space = spaces.Box(0.0, 1.0, (1,), np.float32)
        self.action_space = spaces.Box(-1.0, 1.0, (2,), np.float32)

    def initial_state(self, generator: np.random.Generator) -> np.ndarray:
        """Returns the only state, `[1]`."""
        return np.ones(1)

    def observe(self, state: np.ndarray) -> np.ndarray:
        """Returns the states themselves."""
        return state

    def transition(self, state: np.ndarray, action: np.ndarray) -> Transition:
        """Returns the rewards and ends every episode."""
        return Transition(state, self.reward(action), np.ones(len(state), bool))

    def draw(self, axes: Any, steps: Sequence[TaskStep]) -> None:
        """Draws the reward's contours and the last actions, with older ones paler."""
        nodes = np.linspace(-1, 1, 201)
        grid = np.stack(np.meshgrid(nodes, nodes), axis=-1)
        lines = axes.contour(nodes, nodes, self.reward(grid), levels=_LEVELS, colors=_COLOURS)
        axes.clabel(lines, fmt="%g", fontsize=8)
        if steps:
            actions = np.stack([step.action for step in steps])
            opacity = np.linspace(0.2, 1.0, len(actions)) if len(actions) > 1 else np.ones(1)
            axes.scatter(actions[:, 0], actions[:, 1], s=14, color="tab:blue", alpha=opacity, linewidths=0)
        axes.locator_params(nbins=5)
        axes.set(xlim=(-1, 1), ylim=(-1, 1), xlabel="$a_1$", ylabel="$a_2$", aspect="equal")


class GaussianBandit(ArrayTaskEnv, RecordConstructorArgs):
    """`expol/GaussianBandit-v0`: r(a) = −aᵀΣ⁻¹a for one action a ∈ [−1, 1]².

    The policy that maximizes E[r] + c·H is N(0, cΣ/2), truncated to the box. Only a policy that correlates
    the components of its actions can represent it.

    Reference: Tang & Agrawal 2018, *Implicit Policy for Reinforcement Learning*, Figure 2a. The paper does
    not give Σ. Its covariance of the optimal policy is corrected here.

    Attributes:
      reward: The reward r, a `QuadraticReward`.
    """

    def __init__(self, matrix: npt.ArrayLike = ((0.1, 0.08), (0.08, 0.1)), render_mode: str | None = None):
        """Makes the task.

        Args:
          matrix: Matrix Σ, `[2, 2]`, symmetric and positive definite.
          render_mode: "rgb_array" to make pictures, else None.

        Raises:
          ConfigurationError: If an argument breaks its rule.
        """
        RecordConstructorArgs.__init__(self, matrix=matrix, render_mode=render_mode)
        self.reward = QuadraticReward([(0.0, 0.0)], matrix, "matrix")
        super().__init__(BanditTask(self.reward), render_mode)


class BimodalBandit(ArrayTaskEnv, RecordConstructorArgs):
    """`expol/BimodalBandit-v0`: r(a) = maxᵢ −(a − μᵢ)ᵀΛᵢ⁻¹(a − μᵢ) for one action a ∈ [−1, 1]².

    The policy that maximizes E[r] + c·H has a mode at every μᵢ. With c = 2 a mode has a standard deviation
    of 0.22, and an on-policy learner can find both. With c = 0.2 they are 14 standard deviations apart.

    Reference: Tang & Agrawal 2018, *Boosting Trust Region Policy Optimization by Normalizing Flows Policy*,
    §4.3 and Figure 2b. The paper does not give μ and Λ.

    Attributes:
      reward: The reward r, a `QuadraticReward`.
    """

    def __init__(
        self,
        modes: npt.ArrayLike = ((-0.5, 0.0), (0.5, 0.0)),
        matrices: npt.ArrayLike = ((0.05, 0.0), (0.0, 0.05)),
        render_mode: str | None = None,
    ):
        """Makes the task.

        Args:
          modes: Modes μ, `[I, 2]`, inside the box. I may be any number.
          matrices: Matrices Λ, `[I, 2, 2]`, or one `[2, 2]` for all modes. Symmetric and positive definite.
          render_mode: "rgb_array" to make pictures, else None.

        Raises:
          ConfigurationError: If an argument breaks its rule.
        """
        RecordConstructorArgs.__init__(self, modes=modes, matrices=matrices, render_mode=render_mode)
        self.reward = QuadraticReward(modes, matrices)
        super().__init__(BanditTask(self.reward), render_mode)
