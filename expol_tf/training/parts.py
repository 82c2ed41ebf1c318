"""The parts of an experiment that follow from its agent: networks, normalizer, runner."""

from __future__ import annotations

import copy
import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import gin
import gymnasium
import tensorflow as tf

from expol_tf import networks
from expol_tf.agents import ActorCriticAgent, AgentDefaults, OnPolicyAgent, PolicyAgent
from expol_tf.errors import ConfigurationError
from expol_tf.factories import completed, made_class, may_make, shown_factory, takes
from expol_tf.training.runners.iteration import Runner
from expol_tf.training.runners.off_policy_runner import OffPolicyRunner
from expol_tf.training.runners.on_policy_runner import DEFAULT_STEPS, OnPolicyRunner, require_whole_steps
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
        cls = made_class(self.runner)
        if cls is not None and issubclass(cls, OffPolicyRunner):
            return self.runner(env, agent, seed=seed)
        return self.runner(env, agent)


def choose_parts(learner: Learner, num_envs: int | None = None) -> Parts:
    """Returns the given parts, and for those that are not given what goes with the agent.

    An agent is on or off policy by its class, also through `functools.partial`, or by that which a function
    is annotated to return; by the other parts where neither tells.

    Raises:
      ConfigurationError: If a part is of the other kind of agent, or is given for another part.
    """
    normalizer = learner.observation_normalizer
    if isinstance(normalizer, str) and normalizer != "auto":
        raise ConfigurationError(
            'observation_normalizer must be a class or function, None for no normalization, or "auto"; '
            f"got {normalizer!r}."
        )
    require_factories(learner)
    learner = completed_learner(learner)
    cls, off_policy = made_class(learner.agent), _is_off_policy(learner)
    runner_cls = None if learner.runner is None else made_class(learner.runner)
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
    if off_policy:
        _require_no_seed(learner.runner)
    defaults = _defaults_of(learner)
    settings = defaults.runner_settings
    if isinstance(normalizer, str):
        normalizer = defaults.observation_normalizer
    if num_envs is None:
        num_envs = defaults.num_envs
    runner = learner.runner or (functools.partial(own, **settings) if settings else own)
    made, given = _runner_settings(runner)
    # What is around a runner of ours, or comes from a scope of gin's, may give it other steps.
    if made is OnPolicyRunner:
        require_whole_steps(given.get("iteration_steps", DEFAULT_STEPS), num_envs)
    return Parts(
        off_policy=off_policy,
        actor_network=learner.actor_network or defaults.actor_network,
        value_network=None if off_policy else learner.value_network or defaults.values_network,
        critic_network=learner.critic_network or defaults.values_network if off_policy else None,
        observation_normalizer=normalizer,
        runner=runner,
        num_envs=num_envs,
    )


def check_parts(bound: Mapping[str, Any]) -> None:
    """Raises a `ConfigurationError` for parts that do not go together, without making any.

    Args:
      bound: What gin holds for `train`, by argument, its references as they are.
    """
    # gin resolves a reference when it is copied. Those to tasks and wrappers might make environments.
    names = [field.name for field in dataclasses.fields(Learner) if field.name in bound]
    learner = Learner(**{name: copy.deepcopy(bound[name]) for name in names})
    choose_parts(learner, copy.deepcopy(bound.get("num_envs")))


def completed_learner(learner: Learner) -> Learner:
    """Returns the learner with the algorithm's own settings where its user gives others of the same class.

    With SAC `functools.partial(GaussianActorNetwork, hidden_units=(32, 32))` is still squashed, with a
    standard deviation that depends on the state, as SAC's own is. Settings that gin holds stay gin's.
    """
    require_factories(learner)
    defaults = _defaults_of(learner)
    values = "critic_network" if _is_off_policy(learner) else "value_network"
    runner = OffPolicyRunner if _is_off_policy(learner) else OnPolicyRunner
    own = {
        "actor_network": defaults.actor_network,
        values: defaults.values_network,
        "observation_normalizer": defaults.observation_normalizer,
        "runner": functools.partial(runner, **defaults.runner_settings),
    }
    changes = {}
    for name, default in own.items():
        given = getattr(learner, name)
        if isinstance(given, functools.partial) and isinstance(default, functools.partial):
            changes[name] = completed(given, default, held=gin.get_bindings(default.func))
    return dataclasses.replace(learner, **changes) if changes else learner


def _is_off_policy(learner: Learner) -> bool:
    cls = made_class(learner.agent)
    if cls is not None:
        return issubclass(cls, ActorCriticAgent)
    runner_cls = None if learner.runner is None else made_class(learner.runner)
    of_runner = runner_cls is not None and issubclass(runner_cls, OffPolicyRunner)
    return learner.critic_network is not None or of_runner


def _defaults_of(learner: Learner) -> AgentDefaults:
    cls = made_class(learner.agent)
    base: type[PolicyAgent] = ActorCriticAgent if _is_off_policy(learner) else OnPolicyAgent
    return (cls if cls is not None and issubclass(cls, base) else base).defaults


# What the classes of the library are, by the arguments for which they are made.
_KINDS: dict[str, tuple[str, tuple[type, ...]]] = {
    "agent": ("an agent", (PolicyAgent,)),
    "actor_network": (
        "a policy's network",
        tuple(getattr(networks, name) for name in networks.__all__ if name.endswith("ActorNetwork")),
    ),
    "value_network": ("a value network", (networks.ValueNetwork,)),
    "critic_network": ("a critic network", (networks.CriticNetwork, networks.CriticEnsemble)),
    "observation_normalizer": ("an observation normalizer", (networks.ObservationNormalizer,)),
    "runner": ("a runner", (OnPolicyRunner, OffPolicyRunner)),
}
# How each of them is called.
_CALLS: dict[str, tuple[str, ...]] = {
    "agent": ("time_step_spec", "action_spec", "actor_network", "value_or_critic_network"),
    "actor_network": ("observation_spec", "action_spec"),
    "value_network": ("observation_spec",),
    "critic_network": ("observation_spec", "action_spec"),
    "observation_normalizer": ("observation_spec",),
    "runner": ("environments", "agent"),
}


def require_factories(learner: Learner) -> None:
    """Raises a `ConfigurationError` for what cannot make the part that it is given for."""
    for name, (wanted, _) in _KINDS.items():
        factory = getattr(learner, name)
        if name != "agent" and factory is None:
            continue
        if name == "observation_normalizer" and isinstance(factory, str):
            continue  # "auto", or refused by `choose_parts`.
        rule = f"{name} must be a class or function that makes {wanted}; got"
        remedy = "Give another, or none."
        if isinstance(factory, tf.Module):
            raise ConfigurationError(
                f"{rule} an object of the class {type(factory).__name__}. Give the class itself, or a "
                "functools.partial of it with its settings."
            )
        if not callable(factory):
            raise ConfigurationError(f"{rule} {factory!r}. {remedy}")
        kinds = [(kind, text) for kind, (text, classes) in _KINDS.items() if _makes_one_of(factory, classes)]
        if kinds and name not in dict(kinds):
            raise ConfigurationError(f"{rule} {shown_factory(factory)}, which makes {kinds[0][1]}. {remedy}")
        cls = made_class(factory)
        foreign = cls is not None and (cls.__module__ == "builtins" or issubclass(cls, gymnasium.Env))
        if foreign or (name == "agent" and not may_make(factory, PolicyAgent)):
            raise ConfigurationError(f"{rule} {shown_factory(factory)}. {remedy}")
        if not takes(factory, *_CALLS[name]):
            raise ConfigurationError(
                f"{name} must be a class or function that can be called with {', '.join(_CALLS[name])}; got "
                f"{shown_factory(factory)}, which cannot. {remedy}"
            )


def _makes_one_of(factory: Factory, classes: tuple[type, ...]) -> bool:
    cls = made_class(factory)
    return cls is not None and issubclass(cls, classes)


def _require_no_seed(runner: Factory | None) -> None:
    """Raises a `ConfigurationError` for a seed of a runner, as the runner gets that of the run."""
    if not _makes_one_of(runner or OffPolicyRunner, (OffPolicyRunner,)):
        return
    _, given = _runner_settings(runner or OffPolicyRunner)
    if given.get("seed") is not None:
        raise ConfigurationError(
            f"OffPolicyRunner.seed must be left out here, as the runner gets the run's seed; got "
            f"{given['seed']!r}. Set SEED (in Python: the argument seed of expol_tf.train) instead."
        )


def _runner_settings(runner: Factory) -> tuple[Factory, dict[str, Any]]:
    """Returns what partials are around, and what gin and they set on it; theirs win, the outermost's most."""
    partials: list[dict[str, Any]] = []
    while isinstance(runner, functools.partial):
        partials.append(runner.keywords)
        runner = runner.func
    cls = made_class(runner)
    owner = OffPolicyRunner if cls is not None and issubclass(cls, OffPolicyRunner) else OnPolicyRunner
    given = dict(gin.get_bindings(owner))
    for keywords in reversed(partials):
        given |= keywords
    return runner, given
