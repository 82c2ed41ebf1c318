"""What a policy is like: its density, its entropy, how smooth its critic is; and what the optimum does."""

from __future__ import annotations

from expol_tf.diagnostics.densities import DensityComparison, compare_densities, region_levels, spread
from expol_tf.diagnostics.goal_episodes import EpisodeNumbers, Episodes, episode_numbers, rollouts
from expol_tf.diagnostics.sample_entropy import nearest_neighbour_entropy
from expol_tf.diagnostics.smoothness import Critic, q_smoothness
from expol_tf.diagnostics.soft_value_oracle import SoftOptimum, grid_points, soft_value_iteration

__all__ = [
    "Critic",
    "DensityComparison",
    "EpisodeNumbers",
    "Episodes",
    "SoftOptimum",
    "compare_densities",
    "episode_numbers",
    "grid_points",
    "nearest_neighbour_entropy",
    "q_smoothness",
    "region_levels",
    "rollouts",
    "soft_value_iteration",
    "spread",
]
