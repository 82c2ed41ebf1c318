"""The off-policy agent: a soft-value backup for the critics, an improvement of the policy, and targets."""

from __future__ import annotations

import contextlib
import functools
import warnings
from collections.abc import Mapping, Sequence
from typing import ClassVar

import tensorflow as tf
from tf_agents.agents import tf_agent
from tf_agents.networks import network
from tf_agents.specs import tensor_spec
from tf_agents.trajectories import time_step as ts
from tf_agents.typing import types

from expol_tf.agents.acting import Acting
from expol_tf.agents.critic_fit import CriticFit, TargetUpdate
from expol_tf.agents.discriminators import Discriminator
from expol_tf.agents.experience import Transitions, require_transitions, transitions_from_trajectory
from expol_tf.agents.gradient_step import BatchLoss, Metrics, descend
from expol_tf.agents.improvements import Companion, ImprovementLoss, PolicyImprovement
from expol_tf.agents.network_checks import require_actor, require_critic
from expol_tf.agents.network_functions import critic_of, discriminator_of, policy_of
from expol_tf.agents.policy_agent import AgentDefaults, AgentSpecs, PolicyAgent
from expol_tf.agents.policy_checks import (
    copy_of_network,
    copy_of_policy,
    count_critics,
    outside_box,
    require_part,
)
from expol_tf.agents.results import require_contrast, require_improvement, require_scalar, require_vector
from expol_tf.agents.settings import with_defaults
from expol_tf.agents.soft_values import SoftValue
from expol_tf.agents.temperature import FixedTemperature, Temperature
from expol_tf.agents.variants import AlgorithmParts, Variant, accepted_as, require_policy
from expol_tf.bijectors import require_box
from expol_tf.configurable import configurable
from expol_tf.errors import CapabilityError, ConfigurationError
from expol_tf.networks import CriticNetwork, GaussianActorNetwork, LogStd, ObservationNormalizer, vector_size
from expol_tf.objectives import Contrast, discriminator_loss, masked_mean
from expol_tf.optimizers import Adam, build_optimizer
from expol_tf.replicas import (
    in_replica,
    learner_strategy,
    require_strategy,
    split_seed,
    with_whole_batch,
)
from expol_tf.shapes import as_numbers, require_shapes


@configurable
class ActorCriticAgent(PolicyAgent):
    """Critics regressed on r + γ·discount·V(s′), a policy improved against them, targets that follow.

    SAC, SQL, DDPG and the others differ in `soft_value`, `improvement` and `temperature`, small objects that
    recombine; `docs/extending.md` writes one. Each is a subclass whose `own_parts` are the defaults of these
    arguments. One update is

    1. y = r + γ·discount·V(s′), V = `soft_value` of the target critics;
    2. a step of the critics down ½·mean (Q_c − y)², each c by itself;
    3. the steps of each discriminator, on actions of the policy and others;
    4. a step of the policy down the loss of `improvement` against the new critics;
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
      observation_normalizer: Shared by the policies and the critics, or None. It learns from all batches.
      soft_value: V of successor states. It may be left out where the class has `own_parts`.
      improvement: How the policy is improved, with its optimizer. It may be left out likewise.
      temperature: α; `FixedTemperature(1.0)` by default.
      critic_fit: Discount, critics' optimizer and targets; by default γ = 0.99, `Adam(3e-4)`,
        `TargetUpdate(0.005)` and no target policy.
      acting: Exploration, seed and compilation; `Acting()` by default. Updates are never compiled: on the CPU
        that makes them slower.
      train_step_counter: int64 variable counting updates; a new one by default.
    """

    defaults: ClassVar[AgentDefaults] = AgentDefaults(
        actor_network=functools.partial(
            GaussianActorNetwork,
            hidden_units=(256, 256),
            squash=True,
            activation="relu",
            log_std=LogStd(state_dependent=True),
        ),
        values_network=CriticNetwork,
        observation_normalizer=None,
        num_envs=1,
    )
    # What the algorithm that a subclass is named after consists of.
    own_parts: ClassVar[AlgorithmParts | None] = None

    def __init__(
        self,
        time_step_spec: ts.TimeStep,
        action_spec: types.NestedTensorSpec,
        actor_network: network.Network,
        critic_network: network.Network,
        observation_normalizer: ObservationNormalizer | None = None,
        *,
        soft_value: SoftValue | None = None,
        improvement: PolicyImprovement | None = None,
        temperature: Temperature | None = None,
        critic_fit: CriticFit | None = None,
        acting: Acting | None = None,
        train_step_counter: tf.Variable | None = None,
    ) -> None:
        specs = AgentSpecs(type(self).__name__, time_step_spec, tensor_spec.from_spec(action_spec))
        sizes = vector_size(time_step_spec.observation), vector_size(specs.action, "action_spec")
        require_box(specs.action)
        require_actor("actor_network", actor_network, time_step_spec, specs.action)
        require_critic(critic_network, time_step_spec, specs.action)
        critic_fit, acting = critic_fit or CriticFit(), acting or Acting()
        if self.own_parts is not None:
            soft_value = soft_value or self.own_parts.soft_value()
            improvement = improvement or self.own_parts.improvement()
            temperature = temperature or self.own_parts.temperature()
            critic_fit = with_defaults(critic_fit, **self.own_parts.critic_fit())
            acting = with_defaults(acting, exploration=self.own_parts.exploration())
        soft_value = self._value_for(soft_value, improvement)
        temperature = temperature or FixedTemperature(1.0)
        soft_value = require_part("soft_value", soft_value, SoftValue)
        improvement = require_part("improvement", improvement, PolicyImprovement)
        if temperature.needs_log_prob and not improvement.knows_density:
            raise CapabilityError(
                f"temperature: {type(temperature).__name__} compares the policy's entropy with its "
                f"target, and {specs.algorithm} improves policies without knowing their density. Use "
                "FixedTemperature or ScheduledTemperature."
            )
        improvement.check_acting(acting)
        temperature.build(sizes[1])  # A policy may depend on it.
        parts = improvement.build(specs, actor_network, critic_network, temperature)
        fit = with_defaults(
            critic_fit, optimizer=Adam(3e-4), target_update=TargetUpdate(0.005), target_actor=False
        )
        # The network that `build` returned is asked, as an improvement may put another one over the given.
        require_policy(specs, parts.actor_network, Variant("", soft_value, improvement, temperature, fit))
        _warn_of_clipped_actions(specs, parts.actor_network)
        acting = with_defaults(acting, evaluation_network=parts.evaluation_network)
        super().__init__(
            time_step_spec,
            specs.action,
            parts.actor_network,
            observation_normalizer,
            acting,
            train_sequence_length=2,
            train_step_counter=train_step_counter,
        )
        self._critic_network = critic_network
        self._soft_value = soft_value
        self._improvement = improvement
        # Each by itself: checkpoints find what lies in tuples, not in other objects.
        self._policy_loss = parts.loss
        self._discriminators, self._companions = tuple(parts.discriminators), tuple(parts.companions)
        self._temperature = temperature
        self._critic_fit = fit
        assert fit.optimizer is not None and fit.target_update is not None, "filled above"
        self._critic_optimizer, self._target_update = fit.optimizer, fit.target_update
        self._actor_optimizer = improvement.make_optimizer()
        # Two rows: with one, values Q [N] could not be told from a single number [1].
        self._example = tuple(tf.zeros([2, size]) for size in sizes)
        self._num_critics = count_critics(critic_network, self._example)
        self._strategy = learner_strategy(
            dict(actor_network=self._actor_network, critic_network=critic_network)
        )
        self._target_critic_network = copy_of_network(critic_network, "TargetCritic", self._example)
        self._target_actor_network = None
        if fit.target_actor:
            self._target_actor_network = copy_of_policy(self._actor_network, specs)
        for optimizer, trained in (
            (self._actor_optimizer, self._actor_network),
            (self._critic_optimizer, critic_network),
            *((learner.optimizer, learner.network) for learner in self._discriminators + self._companions),
        ):
            if trained.trainable_variables:  # A policy may consist of its critic alone.
                build_optimizer(optimizer, trained.trainable_variables)
        # Not by XLA, whose matrix products on the CPU are slower than TensorFlow's own.
        self._compiled_update = tf.function(self._update_from_generator, autograph=False)

    @classmethod
    def variants(cls) -> Sequence[Variant]:
        """Returns the parts with which the agent may take a policy, its own by default; see `accepts`."""
        return () if cls.own_parts is None else (cls.own_parts.variant(),)

    @classmethod
    def accepts(cls, specs: AgentSpecs, actor_network: network.Network) -> str | None:
        """Returns this agent's name if it takes such a policy, with the settings for it; else None."""
        return accepted_as(cls.variants(), specs._replace(algorithm=cls.__name__), actor_network)

    def _value_for(
        self, soft_value: SoftValue | None, improvement: PolicyImprovement | None
    ) -> SoftValue | None:
        """Returns V as it goes with the improvement; an algorithm may refuse parts here."""
        del improvement
        return soft_value

    @property
    def critic_network(self) -> network.Network:
        """The network of all critics."""
        return self._critic_network

    @property
    def temperature(self) -> Temperature:
        """α."""
        return self._temperature

    def critic(self, observation: tf.Tensor, action: tf.Tensor) -> tf.Tensor:
        """Returns Q `[N, C]` of observations `[N, O]`, as the environment gives them, and actions `[N, A]`.

        Actions may be `[N, M, A]`, M for each observation; the result is then `[N, M, C]`.
        """
        inputs = dict(observation=observation, action=action)
        for name, value in inputs.items():
            if not tf.is_tensor(value):
                inputs[name] = as_numbers(name, value, "Give an array with a row for each state.")
        observation, action = (tf.cast(value, tf.float32) for value in inputs.values())
        sizes = [example.shape[1] for example in self._example]
        several = "M " if action.shape.rank == 3 else ""
        require_shapes(
            ("observation", observation, f"N {sizes[0]}"), ("action", action, f"N {several}{sizes[1]}")
        )
        return critic_of(self._critic_network)(self._normalize(observation), action)

    def warnings(self, metrics: Mapping[str, float]) -> Sequence[str]:
        """Returns what a user should know of means over some updates, a sentence each; usually nothing."""
        return self._improvement.warnings(metrics)

    def update(self, transitions: Transitions, seed: tf.Tensor) -> Metrics:
        """Does one update of everything, in place; to be called inside a compiled function.

        Args:
          transitions: A batch, observations as the environment gives them.
          seed: int32 `[2]`, from which all its randomness follows.

        Returns:
          Scalars: `critic_loss` (½·mean (Q − y)², averaged over critics), `actor_loss`, `q_mean`, `entropy`
          (−mean log π of fresh actions, where there is a density; in nats of the scaled action),
          `temperature`, and what the discriminators, the improvement and the companions measured.
        """
        sizes = (example.shape[1] for example in self._example)
        transitions = require_transitions(transitions, seed, *sizes)
        with contextlib.nullcontext() if self._strategy is None else self._strategy.scope():
            value_seed, improvement_seed = split_seed(seed, 2)
            step = self.train_step_counter.assign_add(1)
            batch = self._normalized(transitions)
            # Read once, so that all losses of an update have the same α, although α moves at its end.
            temperature = self._temperature.value()
            metrics = self._fit_critics(batch, temperature, value_seed)
            # Discriminators count down from −1 and companions up from 1: no two of them share a seed.
            for index, discriminator in enumerate(self._discriminators):
                discriminator_seed = _numbered(improvement_seed, -1 - index)
                metrics |= self._fit_discriminator(discriminator, batch, temperature, discriminator_seed)
            metrics |= self._improve_policy(batch, temperature, improvement_seed)
            for index, companion in enumerate(self._companions):
                companion_seed = _numbered(improvement_seed, index + 1)
                metrics |= self._improve_companion(companion, batch, temperature, companion_seed)
            metrics["temperature"] = temperature
            # E[log π] = −H, at the actions that the policy's loss drew: α needs no sample of its own.
            self._temperature.update(-metrics["entropy"] if "entropy" in metrics else None)
            self._follow(step)
            return metrics

    def _fit_critics(self, batch: Transitions, temperature: tf.Tensor, seed: tf.Tensor) -> Metrics:
        """A step of each critic down ½·mean (Q − y)², y = r + γ·discount·V(s′)."""
        critic, target_critic = critic_of(self._critic_network), critic_of(self._target_critic_network)
        policy = policy_of(self._target_actor_network or self._actor_network)
        box = self.action_spec

        def target(batch: Transitions, seed: tf.Tensor) -> tf.Tensor:
            """Returns y `[N]`; `descend` calls it outside of the gradient's tape."""
            value = self._soft_value(
                batch.next_observation, policy, target_critic, temperature, seed, box=box
            )
            require_vector(type(self._soft_value).__name__, "V", value, batch.reward)
            y = self._critic_fit.target(batch, value, policy, temperature, box)
            require_vector(f"{type(self._critic_fit).__name__}.target", "y", y, batch.reward)
            return tf.stop_gradient(y)

        def squared_error(batch: Transitions, y: tf.Tensor) -> tuple[tf.Tensor, Metrics]:
            """Returns ½·Σ_c (Q_c − y)², a mean over the transitions that count, and the mean Q."""
            q = critic(batch.observation, batch.action)
            # Summed over critics: each learns as if it were alone.
            error = 0.5 * tf.reduce_sum(tf.square(q - y[:, tf.newaxis]), axis=-1)
            q_mean = masked_mean(tf.reduce_mean(q, axis=-1), batch.valid)
            return masked_mean(error, batch.valid), {"q_mean": q_mean}

        loss, metrics = descend(
            squared_error, batch, seed, self._critic_network, self._critic_optimizer, target
        )
        # The loss is summed over critics, and the metric is their mean.
        return {"critic_loss": loss / self._num_critics, **metrics}

    def _fit_discriminator(
        self, discriminator: Discriminator, batch: Transitions, temperature: tf.Tensor, seed: tf.Tensor
    ) -> Metrics:
        """The discriminator's steps, each on fresh actions; returns what the last one measured."""
        critic, policy = critic_of(self._critic_network), policy_of(self._actor_network)
        f, name = discriminator_of(discriminator.network), discriminator.name

        def contrast(batch: Transitions, seed: tf.Tensor) -> tuple[Contrast, tf.Tensor]:
            """Draws the policy's actions and others, and a seed for the penalty."""
            seeds = split_seed(seed, 2)
            drawn = discriminator.contrast(
                batch.observation, policy, critic, temperature, seeds[0], batch.valid, box=self.action_spec
            )
            require_contrast(f"The contrast of discriminator {name!r}", drawn)
            return drawn, seeds[1]

        def loss(batch: Transitions, prepared: tuple[Contrast, tf.Tensor]) -> tuple[tf.Tensor, Metrics]:
            """Returns the discriminator's loss on the drawn actions, and what it measured."""
            drawn, penalty_seed = prepared
            value, measured = discriminator_loss(
                f,
                batch.observation,
                drawn,
                discriminator.matching,
                penalty_seed,
                batch.valid,
                box=self.action_spec,
            )
            require_scalar(f"The matching of discriminator {name!r}", "loss", value)
            return value, {
                **{f"{name}_{metric}": value for metric, value in measured.items()},
                **drawn.metrics,
            }

        for step in range(discriminator.num_steps):
            discriminator.before_step()
            value, metrics = descend(
                loss, batch, _numbered(seed, step), discriminator.network, discriminator.optimizer, contrast
            )
        return {f"{name}_loss": value, **metrics}

    def _improve_policy(self, batch: Transitions, temperature: tf.Tensor, seed: tf.Tensor) -> Metrics:
        """A step of the policy down the improvement's loss, against the new critics."""
        source = type(self._improvement).__name__
        loss = self._improvement_loss(source, self._policy_loss, self._actor_network, temperature)
        value, metrics = descend(loss, batch, seed, self._actor_network, self._actor_optimizer)
        if self._temperature.needs_log_prob and "entropy" not in metrics:
            raise ConfigurationError(
                f"{source} must return log_prob [N], as its knows_density = True says and "
                f"{type(self._temperature).__name__} needs; got None. Return log π of the actions that it "
                "drew, or set knows_density = False and give the agent a FixedTemperature."
            )
        return {"actor_loss": value, **metrics}

    def _improve_companion(
        self, companion: Companion, batch: Transitions, temperature: tf.Tensor, seed: tf.Tensor
    ) -> Metrics:
        """A step of a companion down its own loss."""
        source = f"The loss of companion {companion.name!r}"
        loss = self._improvement_loss(source, companion.loss, companion.network, temperature)
        value, metrics = descend(loss, batch, seed, companion.network, companion.optimizer)
        return {f"{companion.name}_{name}": metric for name, metric in {"loss": value, **metrics}.items()}

    def _improvement_loss(
        self, source: str, loss: ImprovementLoss, network_: network.Network, temperature: tf.Tensor
    ) -> BatchLoss:
        critic, policy = critic_of(self._critic_network), policy_of(network_)

        def batch_loss(batch: Transitions, seed: tf.Tensor) -> tuple[tf.Tensor, Metrics]:
            """Returns the improvement's loss on a batch, and its metrics, with the entropy if known."""
            improvement = loss(
                batch.observation, policy, critic, temperature, seed, batch.valid, box=self.action_spec
            )
            require_improvement(source, improvement, batch.reward)
            entropy = {}
            if improvement.log_prob is not None:
                entropy = {"entropy": -masked_mean(improvement.log_prob, batch.valid)}
            return improvement.loss, {**entropy, **improvement.metrics}

        return batch_loss

    def _follow(self, step: tf.Tensor) -> None:
        """Moves the target networks toward their own, if it is time."""
        pairs = [(self._target_critic_network, self._critic_network)]
        if self._target_actor_network is not None:
            pairs.append((self._target_actor_network, self._actor_network))
        targets = [variable for target, _ in pairs for variable in target.variables]
        variables = [variable for _, source in pairs for variable in source.variables]
        self._target_update.update(targets, variables, step)

    def _normalized(self, transitions: Transitions) -> Transitions:
        """Returns the transitions as networks take them; the normalizer has learned from them first."""
        if self._observation_normalizer is not None:
            valid = transitions.valid
            counted = tf.ones(tf.shape(transitions.reward), tf.bool) if valid is None else valid
            self._observation_normalizer.update(transitions.observation, counted)
        return transitions._replace(
            observation=self._normalize(transitions.observation),
            next_observation=self._normalize(transitions.next_observation),
        )

    # A user's tf.function may convert what it calls, and cannot convert all of this.
    @tf.autograph.experimental.do_not_convert
    def _train(self, experience, weights=None):
        if weights is not None:
            raise ConfigurationError("weights: this agent weighs all transitions alike. Pass none.")
        transitions = transitions_from_trajectory(experience)
        if in_replica():
            # TF-Agents' Learner divides the batch, and adds up what its replicas return; the update divides
            # it by itself. It is not compiled here: what merges replicas must be in the Learner's own graph.
            require_strategy(type(self).__name__, self._strategy)
            metrics = with_whole_batch(self._update_from_generator, transitions)
        else:
            metrics = self._compiled_update(transitions)
        return tf_agent.LossInfo(loss=metrics["critic_loss"] + metrics["actor_loss"], extra=metrics)

    def _update_from_generator(self, transitions):
        # A generator makes int64 seeds; stateless operations take their bits as two int32 on every device.
        return self.update(transitions, tf.bitcast(self._generator.make_seeds(1), tf.int32)[0, 0])


def _warn_of_clipped_actions(specs: AgentSpecs, actor_network: network.Network) -> None:
    """Says that a policy leaves the box, to an agent that takes such policies all the same."""
    found = outside_box(actor_network, specs)
    if found is not None:
        warnings.warn(
            f"actor_network: should stay in the action box; {type(actor_network).__name__} {found}. "
            f"Environments clip such actions, so that {specs.algorithm} never learns their Q. Make the "
            "network with squash=True.",
            stacklevel=3,
        )


def _numbered(seed: tf.Tensor, number: int) -> tf.Tensor:
    """Returns a seed that differs for every number."""
    return tf.random.experimental.stateless_fold_in(seed, number)
