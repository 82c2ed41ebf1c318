"""Actor-critic using a Kronecker-factored trust region, for any policy with a density."""

from __future__ import annotations

import tensorflow as tf
from tf_agents.networks import network
from tf_agents.trajectories import time_step as ts
from tf_agents.typing import types

from expol_tf.agents.acting import Acting
from expol_tf.agents.kronecker_update import KroneckerUpdate
from expol_tf.agents.on_policy_agent import OnPolicyAgent
from expol_tf.agents.policy_update import PolicyObjective
from expol_tf.configurable import configurable
from expol_tf.networks import ObservationNormalizer
from expol_tf.number_types import NonNegative
from expol_tf.objectives import AdvantageEstimation
from expol_tf.optimizers import KfacCoverage, KfacRegression, Regression


@configurable
class AcktrAgent(OnPolicyAgent):
    """ACKTR (Wu et al. 2017): policy and value by K-FAC, for Gaussian, mixture and flow policies.

    A wiring of `OnPolicyAgent` with a `KroneckerUpdate` and a `KfacRegression`; build `OnPolicyAgent`
    yourself to recombine the parts. See `docs/acktr.md` for the details and the metrics. `kfac_coverage`
    names the variables that have Kronecker factors and those in the exact Fisher block.

    Args:
      time_step_spec: TF-Agents time-step spec with one float vector as observation.
      action_spec: Bounded float vector with finite bounds.
      actor_network: `network(observation) -> (distribution with log_prob, state)`.
      value_network: `network(observation) -> (value [B], state)`.
      observation_normalizer: Shared by the policies and the value network, or None.
      advantages: Discount, λ and scaling; `AdvantageEstimation(gae_lambda=0.97)` by default.
      entropy_weight: β; squash the policy if it is positive, as beyond a clipped box entropy is free (warns).
      policy_update: The K-FAC step; `KroneckerUpdate()` by default.
      value_fit: How the value network is fitted; `KfacRegression()` by default.
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
        policy_update: KroneckerUpdate | None = None,
        value_fit: Regression | None = None,
        acting: Acting | None = None,
        train_step_counter: tf.Variable | None = None,
    ) -> None:
        acting = acting or Acting()
        policy_update = policy_update or KroneckerUpdate()
        super().__init__(
            time_step_spec,
            action_spec,
            actor_network,
            value_network,
            observation_normalizer,
            policy_update=policy_update,
            objective=PolicyObjective(actor_network, entropy_weight),
            advantages=advantages or AdvantageEstimation(gae_lambda=0.97),
            value_fit=value_fit or KfacRegression(jit_compile=acting.jit_compile),
            acting=acting,
            train_step_counter=train_step_counter,
        )
        self._kronecker_update = policy_update

    @property
    def kfac_coverage(self) -> KfacCoverage:
        """Which of the policy's variables have Kronecker factors and which are in the exact Fisher block."""
        return self._kronecker_update.coverage
