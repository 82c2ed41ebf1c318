"""Divergences between a policy's actions and particles of a better policy, estimated by a discriminator."""

from expol_tf.objectives.matching.f_divergence import f_divergence
from expol_tf.objectives.matching.gradient_penalty import gradient_penalty
from expol_tf.objectives.matching.jsd import jsd
from expol_tf.objectives.matching.protocol import Matching
from expol_tf.objectives.matching.reverse_kl import reverse_kl
from expol_tf.objectives.matching.wasserstein import wasserstein

__all__ = ["Matching", "f_divergence", "gradient_penalty", "jsd", "reverse_kl", "wasserstein"]
