"""Ways to step N copies of a task at once, all with the same interface, `VectorEnvironment`."""

from expol_tf.environments.backends.array_backend import ArrayVectorEnvironment
from expol_tf.environments.backends.envpool_backend import EnvPoolVectorEnvironment
from expol_tf.environments.backends.mujoco_backend import MujocoVectorEnvironment
from expol_tf.environments.backends.sync_backend import SyncVectorEnvironment

__all__ = [
    "ArrayVectorEnvironment",
    "EnvPoolVectorEnvironment",
    "MujocoVectorEnvironment",
    "SyncVectorEnvironment",
]
