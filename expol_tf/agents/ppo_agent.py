"""Proximal policy optimization for any policy with a density."""

from __future__ import annotations

import tensorflow as tf
from tf_agents.networks import network
from tf_agents.trajectories import time_step as ts
from tf_agents.typing import types

from expol_tf.agents.acting import Acting
from expol_tf.agents.clipped_update import ClippedUpdate
from expol_tf.agents.on_policy_agent import OnPolicyAgent
from expol_tf.agents.policy_update import PolicyObjective, PolicyUpdate
from expol_tf.configurable import configurable
from expol_tf.networks import ObservationNormalizer
from expol_tf.number_types import NonNegative
from expol_tf.objectives import AdvantageEstimation
from expol_tf.optimizers import MinibatchRegression, Regression


@configurable
class PpoAgent(OnPolicyAgent):
    """PPO with the clipped surrogate (Schulman et al. 2017), for Gaussian, mixture and flow policies.

    A wiring of `OnPolicyAgent` with a `ClippedUpdate`; build `OnPolicyAgent` yourself to recombine the parts.
    See `docs/ppo.md` for the details and the metrics.

    Args:
      time_step_spec: TF-Agents time-step spec with one float vector as observation.
      action_spec: Bounded float vector with finite bounds.
      actor_network: `network(observation) -> (distribution with log_prob, state)`.
      value_network: `network(observation) -> (value [B], state)`.
      observation_normalizer: Shared by the policies and the value network, or None.
      advantages: Discount, λ and scaling; `AdvantageEstimation(gae_lambda=0.95)` by default.
      entropy_weight: β; squash the policy if it is positive, as beyond a clipped box entropy is free (warns).
      policy_update: The clip and the epochs; `ClippedUpdate()` by default. Any other `PolicyUpdate` will do.
      value_fit: How the value network is fitted; by default as the policy is:
        `MinibatchRegression(3e-4, epochs=10, max_gradient_norm=0.5)`.
      acting: Seed, compilation and the network that the greedy policy acts by; `Acting()` by default.
      train_step_counter: int64 variable counting calls of `train`; a new one by default.
    """

    def __init__(
        self,
        time_step_spec: ts.TimeStep,
        action_spec: types.NestedTensorSpec,
        actor_network: network.Network,
        value_network: network.Network,
        observation_normalizer: ObservationNormalizer | None = None,
        *,
        advantages: AdvantageEstimation | None = None,
        entropy_weight: NonNegative = 0.0,
        policy_update: PolicyUpdate | None = None,
        value_fit: Regression | None = None,
        acting: Acting | None = None,
        train_step_counter: tf.Variable | None = None,
    ) -> None:
        super().__init__(
            time_step_spec,
            action_spec,
            actor_network,
            value_network,
            observation_normalizer,
            policy_update=policy_update or ClippedUpdate(),
            objective=PolicyObjective(actor_network, entropy_weight),
            advantages=advantages or AdvantageEstimation(gae_lambda=0.95),
            value_fit=value_fit or MinibatchRegression(3e-4, epochs=10, max_gradient_norm=0.5),
            acting=acting,
            train_step_counter=train_step_counter,
        )
