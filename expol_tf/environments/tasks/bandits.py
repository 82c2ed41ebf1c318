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

# Of the reward's contours in pictures, the lowest first.
_LEVELS = (-8.0, -4.0, -2.0, -1.0, -0.25)
_COLOURS = ("#fcae91", "#fb6a4a", "#de2d26", "#a50f15", "#67000d")


class BanditTask:
    """Every episode is one step from the same state, a ∈ [−1, 1]², with reward r(a).

    The observation is the constant 1: with 0, networks without biases would answer 0 for ever.
    """

    def __init__(self, reward: QuadraticReward):
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
        """Returns the rewards; every episode ends."""
        return Transition(state, self.reward(action), np.ones(len(state), bool))

    def draw(self, axes: Any, steps: Sequence[TaskStep]) -> None:
        """Draws the reward's contours and the last actions, older ones paler."""
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

    The policy that maximizes E[r] + c·H is N(0, cΣ/2), truncated to the box: only a policy that correlates
    the components of its actions can be that.

    Reference: Tang & Agrawal 2018, *Implicit Policy for Reinforcement Learning*, Figure 2a; Σ is not given
    there, and its covariance of the optimal policy is corrected here.

    Attributes:
      reward: r, a `QuadraticReward`.
    """

    def __init__(self, matrix: npt.ArrayLike = ((0.1, 0.08), (0.08, 0.1)), render_mode: str | None = None):
        """Makes the task.

        Args:
          matrix: Σ, `[2, 2]`, symmetric and positive definite.
          render_mode: None or "rgb_array".

        Raises:
          ConfigurationError: If an argument breaks its rule.
        """
        RecordConstructorArgs.__init__(self, matrix=matrix, render_mode=render_mode)
        self.reward = QuadraticReward([(0.0, 0.0)], matrix, "matrix")
        super().__init__(BanditTask(self.reward), render_mode)


class BimodalBandit(ArrayTaskEnv, RecordConstructorArgs):
    """`expol/BimodalBandit-v0`: r(a) = maxᵢ −(a − μᵢ)ᵀΛᵢ⁻¹(a − μᵢ) for one action a ∈ [−1, 1]².

    The policy that maximizes E[r] + c·H has a mode at every μᵢ; with c = 2 each has a standard deviation of
    0.22 here and an on-policy learner can find both, with c = 0.2 they are 14 deviations apart.

    Reference: Tang & Agrawal 2018, *Boosting Trust Region Policy Optimization by Normalizing Flows Policy*,
    §4.3 and Figure 2b; μ and Λ are not given there.

    Attributes:
      reward: r, a `QuadraticReward`.
    """

    def __init__(
        self,
        modes: npt.ArrayLike = ((-0.5, 0.0), (0.5, 0.0)),
        matrices: npt.ArrayLike = ((0.05, 0.0), (0.0, 0.05)),
        render_mode: str | None = None,
    ):
        """Makes the task.

        Args:
          modes: μ, `[I, 2]`, inside the box; any number of them.
          matrices: Λ, `[I, 2, 2]`, or one `[2, 2]` for all modes, symmetric and positive definite.
          render_mode: None or "rgb_array".

        Raises:
          ConfigurationError: If an argument breaks its rule.
        """
        RecordConstructorArgs.__init__(self, modes=modes, matrices=matrices, render_mode=render_mode)
        self.reward = QuadraticReward(modes, matrices)
        super().__init__(BanditTask(self.reward), render_mode)
