"""The library's own gin files, each resolved against the real configurables."""

from __future__ import annotations

import functools
import re
from typing import Any

import gin
import gymnasium
import pytest
import tensorflow as tf
from tf_agents.networks import network
from tf_agents.specs import tensor_spec
from tf_agents.trajectories import time_step as ts

from expol_tf import agents, configuration, networks
from expol_tf.agents.acting import Acting
from expol_tf.cli.commands import train as command_line
from expol_tf.configuration import gin_syntax
from expol_tf.configuration import resources as _resources
from expol_tf.configuration.gin_syntax import Binding
from expol_tf.environments import load_vector, time_step_spec
from expol_tf.errors import ConfigurationError
from expol_tf.keras_api import keras
from expol_tf.networks import GaussianActorNetwork, SamplingActorNetwork, ValueNetwork
from expol_tf.training import Learner, OffPolicyRunner
from expol_tf.training.parts import choose_parts

ROOT = _resources.gin_root()
EXPERIMENTS = sorted(path.name for path in ROOT.glob("*.gin"))
TASKS = sorted(path.name for path in ROOT.glob("tasks/*.gin"))
# Experiments off policy are named by the algorithm first: its agent, and the policy's network.
OFF_POLICY = {
    "ddpg": ("Ddpg", "Deterministic"),
    "nbp": ("Nbp", "Noisy"),
    **{
        f"parpi_{divergence}_{backup}": ("Parpi", "Gaussian")
        for divergence in ("jsd", "rkl", "wd")
        for backup in ("sac", "sql")
    },
    "s2ac": ("S2ac", "Gaussian"),
    "s2ac_amortized": ("S2ac", "Gaussian"),
    "s2ac_fixed_init": ("S2ac", "FixedGaussian"),
    "sac": ("Sac", "Gaussian"),
    "sac_gmm": ("Sac", "Mixture"),
    "sac_nf": ("Sac", "Flow"),
    "sql": ("Sql", "Sampling"),
}
MULTI_GOAL = "_multi_goal"
# Experiments of one task alone.
ONLY_MULTI_GOAL = {"parpi_jsd": ("Parpi", "Sampling"), "parpi_wd": ("Parpi", "Sampling")}
WITHOUT_MULTI_GOAL = {name for name in OFF_POLICY if name.startswith("parpi")}


@pytest.fixture(scope="module", autouse=True)
def library() -> None:
    command_line.import_library()


def test_the_named_experiments_are_there() -> None:
    policies, algorithms = ("gaussian", "gmm", "nfp"), ("trpo", "ppo", "acktr")
    on_policy = {f"{policy}_{algorithm}.gin" for policy in policies for algorithm in algorithms}
    off_policy = {f"{name}.gin" for name in OFF_POLICY}
    for name in OFF_POLICY.keys() - WITHOUT_MULTI_GOAL | ONLY_MULTI_GOAL.keys():
        off_policy.add(f"{name}{MULTI_GOAL}.gin")
    assert on_policy | off_policy <= set(EXPERIMENTS)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_resolves_and_defines_the_macros(name: str) -> None:
    statements = gin_syntax.read_files([f"gin/{name}"])
    bindings = [statement for statement in statements if isinstance(statement, Binding)]
    assert set(configuration.EXPERIMENT_MACROS) <= {binding.name for binding in bindings if binding.is_macro}
    result = configuration.resolve(statements)
    stem = name.removesuffix(".gin")
    if stem.endswith(MULTI_GOAL):
        task = "AsymmetricMultiGoal" if stem.startswith("s2ac") else "MultiGoal"
        assert result.value("train.task") == f"expol/{task}-v0"
    else:
        task = "HalfCheetah-v5" if stem in OFF_POLICY else "Hopper-v5"
        assert result.value("train.task") == task
        assert result.value("train.num_env_steps") == 1_000_000
    assert result.value("train.eval_episodes") == 10
    again = configuration.resolve(gin_syntax.read_bindings([result.text]))
    assert again.text == result.text
    assert again.fingerprint() == result.fingerprint()


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_begins_with_its_title(name: str) -> None:
    first, second = (ROOT / name).read_text().splitlines()[:2]
    assert first.startswith("# ") and first.endswith(".") and second == "#"


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_trains_what_its_name_says(name: str) -> None:
    result = configuration.resolve(gin_syntax.read_files([f"gin/{name}"]))
    stem = name.removesuffix(".gin").removesuffix(MULTI_GOAL)
    off_policy = {**OFF_POLICY, **ONLY_MULTI_GOAL}
    if stem in off_policy:
        algorithm, network = off_policy[stem]
    else:
        policy, _, algorithm = stem.partition("_")
        network = {"gaussian": "Gaussian", "gmm": "Mixture", "nfp": "Flow"}[policy]
    fingerprint = result.fingerprint()
    assert fingerprint["train.actor_network"].endswith(f"{network}ActorNetwork")
    assert fingerprint.get("train.agent", "@TrpoAgent").endswith(f"{algorithm.capitalize()}Agent")
    runner = "OffPolicyRunner" if stem in off_policy else "OnPolicyRunner"
    assert fingerprint.get("train.runner", "@OnPolicyRunner") == f"@{runner}"


def test_the_same_algorithm_has_the_same_settings_with_every_policy() -> None:
    for algorithm in ("trpo", "ppo", "acktr"):
        settings = []
        for policy in ("gaussian", "gmm", "nfp"):
            result = configuration.resolve(gin_syntax.read_files([f"gin/{policy}_{algorithm}.gin"]))
            own = ("ActorNetwork.", "AffineConditioner.", "LogStd.", "train.actor_network")
            fingerprint = result.fingerprint()
            settings.append(
                {name: value for name, value in fingerprint.items() if not any(part in name for part in own)}
            )
        assert settings[0] == settings[1] == settings[2]


def test_settings_of_a_part_that_the_user_replaces_go_and_their_own_are_an_error() -> None:
    fixed = "SacAgent.temperature = @FixedTemperature()"
    statements = [*gin_syntax.read_files(["gin/sac.gin"]), *gin_syntax.read_bindings([fixed])]
    assert "LearnedTemperature" in configuration.resolve(gin_syntax.read_files(["gin/sac.gin"])).text
    assert "LearnedTemperature" not in configuration.resolve(statements).text
    own = gin_syntax.read_bindings(["LearnedTemperature.target_entropy = -1.0"])
    with pytest.raises(
        ConfigurationError, match="--gin_bindings:1: LearnedTemperature.target_entropy is bound, but"
    ):
        configuration.resolve([*statements, *own])


def test_how_an_agent_acts_is_configured_as_an_object() -> None:
    text = """
        train.make_kwargs = {"acting": @Acting()}
        Acting.exploration = @GaussianNoise()
        GaussianNoise.std = 0.25
        Acting.jit_compile = False
    """
    with configuration.applied(configuration.resolve(gin_syntax.read_bindings([text]))):
        acting = gin.get_bindings("expol_tf.train")["make_kwargs"]["acting"]
    assert isinstance(acting, Acting) and not acting.jit_compile
    assert isinstance(acting.exploration, agents.GaussianNoise) and acting.exploration.std == 0.25
    for wrong, words in {
        "Acting.jit_compile = 1": "Acting.jit_compile must be bool; got 1.",
        "Acting.seed = 1.0": "Acting.seed must be int or None; got 1.0. Write 1.",
        "Acting.sede = 1": "Acting has no parameter 'sede'. Did you mean 'seed'?",
    }.items():
        with pytest.raises(ConfigurationError, match=re.escape(words)):
            configuration.resolve(gin_syntax.read_bindings([wrong]))


def settings_of(value: Any, name: str) -> dict[str, Any]:
    """What numbers and names an object of this library was made with, by their places in it."""
    if isinstance(value, int | float | str | None):
        return {name: value}
    if isinstance(value, tf.Variable) and value.shape.rank == 0:
        return {name: float(value)}
    if isinstance(value, keras.optimizers.Optimizer):
        return {name: float(value.learning_rate)}
    settings: dict[str, Any] = {}
    if isinstance(value, functools.partial):
        for keyword, item in value.keywords.items():
            settings |= settings_of(item, f"{name}.{keyword}")
        return settings
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        for part, item in value._asdict().items():
            settings |= settings_of(item, f"{name}.{part}")
        return settings
    if type(value).__module__.startswith("expol_tf.") and not isinstance(value, network.Network):
        for part in vars(value):
            if not part.startswith("_self_"):  # TensorFlow's own.
                settings |= settings_of(vars(value)[part], f"{name}.{part}")
    return settings


@pytest.mark.parametrize("name", ["trpo", "ppo", "acktr"])
def test_an_algorithms_file_states_the_librarys_defaults(name: str) -> None:
    # An agent made in Python without any settings is the experiment's.
    observation = tensor_spec.TensorSpec([3], tf.float32)
    action = tensor_spec.BoundedTensorSpec([2], tf.float32, -1.0, 1.0)
    found = []
    for is_configured in (False, True):
        if is_configured:
            configuration.resolve(gin_syntax.read_files([f"gin/gaussian_{name}.gin"])).apply()
        try:
            agent = getattr(agents, f"{name.capitalize()}Agent")(
                ts.time_step_spec(observation),
                action,
                GaussianActorNetwork(observation, action, hidden_units=(4,)),
                ValueNetwork(observation, hidden_units=(4,)),
            )
        finally:
            gin.clear_config()
        names = ("_policy_update", "_value_fit", "_advantages")
        found.append({key: value for n in names for key, value in settings_of(getattr(agent, n), n).items()})
    default, configured = found
    assert len(default) > 12
    configured["_advantages.gamma"] = default["_advantages.gamma"]  # The task file's.
    assert configured == default


@pytest.mark.parametrize(
    "name",
    ["sac", "sql", "ddpg", "s2ac", "s2ac_amortized", "nbp", "nbp+entropy", "parpi_wd_sac"],
)
def test_an_off_policy_algorithms_file_states_the_librarys_defaults(name: str) -> None:
    # Without entropy there is no classifier to compare.
    has_entropy, name = name.endswith("+entropy"), name.removesuffix("+entropy")
    cls = getattr(agents, f"{OFF_POLICY[name][0]}Agent")
    env = load_vector("HalfCheetah-v5", 1, seed=0)
    found = []
    for is_configured in (False, True):
        given: dict[str, Any] = {}
        if is_configured:
            configured = configuration.resolve(gin_syntax.read_files([f"gin/{name}.gin"]))
            configured.apply()
            network_name = configured.fingerprint()["train.actor_network"].removeprefix("@")
            given = dict(
                actor_network=getattr(networks, network_name),
                critic_network=networks.CriticNetwork,
                runner=OffPolicyRunner,
            )
        try:
            parts = choose_parts(Learner(cls, **given))
            make = cls
            if name.endswith("_amortized") and not is_configured:
                network_ = functools.partial(SamplingActorNetwork, hidden_units=(256, 256))
                improvement = agents.SteinImprovement(amortized=agents.AmortizedPolicy(network_))
                make = functools.partial(cls, improvement=improvement)
            if has_entropy:
                make = functools.partial(cls, temperature=agents.FixedTemperature(1.0))
            agent = parts.make_agent(make, time_step_spec(env), env.action_spec, seed=0)
            runner = parts.make_runner(env, agent, seed=0)
        finally:
            gin.clear_config()
        fit = agent._critic_fit
        settings = {"gamma": fit.gamma, "target": fit.target_actor, "steps": runner.iteration_steps}
        for part in (
            "_soft_value",
            "_temperature",
            "_target_update",
            "_actor_optimizer",
            "_critic_optimizer",
        ):
            settings |= settings_of(getattr(agent, part), part)
        # What the improvement made of its settings; optimizers are compared above and below.
        settings |= settings_of(agent._policy_loss, "_policy_loss")
        for part in ("sampler", "score_reduction", "batch_parts"):
            settings |= settings_of(getattr(agent._improvement, part, None), part)
        settings |= settings_of(agent.acting.selection, "selection")
        settings |= settings_of(agent.collect_policy._exploration, "exploration")
        settings |= settings_of(runner, "runner")
        used = [agent.actor_network, agent.critic_network]
        for each in agent._discriminators:
            settings |= settings_of(each, each.name)
            used.append(each.network)
        for companion in agent._companions:
            settings |= settings_of(companion.loss, companion.name)
            settings |= settings_of(companion.optimizer, companion.name)
            used.append(companion.network)
        for each in used:
            settings |= settings_of(getattr(each, "_spectral_normalization", None), "spectral")
            settings[type(each).__name__] = [tuple(variable.shape) for variable in each.variables]
        # The agent is compared part by part, and its optimizers as those that it uses.
        skipped = ("_policy_loss.optimizer", "runner._agent")
        found.append({place: value for place, value in settings.items() if not place.startswith(skipped)})
        assert bool(agent._discriminators) == (has_entropy or name.startswith("parpi"))
    default, configured_settings = found
    assert len(default) > 15 and configured_settings == default


@pytest.mark.parametrize("name", TASKS)
def test_every_task_file_says_what_the_task_is(name: str) -> None:
    lines = (ROOT / "tasks" / name).read_text().splitlines()
    # One sentence says what the task is, the next how episodes end.
    title = " ".join(line.lstrip("# ") for line in lines[:2] if line.startswith("#"))
    statement, gamma = gin_syntax.read_files([f"gin/tasks/{name}"])
    assert isinstance(statement, Binding) and statement.name == "TASK"
    # Set in every task file, or one task's discount would stay when another task's file overrides it.
    assert isinstance(gamma, Binding) and gamma.name == "GAMMA"
    env = gymnasium.make(statement.value)
    observations, actions = env.observation_space.shape[0], env.action_space.shape[0]
    high = env.action_space.high[0]
    sizes = f"{_count(observations, 'observation')}, {_count(actions, 'action')}"
    assert f"{sizes} in [{-high:g}, {high:g}]" in title
    # A task without a time limit has episodes of one step.
    assert env.spec is not None and _count(env.spec.max_episode_steps or 1, "step") in title


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


@pytest.mark.parametrize("task", TASKS)
def test_every_task_file_changes_only_the_task_and_its_discount(task: str) -> None:
    def fingerprint(*names: str) -> dict[str, str]:
        return configuration.resolve(gin_syntax.read_files(names)).fingerprint()

    base = fingerprint("gin/nfp_trpo.gin")
    changed = fingerprint("gin/nfp_trpo.gin", f"gin/tasks/{task}")
    differing = {name for name in base | changed if base.get(name) != changed.get(name)}
    assert differing <= {"train.task", "AdvantageEstimation.gamma"}
