"""The on-policy agent: advantages, a policy update and a value fit, in one compiled call."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Sequence
from typing import ClassVar

import numpy as np
import tensorflow as tf
from tf_agents.agents import tf_agent
from tf_agents.networks import network
from tf_agents.specs import tensor_spec
from tf_agents.trajectories import time_step as ts
from tf_agents.typing import types

from expol_tf.agents.acting import Acting
from expol_tf.agents.experience import Rollout, padded_rollout, require_rollout, rollout_from_trajectory
from expol_tf.agents.network_checks import require_actor, require_value
from expol_tf.agents.policy_agent import AgentDefaults, AgentSpecs, PolicyAgent
from expol_tf.agents.policy_checks import accepting_agents
from expol_tf.agents.policy_update import PolicyBatch, PolicyObjective, PolicyUpdate
from expol_tf.argument_types import shown
from expol_tf.bijectors import ActionBox
from expol_tf.configurable import configurable
from expol_tf.distributions import require
from expol_tf.errors import ConfigurationError
from expol_tf.networks import FlowActorNetwork, ObservationNormalizer, ValueNetwork, call_network, vector_size
from expol_tf.objectives import AdvantageEstimation, explained_variance, masked_mean
from expol_tf.optimizers import MinibatchRegression, Regression, is_constrained, project
from expol_tf.replicas import UpdatePart, compiled, in_replica, learner_strategy

_DENSITIES = {"log_prob", "sample_and_log_prob"}


@configurable
class OnPolicyAgent(PolicyAgent):
    """One iteration of an on-policy algorithm: estimate advantages, update the policy, fit the value.

    TRPO, PPO and ACKTR differ in `policy_update` and `value_fit` alone. `train` takes TF-Agents trajectories,
    `train_on_rollout` the transitions that the library's own runner collects; both run the same compiled
    graph, which is traced anew for every new `[B, T]`. Drivers that gather whole episodes give another T each
    time: `train` fills a trajectory up to the next power of two with frames that do not count.

    Constructed in the scope of a `tf.distribute.MirroredStrategy` (with its networks), it is a data-parallel
    learner: what is added up over samples is computed by all replicas, each on its part of the batch, and
    everything else on the first device. The updates are those of one device, up to rounding.

    The observation normalizer is frozen from collection until after the update, so that π_old is exactly the
    policy that acted; the rollout's observations join its statistics at the end.

    Args:
      time_step_spec: TF-Agents time-step spec with one float vector as observation.
      action_spec: Bounded float vector with finite bounds.
      actor_network: `network(observation) -> (distribution with log_prob, state)`.
      value_network: `network(observation) -> (value [B], state)`.
      observation_normalizer: Shared by the policies and the value network, or None.
      policy_update: The rule that moves the actor network's variables.
      objective: Measures the actor network, and holds the weight of its entropy; `PolicyObjective` of it by
        default, without an entropy bonus.
      advantages: Discount, λ and scaling; `AdvantageEstimation()` by default.
      value_fit: How the value network is fitted; `MinibatchRegression()` by default.
      acting: The seed, whether XLA compiles acting and training, and by which network the greedy policy acts;
        `Acting()` by default.
      train_step_counter: int64 variable counting calls of `train`; a new one by default.
    """

    defaults: ClassVar[AgentDefaults] = AgentDefaults(
        actor_network=FlowActorNetwork,
        values_network=ValueNetwork,
        observation_normalizer=ObservationNormalizer,
        num_envs=32,
    )
    learns_on_policy: ClassVar[bool] = True

    def __init__(
        self,
        time_step_spec: ts.TimeStep,
        action_spec: types.NestedTensorSpec,
        actor_network: network.Network,
        value_network: network.Network,
        observation_normalizer: ObservationNormalizer | None = None,
        *,
        policy_update: PolicyUpdate,
        objective: PolicyObjective | None = None,
        advantages: AdvantageEstimation | None = None,
        value_fit: Regression | None = None,
        acting: Acting | None = None,
        train_step_counter: tf.Variable | None = None,
    ) -> None:
        action_spec = tensor_spec.from_spec(action_spec)
        vector_size(time_step_spec.observation)
        vector_size(action_spec, "action_spec")
        _, half = ActionBox.of(action_spec)
        require_actor("actor_network", actor_network, time_step_spec, action_spec)
        objective = objective or PolicyObjective(actor_network)
        acting = acting or Acting()
        value_fit = value_fit or MinibatchRegression()
        _require_parts(type(self).__name__, actor_network, objective, acting)
        _require_capabilities(
            AgentSpecs(type(self).__name__, time_step_spec, action_spec),
            actor_network,
            objective.entropy_weight,
        )

        super().__init__(
            time_step_spec,
            action_spec,
            actor_network,
            observation_normalizer,
            acting,
            train_sequence_length=None,
            train_step_counter=train_step_counter,
        )
        if objective.entropy_weight > 0 and "pre_squash_action" not in self.collect_policy.info_spec:
            warnings.warn(
                "entropy_weight: should be 0 for a policy that is not squashed; got "
                f"{objective.entropy_weight}. The environment clips its actions, so that entropy outside the "
                "box is free, and the density spreads without bound. Construct the actor network with "
                "squash=True.",
                stacklevel=2,
            )
        self._value_network = value_network
        self._policy_update = policy_update
        self._value_fit = value_fit
        example = tf.zeros([2, *time_step_spec.observation.shape], time_step_spec.observation.dtype)
        require_value(value_network, example)  # It may create its variables here, when it is first called.
        self._strategy = learner_strategy(
            dict(actor_network=actor_network, value_network=value_network),
            dict(policy_update=policy_update, value_fit=value_fit),
        )
        _hold_constraints(objective.variables)
        policy_update.build(objective, acting.jit_compile)
        self._advantages = advantages or AdvantageEstimation()
        self._entropy_weight = objective.entropy_weight
        value_fit.build(self._value_of, value_network.trainable_variables, example)
        # Entropies are reported of the normalized action, so that they compare across action units.
        self._log_half_widths = float(np.sum(np.log(half)))

        def update_policy(batch: PolicyBatch, entropy_scale: tf.Tensor, seed: tf.Tensor):
            """Takes the policy's step, with the entropy bonus scaled as the advantages are."""
            return policy_update(objective.scaled(entropy_scale), batch, seed)

        def compiled_part(function: Callable, part: UpdatePart) -> Callable:
            """Compiles a function by XLA, unless the part that it calls compiles itself."""
            return compiled(function, acting.jit_compile and not part.compiles_itself)

        # Part by part: what XLA does badly, such as eigendecompositions, stays outside of what it compiles.
        self._compiled_evaluate = tf.function(self._evaluate, jit_compile=acting.jit_compile, autograph=False)
        self._compiled_policy_update = compiled_part(update_policy, policy_update)
        self._compiled_value_fit = compiled_part(self._fit_value, value_fit)
        self._compiled_train = tf.function(self._compute_update, autograph=False)

    @classmethod
    def accepts(cls, specs: AgentSpecs, actor_network: network.Network) -> str | None:
        """Returns this agent's name if the policy has densities of given actions; else None."""
        takes = cls is not OnPolicyAgent and _DENSITIES <= specs.capabilities(actor_network)
        return cls.__name__ if takes else None

    @property
    def value_network(self) -> network.Network:
        """V, of observations as the normalizer returns them."""
        return self._value_network

    def train_on_rollout(self, rollout: Rollout) -> tf_agent.LossInfo:
        """Trains on transitions; `extra` holds the iteration's metrics as scalar tensors.

        `entropy` is that of the policy that acted, in nats of the action scaled to [−1, 1]: the mean of
        −log π of the actions taken, as recorded with them.
        """
        with contextlib.nullcontext() if self._strategy is None else self._strategy.scope():
            metrics = self._compiled_train(rollout)
        return tf_agent.LossInfo(loss=-metrics["surrogate"], extra=metrics)

    # A user's tf.function may convert what it calls, and cannot convert all of this.
    @tf.autograph.experimental.do_not_convert
    def _train(self, experience, weights=None):
        if weights is not None:
            raise ConfigurationError("weights: this agent weighs all transitions alike. Pass none.")
        if in_replica():
            algorithm = type(self).__name__
            raise ConfigurationError(
                f"strategy: {algorithm} divides whole rollouts over the devices by itself, and cannot be "
                "called in a replica, as tf_agents' Learner(strategy=…) does. Call agent.train(experience) "
                "from a loop of your own, or use expol_tf.training.OnPolicyRunner."
            )
        return self.train_on_rollout(padded_rollout(rollout_from_trajectory(experience)))

    def _compute_update(self, rollout):
        # Here, where the graph is traced: once for each new shape, and not at each call.
        sizes = self.time_step_spec.observation.shape[0], self.action_spec.shape[0]
        require_rollout(rollout, *sizes, self.collect_policy.info_spec)
        # Drawn outside of what XLA compiles, so that seeds are the same with it and without.
        seeds = tf.bitcast(self._generator.make_seeds(2), tf.int32)[0]  # Two int32 pairs.
        batch, entropy_scale, target, metrics = self._compiled_evaluate(rollout)
        # The functions run in this order, as each is stateful.
        metrics |= self._compiled_policy_update(batch, entropy_scale, seeds[0])
        metrics["value_loss"] = self._compiled_value_fit(batch.observation, target, batch.valid, seeds[1])
        # Only now: π_old must see observations as it saw them when it acted.
        if self._observation_normalizer is not None:
            self._observation_normalizer.update(rollout.observation, rollout.valid)
        self.train_step_counter.assign_add(1)
        return metrics

    def _fit_value(self, observation, target, valid, seed):
        return self._value_fit.fit(
            self._value_of, self._value_network.trainable_variables, observation, target, valid, seed
        )

    def _value_of(self, observation):
        return call_network(self._value_network, observation)[0]

    def _evaluate(self, rollout):
        """Returns the policy's batch, the entropy's scale, the value targets `[N]`, N = B·T, and metrics."""
        batch, time = rollout.reward.shape

        def merge(tensor: tf.Tensor) -> tf.Tensor:
            """Returns `[B, T, …]` as `[B·T, …]`."""
            return tf.reshape(tensor, [batch * time, *tensor.shape[2:]])

        observation = self._normalize(merge(rollout.observation))
        value = self._value_of(observation)
        # Successors are evaluated by themselves: where an episode ends, the next row is another
        # episode's first state.
        next_value = self._value_of(self._normalize(merge(rollout.next_observation)))
        values, next_values = (tf.reshape(each, [batch, time]) for each in (value, next_value))
        advantage = self._advantages.estimate(
            rollout.reward, rollout.discount, values, next_values, rollout.episode_end
        )
        size = tf.reduce_max(tf.abs(tf.stack([rollout.reward, values, next_values])), axis=0)
        advantage = merge(self._advantages.without_rounding(advantage, rollout.valid, size))
        valid = merge(rollout.valid)
        info = {name: merge(tensor) for name, tensor in rollout.policy_info.items()}
        scaled = self._advantages.scale(advantage, valid, self._entropy_weight)
        policy_batch = PolicyBatch(
            observation=observation,
            action=merge(rollout.action),
            pre_squash_action=info.get("pre_squash_action"),
            log_prob=info["log_prob"],
            advantage=scaled.advantage,
            valid=valid,
        )
        # Â before it is scaled, as V has the reward's units.
        target = advantage + value
        metrics = {
            "entropy": -masked_mean(policy_batch.log_prob, valid) - self._log_half_widths,
            "explained_variance": explained_variance(value, target, valid),
        }
        return policy_batch, scaled.entropy_scale, target, metrics


def _hold_constraints(variables: Sequence[tf.Variable]) -> None:
    """Projects variables whose initial values break their Keras constraint, and says so.

    A first step would jump onto the constraint, which no trust region allows.
    """
    moved = []
    for variable in filter(is_constrained, variables):
        old = variable.numpy()
        project([variable])
        if np.abs(variable.numpy() - old).max() > 1e-6:
            moved.append(variable.name)
    if moved:
        warnings.warn(
            f"actor_network: the initial values of {', '.join(moved)} did not hold their constraints, and "
            "were projected onto them. Give an initializer that holds them to choose the start.",
            stacklevel=3,
        )


def _require_parts(algorithm, actor_network, objective, acting) -> None:
    """Refuses parts that do not go together, by the name of the argument."""
    if objective.actor_network is not actor_network:
        raise ConfigurationError(
            "objective must measure the agent's actor_network; it was given another one. Make it with "
            "PolicyObjective(actor_network)."
        )
    for name in ("exploration", "selection"):
        if getattr(acting, name) is not None:
            raise ConfigurationError(
                f"acting.{name} must be None for {algorithm}; got {shown(getattr(acting, name))}. On-policy "
                "agents learn from actions that their policy drew, with the densities they had."
            )


def _require_capabilities(specs: AgentSpecs, actor_network: network.Network, entropy_weight: float) -> None:
    found, distribution = specs.capabilities(actor_network), specs.distribution(actor_network)
    policy = type(actor_network).__name__
    if not _DENSITIES <= found:
        require(
            distribution,
            ("log_prob", "sample_and_log_prob"),
            policy=policy,
            algorithm=specs.algorithm,
            instead="On-policy agents (TRPO, PPO, ACKTR) compare densities of given actions: use a Gaussian, "
            "mixture or flow policy (GaussianActorNetwork, MixtureActorNetwork, FlowActorNetwork). "
            + accepting_agents(actor_network, specs),
        )
    if entropy_weight and "entropy" not in found:
        # Samples that gradients do not flow through would give a wrong gradient, not an error.
        require(
            distribution,
            ("reparameterized_sample",),
            policy=policy,
            algorithm=f"{specs.algorithm} with entropy_weight={entropy_weight}",
            instead="The entropy's gradient flows through samples where there is no closed form: use a "
            "reparameterized distribution, or entropy_weight=0.",
        )
