"""TF-Agents agents: short wirings of networks, objectives and update rules."""

from expol_tf.agents.actor_policy import ActorPolicy
from expol_tf.agents.on_policy_agent import OnPolicyAgent, PolicyBatch, PolicyUpdate
from expol_tf.agents.rollout import Rollout, rollout_from_trajectory
from expol_tf.agents.trpo_agent import TrpoAgent, TrustRegionUpdate

__all__ = [
    "ActorPolicy",
    "OnPolicyAgent",
    "PolicyBatch",
    "PolicyUpdate",
    "Rollout",
    "TrpoAgent",
    "TrustRegionUpdate",
    "rollout_from_trajectory",
]
