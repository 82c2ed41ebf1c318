"""The off-policy agent: a soft-value backup for the critics, an improvement of the policy, and targets."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Mapping, Sequence
from typing import Any

import gin
import tensorflow as tf
from tf_agents.agents import tf_agent
from tf_agents.networks import network
from tf_agents.specs import tensor_spec
from tf_agents.trajectories import time_step as ts
from tf_agents.typing import types

from expol_tf.agents.actor_policy import ActorPolicy, Selection
from expol_tf.agents.exploration import ExplorationNoise
from expol_tf.agents.learner_strategy import learner_strategy
from expol_tf.agents.off_policy_checks import (
    copy_of_network,
    copy_of_policy,
    count_critics,
    require_of_policy,
)
from expol_tf.agents.off_policy_parts import (
    Companion,
    Discriminator,
    Optimizer,
    PolicyImprovement,
    SoftValue,
    discriminator_function,
)
from expol_tf.agents.target_update import TargetUpdate
from expol_tf.agents.temperature import FixedTemperature, Temperature
from expol_tf.agents.transitions import Transitions, transitions_from_trajectory
from expol_tf.bijectors import box_middle_and_half
from expol_tf.errors import CapabilityError, ConfigurationError
from expol_tf.networks import ObservationNormalizer, values_at, vector_size
from expol_tf.objectives import (
    Critic,
    Policy,
    discriminator_loss,
    improvement_in_parts,
    masked_mean,
    soft_value_in_parts,
)
from expol_tf.optimizers import Adam
from expol_tf.random import make_generator, stream
from expol_tf.replicas import (
    parts_of_replicas,
    run_on_replicas,
    seed_of_replica,
    shares_of_replicas,
    split_seed,
    sum_over_replicas,
)


@gin.configurable(module="expol_tf")
class ActorCriticAgent(tf_agent.TFAgent):
    """Critics regressed on r + γ·discount·V(s′), a policy improved against them, targets that follow.

    SAC, SQL and DDPG differ in `soft_value`, `policy_improvement` and `temperature`, which are functions and
    small objects that recombine; `docs/composing_an_off_policy_agent.md` wires one. One update is

    1. y = r + γ·discount·V(s′), V = `soft_value` of the target critics;
    2. a step of the critics down ½·mean (Q_c − y)², each c by itself;
    3. the steps of each discriminator, on actions of the policy and others;
    4. a step of the policy down the loss of `policy_improvement` against the new critics;
    5. a step of each companion, of the temperature; 6. the target networks follow.

    `update` is this as a function, for loops that are part of a larger graph; `train` is for TF-Agents
    trajectories `[B, 2]`. Densities count in units of the action scaled to [−1, 1], so that a temperature
    means the same on every action box.

    Constructed in the scope of a `tf.distribute.MirroredStrategy` (with its networks), it is a data-parallel
    learner, whose updates are those of one device up to rounding and random numbers.

    Args:
      time_step_spec: TF-Agents time-step spec with one float vector as observation.
      action_spec: Bounded float vector with finite bounds.
      actor_network: `network(observation) -> (distribution, state)`.
      critic_network: `network((observation, action)) -> (Q [N, C] or [N], state)`, C critics.
      soft_value: V of successor states; see `SoftValue`.
      policy_improvement: The policy's loss; see `PolicyImprovement`. With state of its own, a `tf.Module`.
      capabilities: What these two need of the policy's distribution (`expol_tf.distributions.capabilities`).
      temperature: α; `FixedTemperature(1.0)` by default.
      gamma: Discount per step.
      target_update: How the target critics follow; `TargetUpdate(0.005)` by default.
      target_actor: Whether `soft_value` sees a target policy, which follows likewise, and not the policy.
      exploration: Noise added to the actions that the collect policy draws, or None.
      selection: How the collect policy takes an action of a distribution, if it does not just draw one.
      discriminators: Networks trained just before the policy, whose improvement asks them.
      companions: Networks trained beside the policy.
      batch_parts: In so many parts, side by side, values and improvements of a batch are computed; more than
        one makes large updates faster on a CPU with several cores.
      test_network: A companion's network for `policy` to act by, and to be exported, instead of the policy's.
      actor_optimizer: An `expol_tf.optimizers.Adam` or a Keras optimizer; `Adam(3e-4)` by default.
      critic_optimizer: Likewise.
      observation_normalizer: Shared by the policies and the critics, or None. It learns from all batches.
      seed: Of all randomness of this agent and of its collect policy; None takes entropy from the system.
      train_step_counter: int64 variable counting updates; a new one by default.
      jit_compile: Whether XLA compiles acting. Updates are never compiled: on the CPU that makes them slower.
    """

    def __init__(
        self,
        time_step_spec: ts.TimeStep,
        action_spec: types.NestedTensorSpec,
        actor_network: network.Network,
        critic_network: network.Network,
        *,
        soft_value: SoftValue,
        policy_improvement: PolicyImprovement,
        capabilities: Sequence[str] = ("reparameterized_sample",),
        temperature: Temperature | None = None,
        gamma: float = 0.99,
        target_update: TargetUpdate | None = None,
        target_actor: bool = False,
        exploration: ExplorationNoise | None = None,
        selection: Selection | None = None,
        discriminators: Sequence[Discriminator] = (),
        companions: Sequence[Companion] = (),
        batch_parts: int = 1,
        test_network: network.Network | None = None,
        actor_optimizer: Optimizer | None = None,
        critic_optimizer: Optimizer | None = None,
        observation_normalizer: ObservationNormalizer | None = None,
        seed: int | None = None,
        train_step_counter: tf.Variable | None = None,
        jit_compile: bool = True,
    ) -> None:
        action_spec = tensor_spec.from_spec(action_spec)
        observation_size = vector_size(time_step_spec.observation)
        action_size = vector_size(action_spec, "action_spec")
        box_middle_and_half(action_spec)  # Refuses an infinite box.
        if not 0 <= gamma <= 1:
            raise ConfigurationError(f"gamma must be between 0 and 1; got {gamma}.")
        if batch_parts < 1:
            raise ConfigurationError(f"batch_parts must be 1 or more; got {batch_parts}.")
        temperature = temperature or FixedTemperature(1.0)
        if temperature.needs_log_prob and "sample_and_log_prob" not in capabilities:
            raise CapabilityError(
                f"temperature: {type(temperature).__name__} compares the policy's entropy with its "
                f"target, and {type(self).__name__} improves policies without knowing their density. Use "
                "FixedTemperature or ScheduledTemperature."
            )
        temperature.build(action_size)  # A policy may depend on it.
        require_of_policy(actor_network, time_step_spec, type(self).__name__, capabilities)
        self._example = (tf.zeros([2, observation_size]), tf.zeros([2, action_size]))
        self._num_critics = count_critics(critic_network, self._example)

        make_policy = functools.partial(
            ActorPolicy,
            time_step_spec,
            action_spec,
            observation_normalizer=observation_normalizer,
            jit_compile=jit_compile,
        )
        acting_seed = None if seed is None else stream(seed, "acting")
        if train_step_counter is None:
            train_step_counter = tf.Variable(0, trainable=False, dtype=tf.int64, name="train_step")
        super().__init__(
            time_step_spec,
            action_spec,
            policy=make_policy(actor_network=test_network or actor_network, greedy=True),
            collect_policy=make_policy(
                actor_network=actor_network, seed=acting_seed, exploration=exploration, selection=selection
            ),
            train_sequence_length=2,
            train_step_counter=train_step_counter,
        )
        self._actor_network = actor_network
        self._critic_network = critic_network
        self._observation_normalizer = observation_normalizer
        self._soft_value = functools.partial(soft_value_in_parts, soft_value, batch_parts)
        self._batch_parts = batch_parts
        self._policy_improvement = policy_improvement
        self._temperature = temperature
        self._discriminators = tuple(discriminators)
        self._companions = tuple(companions)
        self._test_network = test_network or actor_network
        self._selection = selection
        self._gamma = gamma
        self._target_update = target_update or TargetUpdate(0.005)
        self._actor_optimizer = actor_optimizer or Adam(3e-4)
        self._critic_optimizer = critic_optimizer or Adam(3e-4)
        self._strategy = learner_strategy(dict(actor_network=actor_network, critic_network=critic_network))
        self._target_critic_network = copy_of_network(critic_network, "TargetCritic", self._example)
        self._target_actor_network = None
        if target_actor:
            self._target_actor_network = copy_of_policy(actor_network, self._example[0], type(self).__name__)
        if actor_network.trainable_variables:
            self._actor_optimizer.build(actor_network.trainable_variables)
        self._critic_optimizer.build(critic_network.trainable_variables)
        for discriminator in self._discriminators:
            discriminator.optimizer.build(discriminator.network.trainable_variables)
        for companion in self._companions:
            companion.optimizer.build(companion.network.trainable_variables)
        self._generator = make_generator(None if seed is None else stream(seed, "minibatches"))
        self._compiled_update = tf.function(self._update_from_generator, autograph=False)

    @property
    def actor_network(self) -> network.Network:
        return self._actor_network

    @property
    def test_network(self) -> network.Network:
        """By which `policy` acts, and which is exported: the actor network, or a companion's."""
        return self._test_network

    @property
    def selection(self) -> Selection | None:
        """How the collect policy takes an action of a distribution, None if it draws one."""
        return self._selection

    @property
    def critic_network(self) -> network.Network:
        return self._critic_network

    @property
    def observation_normalizer(self) -> ObservationNormalizer | None:
        return self._observation_normalizer

    @property
    def temperature(self) -> Temperature:
        return self._temperature

    @property
    def generator(self) -> tf.random.Generator:
        """What seeds of updates are drawn from; checkpoints hold it."""
        return self._generator

    def critic(self, observation: tf.Tensor, action: tf.Tensor) -> tf.Tensor:
        """Returns Q `[N, C]` of observations `[N, O]`, as the environment gives them, and actions `[N, A]`.

        Actions may be `[N, M, A]`, M for each observation; the result is then `[N, M, C]`.
        """
        observation = tf.convert_to_tensor(observation, tf.float32)
        action = tf.convert_to_tensor(action, tf.float32)
        return self._values_of(self._critic_network)(self._normalize(observation), action)

    def update(self, transitions: Transitions, seed: tf.Tensor) -> dict[str, tf.Tensor]:
        """Does one update of everything, in place; to be called inside a compiled function.

        Args:
          transitions: A batch, observations as the environment gives them.
          seed: int32 `[2]`, of all its randomness.

        Returns:
          Scalars: `critic_loss` (½·mean (Q − y)², averaged over critics), `actor_loss`, `q_mean`, `entropy`
          (−mean log π of fresh actions, where there is a density; in nats of the scaled action),
          `temperature`, and what the discriminators, the policy improvement and the companions measured.
        """
        with contextlib.nullcontext() if self._strategy is None else self._strategy.scope():
            return self._compute_update(transitions, seed)

    def warnings(self, metrics: Mapping[str, float]) -> Sequence[str]:
        """Returns what a user should know of means over some updates, a sentence each; usually nothing.

        Args:
          metrics: Means of what `update` returned.
        """
        return ()

    def _compute_update(self, transitions, seed):
        value_seed, improvement_seed = split_seed(seed, 2)
        if self._observation_normalizer is not None:
            valid = transitions.valid
            if valid is None:
                valid = tf.ones(tf.shape(transitions.reward), tf.bool)
            self._observation_normalizer.update(transitions.observation, valid)
        step = self.train_step_counter.assign_add(1)
        batch = transitions._replace(
            observation=self._normalize(transitions.observation),
            next_observation=self._normalize(transitions.next_observation),
        )
        part = parts_of_replicas(batch)
        share = shares_of_replicas(lambda: _valid(batch))
        temperature = self._temperature.value()
        metrics = self._improve_critics(part, share, temperature, value_seed)
        for index, discriminator in enumerate(self._discriminators):
            seed = tf.random.experimental.stateless_fold_in(improvement_seed, -1 - index)
            metrics |= self._discriminate(discriminator, part, share, temperature, seed)
        actor = Companion("actor", self._actor_network, self._policy_improvement, self._actor_optimizer)
        found = self._improve(actor, part, share, temperature, improvement_seed)
        metrics |= {"actor_loss": found.pop("loss"), **found}
        for index, companion in enumerate(self._companions):
            seed = tf.random.experimental.stateless_fold_in(improvement_seed, index + 1)
            found = self._improve(companion, part, share, temperature, seed)
            metrics |= {f"{companion.name}_{name}": each for name, each in found.items()}
        metrics["temperature"] = temperature
        mean_log_prob = -metrics["entropy"] if "entropy" in metrics else None
        self._temperature.update(mean_log_prob)
        self._follow(step)
        return metrics

    def _improve_critics(self, part, share, temperature, seed):
        critic, target_critic = (
            self._values_of(self._critic_network),
            self._values_of(self._target_critic_network),
        )
        policy = self._policy_of(self._target_actor_network or self._actor_network)
        variables = self._critic_network.trainable_variables

        def differentiate():
            batch = part()
            value = self._soft_value(
                batch.next_observation, policy, target_critic, temperature, seed_of_replica(seed)
            )
            target = tf.stop_gradient(batch.reward + self._gamma * batch.discount * value)
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(variables)
                q = critic(batch.observation, batch.action)
                # Summed over critics: each learns as if it were alone.
                error = 0.5 * tf.reduce_sum(tf.square(q - target[:, tf.newaxis]), axis=-1)
                loss = share(masked_mean(error, batch.valid))
            q_mean = share(masked_mean(tf.reduce_mean(q, axis=-1), batch.valid))
            return loss, q_mean, tape.gradient(loss, variables)

        loss, q_mean, gradients = sum_over_replicas(differentiate)
        self._apply(self._critic_optimizer, gradients, variables)
        return {"critic_loss": loss / self._num_critics, "q_mean": q_mean}

    def _discriminate(self, discriminator, part, share, temperature, seed):
        critic, policy = self._values_of(self._critic_network), self._policy_of(self._actor_network)
        variables = discriminator.network.trainable_variables
        refresh = getattr(discriminator.network, "update_spectral_norms", lambda: None)

        def differentiate(step_seed):
            batch = part()
            seeds = split_seed(seed_of_replica(step_seed), 2)
            contrast = discriminator.contrast(
                batch.observation, policy, critic, temperature, seeds[0], batch.valid
            )
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(variables)
                loss, found = discriminator_loss(
                    discriminator_function(discriminator.network),
                    batch.observation,
                    contrast,
                    discriminator.matching,
                    seeds[1],
                    batch.valid,
                    box=self.action_spec,
                )
                loss = share(loss)
            found = {f"{discriminator.name}_{name}": share(value) for name, value in found.items()}
            found |= {name: share(value) for name, value in contrast.metrics.items()}
            return {f"{discriminator.name}_loss": loss, **found}, tape.gradient(loss, variables)

        for step in range(discriminator.num_steps):
            refresh()
            step_seed = tf.random.experimental.stateless_fold_in(seed, step)
            metrics, gradients = sum_over_replicas(functools.partial(differentiate, step_seed))
            self._apply(discriminator.optimizer, gradients, variables)
        return metrics

    def _improve(self, learner, part, share, temperature, seed):
        critic, policy = self._values_of(self._critic_network), self._policy_of(learner.network)
        variables = learner.network.trainable_variables

        def differentiate():
            batch = part()
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(variables)
                improvement = improvement_in_parts(
                    learner.improvement,
                    self._batch_parts,
                    batch.observation,
                    policy,
                    critic,
                    temperature,
                    seed_of_replica(seed),
                    batch.valid,
                )
                loss = share(improvement.loss)
            metrics = {"loss": loss}
            if improvement.log_prob is not None:
                metrics["entropy"] = share(-masked_mean(improvement.log_prob, batch.valid))
            metrics |= {name: share(value) for name, value in improvement.metrics.items()}
            return metrics, tape.gradient(loss, variables, unconnected_gradients=tf.UnconnectedGradients.ZERO)

        metrics, gradients = sum_over_replicas(differentiate)
        if variables:  # A policy may consist of its critic alone.
            self._apply(learner.optimizer, gradients, variables)
        return metrics

    def _follow(self, step):
        pairs = [(self._target_critic_network, self._critic_network)]
        if self._target_actor_network is not None:
            pairs.append((self._target_actor_network, self._actor_network))
        targets = [variable for target, _ in pairs for variable in target.variables]
        variables = [variable for _, source in pairs for variable in source.variables]
        self._target_update.update(targets, variables, step)

    def _apply(self, optimizer, gradients, variables):
        pairs = list(zip(gradients, variables, strict=True))
        # The gradients are added up already; a Keras optimizer in a replica would do it again.
        options: dict[str, Any] = {} if self._strategy is None or isinstance(optimizer, Adam) else _ADDED_UP
        run_on_replicas(lambda: optimizer.apply_gradients(pairs, **options))

    def _train(self, experience, weights=None):
        if weights is not None:
            raise ConfigurationError("weights: this agent weighs all transitions alike. Pass none.")
        metrics = self._compiled_update(transitions_from_trajectory(experience))
        return tf_agent.LossInfo(loss=metrics["critic_loss"] + metrics["actor_loss"], extra=metrics)

    def _update_from_generator(self, transitions):
        return self.update(transitions, tf.bitcast(self._generator.make_seeds(1), tf.int32)[0, 0])

    def _policy_of(self, network_) -> Policy:
        return lambda observation: network_(observation)[0]

    def _values_of(self, network_) -> Critic:
        def critic(observation, action):
            if action.shape.rank > observation.shape.rank:
                return values_at(network_, observation)(action)
            q = network_((observation, action))[0]
            return q if q.shape.rank == action.shape.rank else q[..., tf.newaxis]

        return critic

    def _normalize(self, observation):
        normalizer = self._observation_normalizer
        return observation if normalizer is None else normalizer(observation)


_ADDED_UP = {"skip_gradients_aggregation": True}


def _valid(batch):
    return tf.ones(tf.shape(batch.reward), tf.bool) if batch.valid is None else batch.valid
