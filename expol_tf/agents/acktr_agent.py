"""Actor-critic using a Kronecker-factored trust region, for any policy with a density."""

from __future__ import annotations

import gin
import tensorflow as tf
from tf_agents.networks import network
from tf_agents.trajectories import time_step as ts
from tf_agents.typing import types

from expol_tf.agents.kronecker_update import KroneckerUpdate
from expol_tf.agents.on_policy_agent import OnPolicyAgent
from expol_tf.agents.policy_objective import PolicyObjective
from expol_tf.networks import ObservationNormalizer
from expol_tf.objectives import AdvantageEstimation
from expol_tf.optimizers import Kfac, KfacCoverage, KfacRegression, Regression


@gin.configurable(module="expol_tf")
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
      desired_kl: Divergence per update, in nats, that the learning rate aims at.
      kfac: The policy's optimizer; that of `KroneckerUpdate` by default.
      value_fit: How the value network is fitted; `KfacRegression()` by default.
      seed: Of all randomness of this agent; None takes entropy from the system.
      train_step_counter: int64 variable counting calls of `train`; a new one by default.
      jit_compile: Whether XLA compiles acting and training.
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
        entropy_weight: float = 0.0,
        desired_kl: float = 0.01,
        kfac: Kfac | None = None,
        value_fit: Regression | None = None,
        seed: int | None = None,
        train_step_counter: tf.Variable | None = None,
        jit_compile: bool = True,
    ) -> None:
        update = KroneckerUpdate(
            PolicyObjective(actor_network, entropy_weight),
            kfac,
            desired_kl,
            jit_compile=jit_compile,
        )
        super().__init__(
            time_step_spec,
            action_spec,
            actor_network,
            value_network,
            policy_update=update,
            observation_normalizer=observation_normalizer,
            advantages=advantages or AdvantageEstimation(gae_lambda=0.97),
            value_fit=value_fit or KfacRegression(jit_compile=jit_compile),
            seed=seed,
            train_step_counter=train_step_counter,
            jit_compile=jit_compile,
        )
        self._kronecker_update = update

    @property
    def kfac_coverage(self) -> KfacCoverage:
        """Which of the policy's variables have Kronecker factors and which are in the exact Fisher block."""
        return self._kronecker_update.kfac.coverage
