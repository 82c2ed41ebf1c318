"""The parts of an experiment that follow from its agent: networks, normalizer, runner."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import typing
from typing import Any

from expol_tf.agents import ActorCriticAgent, OnPolicyAgent, PolicyAgent
from expol_tf.errors import ConfigurationError
from expol_tf.training.runners.iteration import Runner
from expol_tf.training.runners.off_policy_runner import OffPolicyRunner
from expol_tf.training.runners.on_policy_runner import OnPolicyRunner
from expol_tf.training.settings import Factory, Learner


@dataclasses.dataclass(frozen=True)
class Parts:
    """Factories of an experiment's parts, as `train` calls them.

    Attributes:
      off_policy: Whether the agent learns from a replay.
      actor_network: Specs of observations and actions → policy.
      value_network: Spec of observations → V, of an on-policy agent.
      critic_network: Specs of observations and actions → Q, of an off-policy agent.
      observation_normalizer: Spec of observations → normalizer; None for none.
      runner: Environments and agent → runner.
      num_envs: Environments stepped as one batch.
    """

    off_policy: bool
    actor_network: Factory
    value_network: Factory | None
    critic_network: Factory | None
    observation_normalizer: Factory | None
    runner: Factory
    num_envs: int

    def make_agent(self, agent: Factory, specs: Any, action_spec: Any, seed: int) -> PolicyAgent:
        """Returns the agent with its networks, its randomness begun from the run's seed."""
        normalizer = None
        if self.observation_normalizer is not None:
            normalizer = self.observation_normalizer(specs.observation)
        actor_network = self.actor_network(specs.observation, action_spec)
        if self.critic_network is not None:
            values = self.critic_network(specs.observation, action_spec)
        else:
            assert self.value_network is not None
            values = self.value_network(specs.observation)
        made = agent(specs, action_spec, actor_network, values, observation_normalizer=normalizer)
        if not isinstance(made, PolicyAgent):
            raise ConfigurationError(
                f"agent must make an agent of this library, or of a class derived from one; got {made!r}."
            )
        if made.acting.seed not in (None, seed):
            raise ConfigurationError(
                f"Acting.seed must be left out here, as the agent gets the run's seed, {seed}; got "
                f"{made.acting.seed}. Set SEED (in Python: the argument seed of expol_tf.train) instead."
            )
        made.reset_from_seed(seed)
        return made

    def make_runner(self, env: Any, agent: Any, seed: int) -> Runner:
        """Returns the runner; those off policy draw random numbers of their own."""
        cls = _class(self.runner)
        if cls is not None and issubclass(cls, OffPolicyRunner):
            return self.runner(env, agent, seed=seed)
        return self.runner(env, agent)


def choose_parts(learner: Learner, num_envs: int | None = None) -> Parts:
    """Returns the given parts, and for those that are not given what goes with the agent.

    An agent is on or off policy by its class, also through `functools.partial`, or by that which a function
    is annotated to return; by the other parts where neither tells.

    Raises:
      ConfigurationError: If a part is of the other kind of agent.
    """
    normalizer = learner.observation_normalizer
    if isinstance(normalizer, str) and normalizer != "auto":
        raise ConfigurationError(
            'observation_normalizer must be a class or function, None for no normalization, or "auto"; '
            f"got {normalizer!r}."
        )
    cls = _class(learner.agent)
    runner_cls = None if learner.runner is None else _class(learner.runner)
    if cls is not None:
        off_policy = issubclass(cls, ActorCriticAgent)
    else:
        off_policy = learner.critic_network is not None or (
            runner_cls is not None and issubclass(runner_cls, OffPolicyRunner)
        )
    name = cls.__name__ if cls is not None else getattr(learner.agent, "__name__", str(learner.agent))
    kind, needs, refused = (
        ("off-policy", "critic_network", "value_network")
        if off_policy
        else ("on-policy", "value_network", "critic_network")
    )
    if getattr(learner, refused) is not None:
        raise ConfigurationError(
            f"{refused} must not be given for {name}, which is an {kind} agent and has a {needs} instead. "
            f"Give {needs}, or another agent."
        )
    own, other = (OffPolicyRunner, OnPolicyRunner) if off_policy else (OnPolicyRunner, OffPolicyRunner)
    if runner_cls is not None and issubclass(runner_cls, other):
        raise ConfigurationError(
            f"runner must be one for {kind} agents such as {name}; got {runner_cls.__name__}. "
            f"Give {own.__name__}, or none."
        )
    base: type[PolicyAgent] = ActorCriticAgent if off_policy else OnPolicyAgent
    defaults = (cls if cls is not None and issubclass(cls, base) else base).defaults
    settings = defaults.runner_settings
    if isinstance(normalizer, str):
        normalizer = defaults.observation_normalizer
    return Parts(
        off_policy=off_policy,
        actor_network=learner.actor_network or defaults.actor_network,
        value_network=None if off_policy else learner.value_network or defaults.values_network,
        critic_network=learner.critic_network or defaults.values_network if off_policy else None,
        observation_normalizer=normalizer,
        runner=learner.runner or (functools.partial(own, **settings) if settings else own),
        num_envs=num_envs if num_envs is not None else defaults.num_envs,
    )


def _class(factory: Factory) -> type | None:
    """Returns the class that a factory makes objects of, None if it does not tell."""
    while isinstance(factory, functools.partial):
        factory = factory.func
    factory = inspect.unwrap(factory)
    if inspect.isclass(factory):
        return factory
    try:
        returned = typing.get_type_hints(factory).get("return")
    except Exception:  # Annotations may name what exists for type checkers alone.
        return None
    return returned if inspect.isclass(returned) and returned is not Any else None
