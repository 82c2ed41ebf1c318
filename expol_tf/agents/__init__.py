"""TF-Agents agents: short wirings of networks, objectives and update rules."""

from expol_tf.agents.acktr_agent import AcktrAgent
from expol_tf.agents.acting import Acting
from expol_tf.agents.actor_critic_agent import ActorCriticAgent
from expol_tf.agents.actor_policy import ActorPolicy, Selection
from expol_tf.agents.backups import Backup, SacBackup, SqlBackup
from expol_tf.agents.clipped_update import ClippedUpdate
from expol_tf.agents.ddpg_agent import DdpgAgent
from expol_tf.agents.exploration import ExplorationNoise, GaussianNoise, OrnsteinUhlenbeckNoise
from expol_tf.agents.kronecker_update import KroneckerUpdate
from expol_tf.agents.nbp_agent import NbpAgent
from expol_tf.agents.off_policy_parts import (
    ActionContrast,
    Companion,
    Discriminator,
    PolicyImprovement,
    SoftValue,
)
from expol_tf.agents.on_policy_agent import OnPolicyAgent
from expol_tf.agents.parpi_agent import ParpiAgent
from expol_tf.agents.policy_batch import PolicyBatch
from expol_tf.agents.policy_objective import PolicyObjective
from expol_tf.agents.policy_update import PolicyUpdate
from expol_tf.agents.ppo_agent import PpoAgent
from expol_tf.agents.rollout import Rollout, rollout_from_trajectory
from expol_tf.agents.s2ac_agent import S2acAgent
from expol_tf.agents.sac_agent import SacAgent
from expol_tf.agents.sql_agent import SqlAgent
from expol_tf.agents.target_update import TargetUpdate
from expol_tf.agents.temperature import (
    FixedTemperature,
    LearnedTemperature,
    ScheduledTemperature,
    Temperature,
)
from expol_tf.agents.transitions import Transitions, transitions_from_trajectory
from expol_tf.agents.trpo_agent import TrpoAgent
from expol_tf.agents.trust_region_update import TrustRegionUpdate

__all__ = [
    "AcktrAgent",
    "Acting",
    "ActionContrast",
    "ActorCriticAgent",
    "ActorPolicy",
    "Backup",
    "ClippedUpdate",
    "Companion",
    "DdpgAgent",
    "Discriminator",
    "ExplorationNoise",
    "FixedTemperature",
    "GaussianNoise",
    "KroneckerUpdate",
    "LearnedTemperature",
    "NbpAgent",
    "OnPolicyAgent",
    "OrnsteinUhlenbeckNoise",
    "ParpiAgent",
    "PolicyBatch",
    "PolicyImprovement",
    "PolicyObjective",
    "PolicyUpdate",
    "PpoAgent",
    "Rollout",
    "S2acAgent",
    "SacAgent",
    "SacBackup",
    "ScheduledTemperature",
    "Selection",
    "SoftValue",
    "SqlAgent",
    "SqlBackup",
    "TargetUpdate",
    "Temperature",
    "Transitions",
    "TrpoAgent",
    "TrustRegionUpdate",
    "rollout_from_trajectory",
    "transitions_from_trajectory",
]
