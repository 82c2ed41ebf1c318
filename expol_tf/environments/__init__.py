"""Gymnasium environments, many at once, for TF-Agents and for the library's own runners."""

from expol_tf.environments import returned_values
from expol_tf.environments.backends import (
    ArrayVectorEnvironment,
    EnvPoolVectorEnvironment,
    MujocoVectorEnvironment,
    SyncVectorEnvironment,
)
from expol_tf.environments.checked_calls import checked_reset, checked_step
from expol_tf.environments.faults import task_error
from expol_tf.environments.gymnasium_env import GymnasiumEnvironment, SingleGymnasiumEnvironment
from expol_tf.environments.loading import check_task, load, load_vector
from expol_tf.environments.registry import require_registered
from expol_tf.environments.simulator_state import mujoco_state, set_mujoco_state
from expol_tf.environments.specs import action_spec, time_step_spec
from expol_tf.environments.tasks import (
    ArrayTask,
    ArrayTaskEnv,
    AsymmetricMultiGoal,
    BimodalBandit,
    GaussianBandit,
    MultiGoal,
    MultiGoalTask,
    QuadraticReward,
    TaskStep,
    Transition,
    box_quadrature,
    draw_episodes,
    draw_plane,
    target_log_density,
)
from expol_tf.environments.vector_environment import VectorEnvironment, VectorStep
from expol_tf.environments.wrappers import NoisyObservation
from expol_tf.gymnasium_plugin import register_tasks
from expol_tf.removed_names import answer_removed_names

__all__ = [
    "ArrayTask",
    "ArrayTaskEnv",
    "ArrayVectorEnvironment",
    "AsymmetricMultiGoal",
    "BimodalBandit",
    "EnvPoolVectorEnvironment",
    "GaussianBandit",
    "GymnasiumEnvironment",
    "MujocoVectorEnvironment",
    "MultiGoal",
    "MultiGoalTask",
    "NoisyObservation",
    "QuadraticReward",
    "SingleGymnasiumEnvironment",
    "SyncVectorEnvironment",
    "TaskStep",
    "Transition",
    "VectorEnvironment",
    "VectorStep",
    "action_spec",
    "box_quadrature",
    "draw_episodes",
    "draw_plane",
    "check_task",
    "checked_reset",
    "checked_step",
    "load",
    "load_vector",
    "mujoco_state",
    "register_tasks",
    "require_registered",
    "returned_values",
    "set_mujoco_state",
    "target_log_density",
    "task_error",
    "time_step_spec",
]

register_tasks()
answer_removed_names(__name__)
