"""TF-Agents networks from an observation to a distribution or a value."""

from expol_tf.networks.calls import call_network
from expol_tf.networks.critic import CriticEnsemble, CriticNetwork, values_at
from expol_tf.networks.deterministic_actor import DeterministicActorNetwork
from expol_tf.networks.discriminator import DiscriminatorNetwork
from expol_tf.networks.fixed_gaussian_actor import FixedGaussianActorNetwork
from expol_tf.networks.flow_actor import FlowActorNetwork
from expol_tf.networks.gaussian_actor import GaussianActorNetwork
from expol_tf.networks.log_std import LogStd
from expol_tf.networks.mixture_actor import MixtureActorNetwork
from expol_tf.networks.mlp import NormalizedColumns, make_mlp, vector_size
from expol_tf.networks.noisy_actor import EpisodeNetwork, NoisyActorNetwork
from expol_tf.networks.noisy_dense import NoisyDense
from expol_tf.networks.normalizer import ObservationNormalizer
from expol_tf.networks.sampling_actor import SamplingActorNetwork
from expol_tf.networks.stein_actor import SteinActorNetwork
from expol_tf.networks.value import ValueNetwork

__all__ = [
    "CriticEnsemble",
    "CriticNetwork",
    "DeterministicActorNetwork",
    "DiscriminatorNetwork",
    "EpisodeNetwork",
    "FixedGaussianActorNetwork",
    "FlowActorNetwork",
    "GaussianActorNetwork",
    "LogStd",
    "MixtureActorNetwork",
    "NoisyActorNetwork",
    "NoisyDense",
    "NormalizedColumns",
    "ObservationNormalizer",
    "SamplingActorNetwork",
    "SteinActorNetwork",
    "ValueNetwork",
    "call_network",
    "make_mlp",
    "values_at",
    "vector_size",
]
