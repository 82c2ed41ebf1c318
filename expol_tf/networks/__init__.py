"""TF-Agents networks from an observation to a distribution or a value."""

from expol_tf.networks.flow_actor import FlowActorNetwork
from expol_tf.networks.gaussian_actor import GaussianActorNetwork
from expol_tf.networks.mixture_actor import MixtureActorNetwork
from expol_tf.networks.mlp import NormalizedColumns, make_mlp, vector_size
from expol_tf.networks.normalizer import ObservationNormalizer
from expol_tf.networks.value import ValueNetwork

__all__ = [
    "FlowActorNetwork",
    "GaussianActorNetwork",
    "MixtureActorNetwork",
    "NormalizedColumns",
    "ObservationNormalizer",
    "ValueNetwork",
    "make_mlp",
    "vector_size",
]
