"""What on-policy and off-policy agents share, and the specs that they are made for."""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple, NoReturn

import tensorflow as tf
import tensorflow_probability as tfp
from tf_agents.agents import tf_agent
from tf_agents.networks import network
from tf_agents.specs import tensor_spec
from tf_agents.trajectories import time_step as ts
from tf_agents.typing import types

from expol_tf.agents.acting import Acting, ParticleSelection
from expol_tf.agents.actor_policy import ActorPolicy
from expol_tf.agents.network_checks import require_actor
from expol_tf.checks import refuse_misspelt_attributes
from expol_tf.distributions import capabilities
from expol_tf.errors import CapabilityError, ConfigurationError
from expol_tf.networks import ObservationNormalizer, call_network
from expol_tf.random import make_generator, stream

# What networks' distributions can do, as long as the networks live.
_CAPABILITIES: weakref.WeakKeyDictionary[network.Network, frozenset[str]] = weakref.WeakKeyDictionary()


class AgentSpecs(NamedTuple):
    """The specs of an agent, and the name under which it refuses what does not fit.

    Attributes:
      algorithm: The agent's class name, for messages.
      time_step: TF-Agents time-step spec with one float vector as observation.
      action: Bounded float vector.
    """

    algorithm: str
    time_step: ts.TimeStep
    action: types.NestedTensorSpec

    def example(self, count: int = 1) -> tf.Tensor:
        """Returns `count` observations of zeros, `[count, O]`."""
        spec = tensor_spec.from_spec(self.time_step.observation)
        return tf.zeros([count, *spec.shape], spec.dtype)

    def distribution(self, actor_network: network.Network) -> tfp.distributions.Distribution:
        """Returns the network's distribution at one observation."""
        return call_network(actor_network, self.example())[0]

    def capabilities(self, actor_network: network.Network) -> frozenset[str]:
        """Returns what the network's distributions can do; see `expol_tf.distributions.capabilities`."""
        # Finding out takes seconds, and a refusal asks for every agent that might accept the network.
        if actor_network not in _CAPABILITIES:
            _CAPABILITIES[actor_network] = capabilities(self.distribution(actor_network))
        return _CAPABILITIES[actor_network]


Factory = Callable[..., Any]


class AgentDefaults(NamedTuple):
    """What `expol_tf.train` gives an agent where its user names nothing else.

    Attributes:
      actor_network: Specs of observations and actions → policy.
      values_network: Specs → critics of an off-policy agent; spec of observations → V of an on-policy one.
      observation_normalizer: Spec of observations → normalizer; None for observations as they are.
      num_envs: Environments stepped as one batch.
      runner_settings: Arguments of the runner that differ from the runner's own defaults.
    """

    actor_network: Factory
    values_network: Factory
    observation_normalizer: Factory | None
    num_envs: int
    runner_settings: Mapping[str, Any] = {}


class PolicyAgent(tf_agent.TFAgent):
    """An agent with one actor network, a policy that acts greedily by it, and one that explores.

    Attributes:
      defaults: The parts that `expol_tf.train` adds; each algorithm has its own.
      learns_on_policy: Whether training needs the densities of collected actions, in `policy_info`.
    """

    defaults: ClassVar[AgentDefaults]
    learns_on_policy: ClassVar[bool] = False

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        refuse_misspelt_attributes(cls, PolicyAgent)

    def __init__(
        self,
        time_step_spec: ts.TimeStep,
        action_spec: types.NestedTensorSpec,
        actor_network: network.Network,
        observation_normalizer: ObservationNormalizer | None,
        acting: Acting,
        train_sequence_length: int | None,
        train_step_counter: tf.Variable | None,
    ) -> None:
        if isinstance(acting.selection, ParticleSelection):
            distribution = require_actor("actor_network", actor_network, time_step_spec, action_spec)
            acting.selection.require(distribution, type(actor_network).__name__)
        if acting.evaluation_network is not None:
            argument, evaluation = "acting.evaluation_network", acting.evaluation_network
            distribution = require_actor(argument, evaluation, time_step_spec, action_spec)
            if "greedy_action" not in capabilities(distribution):
                raise CapabilityError(
                    f"{argument} must give a distribution with greedy_action, by which `policy` acts; "
                    f"{type(evaluation).__name__}'s {type(distribution).__name__} has none. Give the "
                    "distribution a method greedy_action()."
                )
        make_policy = functools.partial(
            ActorPolicy,
            time_step_spec,
            action_spec,
            observation_normalizer=observation_normalizer,
            jit_compile=acting.jit_compile,
        )
        if train_step_counter is None:
            train_step_counter = tf.Variable(0, trainable=False, dtype=tf.int64, name="train_step")
        super().__init__(
            time_step_spec,
            action_spec,
            policy=make_policy(actor_network=acting.evaluation_network or actor_network, greedy=True),
            collect_policy=make_policy(
                actor_network=actor_network,
                seed=_stream(acting.seed, "acting"),
                exploration=acting.exploration,
                selection=acting.selection,
                # Off policy nobody reads densities, and random policies that fill a replay have none.
                reports_density=self.learns_on_policy,
            ),
            train_sequence_length=train_sequence_length,
            train_step_counter=train_step_counter,
        )
        self._actor_network = actor_network
        self._observation_normalizer = observation_normalizer
        self._acting = acting
        # A stream of its own, so that acting more or less often does not shift the seeds of updates.
        self._generator = make_generator(_stream(acting.seed, "minibatches"))

    @classmethod
    def accepts(cls, specs: AgentSpecs, actor_network: network.Network) -> str | None:
        """Returns this agent's name if it takes such a policy, with the settings that this needs; else None.

        An agent that refuses a policy names those that accept it.

        Args:
          specs: The specs that the policy is for.
          actor_network: The policy's network.
        """
        del specs, actor_network
        return None

    @property
    def _actor_net(self) -> NoReturn:
        # The first thing that TF-Agents' PPOLearner asks an agent for, together with the next.
        raise _not_for_ppo_learner(type(self).__name__, self.learns_on_policy)

    @property
    def update_normalizers_in_train(self) -> NoReturn:
        """Raises a `ConfigurationError`: TF-Agents' `PPOLearner`, which asks, is for its own PPO agent."""
        raise _not_for_ppo_learner(type(self).__name__, self.learns_on_policy)

    @property
    def actor_network(self) -> network.Network:
        """The policy's network, which is trained."""
        return self._actor_network

    @property
    def evaluation_network(self) -> network.Network:
        """The network by which `policy` acts, and which is exported."""
        return self._acting.evaluation_network or self._actor_network

    @property
    def acting(self) -> Acting:
        """How the policies act."""
        return self._acting

    @property
    def observation_normalizer(self) -> ObservationNormalizer | None:
        """What observations pass before a network sees them, or None."""
        return self._observation_normalizer

    @property
    def generator(self) -> tf.random.Generator:
        """What seeds of updates are drawn from; checkpoints hold it."""
        return self._generator

    def reset_from_seed(self, seed: int) -> None:
        """Begins the randomness of training and collecting anew, as if the agent were made with this seed."""
        self._generator.reset_from_seed(stream(seed, "minibatches"))
        self.collect_policy.generator.reset_from_seed(stream(seed, "acting"))

    def warnings(self, metrics: Mapping[str, float]) -> Sequence[str]:
        """Returns what a user should know of means over some updates, a sentence each; usually nothing.

        Args:
          metrics: The means of what training returned.
        """
        del metrics
        return ()

    def _normalize(self, observation: tf.Tensor) -> tf.Tensor:
        normalizer = self._observation_normalizer
        return observation if normalizer is None else normalizer(observation)


def _not_for_ppo_learner(algorithm: str, on_policy: bool) -> ConfigurationError:
    fits = (
        "call agent.train(experience) for each batch that a driver gathered, or use "
        "expol_tf.training.OnPolicyRunner: one call does all epochs, minibatches and the normalizer's update"
        if on_policy
        else "use tf_agents.train.learner.Learner, or expol_tf.training.OffPolicyRunner"
    )
    return ConfigurationError(
        f"agent: PPOLearner reads private parts of tf_agents' own PPOAgent, which {algorithm} has not. "
        f"Instead, {fits}."
    )


def _stream(seed: int | None, name: str) -> int | None:
    return None if seed is None else stream(seed, name)
