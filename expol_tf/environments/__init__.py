"""Gymnasium environments as batched TF-Agents environments."""

from expol_tf.environments.loading import load_vector
from expol_tf.environments.sync_backend import SyncVectorEnvironment
from expol_tf.environments.vector_environment import VectorEnvironment, VectorStep

__all__ = ["SyncVectorEnvironment", "VectorEnvironment", "VectorStep", "load_vector"]
