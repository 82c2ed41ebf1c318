"""The library's own tasks, registered with Gymnasium as `expol/…`."""

from expol_tf.environments.tasks.array_task import ArrayTask, ArrayTaskEnv, TaskStep, Transition
from expol_tf.environments.tasks.bandits import BimodalBandit, GaussianBandit
from expol_tf.environments.tasks.multi_goal import AsymmetricMultiGoal, MultiGoal, MultiGoalTask
from expol_tf.environments.tasks.point_pictures import draw_episodes, draw_plane
from expol_tf.environments.tasks.quadratic_reward import QuadraticReward, box_quadrature, target_log_density

__all__ = [
    "ArrayTask",
    "ArrayTaskEnv",
    "AsymmetricMultiGoal",
    "BimodalBandit",
    "GaussianBandit",
    "MultiGoal",
    "MultiGoalTask",
    "QuadraticReward",
    "TaskStep",
    "Transition",
    "box_quadrature",
    "draw_episodes",
    "draw_plane",
    "target_log_density",
]
