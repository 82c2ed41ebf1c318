"""Policies that TFP has no distribution for, and capabilities, greedy actions and entropies of all."""

from expol_tf.distributions.capability import CAPABILITIES, capabilities, known_capabilities, require
from expol_tf.distributions.divergence import analytic_kl, entropy_estimate, has_analytic_kl, sampled_kl
from expol_tf.distributions.greedy import greedy_action
from expol_tf.distributions.image import ImageDistribution
from expol_tf.distributions.implicit import ImplicitDistribution, PointMass
from expol_tf.distributions.squashed import (
    ActionSample,
    action_log_prob,
    latent_and_squash,
    sample_action,
    split_squash,
)
from expol_tf.distributions.stein import SELECTIONS, SteinDistribution
from expol_tf.distributions.stein_sampler import SteinSampler

__all__ = [
    "CAPABILITIES",
    "SELECTIONS",
    "ActionSample",
    "ImageDistribution",
    "ImplicitDistribution",
    "PointMass",
    "SteinDistribution",
    "SteinSampler",
    "action_log_prob",
    "analytic_kl",
    "capabilities",
    "entropy_estimate",
    "greedy_action",
    "has_analytic_kl",
    "known_capabilities",
    "latent_and_squash",
    "require",
    "sample_action",
    "sampled_kl",
    "split_squash",
]
