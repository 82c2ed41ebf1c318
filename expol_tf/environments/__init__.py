"""Gymnasium environments, many at once, for TF-Agents and for the library's own runners."""

from expol_tf.environments.envpool_backend import EnvPoolVectorEnvironment
from expol_tf.environments.gymnasium_env import GymnasiumEnvironment
from expol_tf.environments.loading import load, load_vector
from expol_tf.environments.mujoco_backend import MujocoVectorEnvironment
from expol_tf.environments.simulator_state import mujoco_state, set_mujoco_state
from expol_tf.environments.specs import action_spec, time_step_spec
from expol_tf.environments.sync_backend import SyncVectorEnvironment
from expol_tf.environments.vector_environment import VectorEnvironment, VectorStep
from expol_tf.environments.wrappers import NoisyObservation

__all__ = [
    "EnvPoolVectorEnvironment",
    "GymnasiumEnvironment",
    "MujocoVectorEnvironment",
    "NoisyObservation",
    "SyncVectorEnvironment",
    "VectorEnvironment",
    "VectorStep",
    "action_spec",
    "load",
    "load_vector",
    "mujoco_state",
    "set_mujoco_state",
    "time_step_spec",
]
