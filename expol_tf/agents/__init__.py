"""TF-Agents agents: short wirings of networks, objectives and update rules."""

from expol_tf.agents.acktr_agent import AcktrAgent
from expol_tf.agents.acting import (
    Acting,
    ExplorationNoise,
    GaussianNoise,
    OrnsteinUhlenbeckNoise,
    ParticleSelection,
    Selection,
)
from expol_tf.agents.actor_critic_agent import ActorCriticAgent
from expol_tf.agents.actor_policy import ActorPolicy
from expol_tf.agents.clipped_update import ClippedUpdate
from expol_tf.agents.critic_fit import CriticFit, TargetUpdate
from expol_tf.agents.ddpg_agent import DdpgAgent
from expol_tf.agents.density_ratio_improvement import DensityRatioImprovement
from expol_tf.agents.discriminators import ActionContrast, Discriminator, DiscriminatorFit
from expol_tf.agents.experience import (
    Rollout,
    Transitions,
    padded_rollout,
    rollout_from_trajectory,
    transitions_from_trajectory,
)
from expol_tf.agents.improvements import (
    Companion,
    DeterministicImprovement,
    ImprovementLoss,
    ImprovementParts,
    PolicyImprovement,
    ReparameterizedImprovement,
    SvgdImprovement,
)
from expol_tf.agents.kronecker_update import KroneckerUpdate
from expol_tf.agents.matching_improvement import LangevinParticles, MatchingImprovement
from expol_tf.agents.nbp_agent import NbpAgent
from expol_tf.agents.on_policy_agent import OnPolicyAgent
from expol_tf.agents.parpi_agent import ParpiAgent
from expol_tf.agents.policy_agent import AgentDefaults, AgentSpecs, PolicyAgent
from expol_tf.agents.policy_update import PolicyBatch, PolicyObjective, PolicyUpdate
from expol_tf.agents.ppo_agent import PpoAgent
from expol_tf.agents.s2ac_agent import S2acAgent
from expol_tf.agents.sac_agent import SacAgent
from expol_tf.agents.soft_values import (
    DeterministicValue,
    ExpectedValue,
    LogSumExpValue,
    SoftValue,
    ValueInParts,
)
from expol_tf.agents.sql_agent import SqlAgent
from expol_tf.agents.stein_improvement import AmortizedPolicy, SteinImprovement
from expol_tf.agents.temperature import (
    FixedTemperature,
    LearnedTemperature,
    ScheduledTemperature,
    Temperature,
)
from expol_tf.agents.trpo_agent import TrpoAgent
from expol_tf.agents.trust_region_update import TrustRegionUpdate
from expol_tf.agents.variants import AlgorithmParts, Variant
from expol_tf.removed_names import answer_removed_names

__all__ = [
    "AcktrAgent",
    "Acting",
    "ActionContrast",
    "ActorCriticAgent",
    "ActorPolicy",
    "AgentDefaults",
    "AgentSpecs",
    "AlgorithmParts",
    "AmortizedPolicy",
    "ClippedUpdate",
    "Companion",
    "CriticFit",
    "DdpgAgent",
    "DensityRatioImprovement",
    "DeterministicImprovement",
    "DeterministicValue",
    "Discriminator",
    "DiscriminatorFit",
    "ExpectedValue",
    "ExplorationNoise",
    "FixedTemperature",
    "GaussianNoise",
    "ImprovementLoss",
    "ImprovementParts",
    "KroneckerUpdate",
    "LangevinParticles",
    "LearnedTemperature",
    "LogSumExpValue",
    "MatchingImprovement",
    "NbpAgent",
    "OnPolicyAgent",
    "OrnsteinUhlenbeckNoise",
    "ParpiAgent",
    "ParticleSelection",
    "PolicyAgent",
    "PolicyBatch",
    "PolicyImprovement",
    "PolicyObjective",
    "PolicyUpdate",
    "PpoAgent",
    "ReparameterizedImprovement",
    "Rollout",
    "S2acAgent",
    "SacAgent",
    "ScheduledTemperature",
    "Selection",
    "SoftValue",
    "SqlAgent",
    "SteinImprovement",
    "SvgdImprovement",
    "TargetUpdate",
    "Temperature",
    "Transitions",
    "TrpoAgent",
    "TrustRegionUpdate",
    "ValueInParts",
    "Variant",
    "padded_rollout",
    "rollout_from_trajectory",
    "transitions_from_trajectory",
]

answer_removed_names(__name__)
