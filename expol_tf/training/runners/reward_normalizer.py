"""Rewards in units of the standard deviation of discounted returns."""

from __future__ import annotations

import dataclasses

import numpy as np

from expol_tf.configurable import configurable
from expol_tf.number_types import NonNegative, Positive, UnitInterval
from expol_tf.saved_states import require_saved

# Before any reward the variance is 1, with the weight of so many rewards, as in Gymnasium and
# Stable-Baselines3: the first rewards are divided by something.
_PRIOR_COUNT = 1e-4


@configurable
@dataclasses.dataclass(frozen=True)
class RewardNormalizer:
    """r̂ = clip(r / √(Var[G] + ε), ±c), with G ← γ·G + r in each environment, begun anew with each episode.

    Var[G] is the variance, about its mean, of the running discounted returns G of all environments and all
    steps so far, that of the reward itself included. No mean is subtracted: that would change what the task
    asks for. The statistics are those of `NormalizeReward` in Gymnasium and of `VecNormalize` in
    Stable-Baselines3, but shared by all environments, and saved with the run.

    Args:
      gamma: γ in [0, 1], usually that of the agent's advantages.
      clip: c, in standard deviations; None for no clip. The first rewards of a run can be large, as little is
        known of the scale by then.
      epsilon: ε, a number added to the variance.
    """

    gamma: UnitInterval = 0.99
    clip: Positive | None = 10.0
    epsilon: NonNegative = 1e-8


class RewardScale:
    """The statistics of a `RewardNormalizer` over `num_envs` environments; their state can be saved."""

    def __init__(self, settings: RewardNormalizer, num_envs: int) -> None:
        self._settings = settings
        # In double precision, as all steps of a run are added up.
        self._returns = np.zeros(num_envs)
        self._mean, self._variance, self._count = 0.0, 1.0, _PRIOR_COUNT

    @property
    def std(self) -> float:
        """√(Var[G] + ε), by which the next rewards are divided if they do not change it."""
        return float(np.sqrt(self._variance + self._settings.epsilon))

    def __call__(self, reward: np.ndarray, ended: np.ndarray | None) -> np.ndarray:
        """Adds a step to the statistics and returns its rewards `[N]`, float64, normalized.

        Args:
          reward: r `[N]`, as the environments gave it.
          ended: Bool `[N]`, whose episodes ended with this step; None if none did.
        """
        self._returns = self._settings.gamma * self._returns + reward
        # Moments are merged: squares minus the squared mean would cancel where returns are large.
        number = len(self._returns)
        total = self._count + number
        delta = float(self._returns.mean()) - self._mean
        squares = self._variance * self._count + float(self._returns.var()) * number
        self._variance = (squares + delta * delta * self._count * number / total) / total
        self._mean += delta * number / total
        self._count = total
        if ended is not None:
            self._returns[ended] = 0.0
        scaled = reward.astype(np.float64) / self.std
        clip = self._settings.clip
        return scaled if clip is None else scaled.clip(-clip, clip)

    def get_state(self) -> dict[str, np.ndarray]:
        """Returns everything as arrays, copied."""
        return {
            "returns": self._returns.copy(),
            "moments": np.array([self._mean, self._variance, self._count]),
        }

    def set_state(self, state: dict[str, np.ndarray], episodes_go_on: bool = True) -> None:
        """Restores what `get_state` returned, but for the returns of episodes that do not go on.

        Raises:
          CheckpointError: If it is something else.
        """
        remedy = "Resume with the run's own reward_normalizer and num_envs."
        require_saved(state, self.get_state(), "the reward scale", remedy)
        self._mean, self._variance, self._count = state["moments"].tolist()
        self._returns = state["returns"].copy() if episodes_go_on else np.zeros_like(self._returns)
