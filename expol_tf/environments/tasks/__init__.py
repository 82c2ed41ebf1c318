"""Tasks of the library's own, registered with Gymnasium as `expol/…`."""

from expol_tf.environments.tasks.array_task import ArrayTask, ArrayTaskEnv, TaskStep, Transition
from expol_tf.environments.tasks.bandits import BimodalBandit, GaussianBandit
from expol_tf.environments.tasks.quadratic_reward import QuadraticReward, box_quadrature, target_log_density

__all__ = [
    "ArrayTask",
    "ArrayTaskEnv",
    "BimodalBandit",
    "GaussianBandit",
    "QuadraticReward",
    "TaskStep",
    "Transition",
    "box_quadrature",
    "target_log_density",
]
