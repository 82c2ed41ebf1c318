"""Every number that can be configured has a range; what is out of it is refused by name, called or bound."""

from __future__ import annotations

import collections.abc
import importlib
import math
import pathlib
import pkgutil
import types
import typing
from collections.abc import Callable, Iterator
from typing import Annotated, Any

import pytest

import expol_tf
from expol_tf import environments
from expol_tf.configuration import gin_internals, gin_registry
from expol_tf.errors import ConfigurationError
from expol_tf.number_types import Range
from expol_tf.training import Evaluator

# So that all are registered, whatever other tests of the process import.
for module in pkgutil.walk_packages(expol_tf.__path__, "expol_tf."):
    importlib.import_module(module.name)

SEQUENCES = (tuple, list, collections.abc.Sequence)
# No number can be any of these; "int" also refuses what is no whole number.
NEVER = (math.nan, math.inf, -math.inf, "a", True, 10**400)
# Those that 0 leaves out, or that may begin there.
ZERO = """
    RewardNormalizer.epsilon RewardNormalizer.gamma
    AcktrAgent.entropy_weight Acting.seed ActorPolicy.seed Adam.beta_1 Adam.beta_2 Adam.epsilon
    Adam.learning_rate AdvantageEstimation.gae_lambda AdvantageEstimation.gamma
    AffineConditioner.context_size ArrayVectorEnvironment.seed CosineDecay.alpha
    CosineDecay.initial_learning_rate CosineDecay.warmup_steps CosineDecay.warmup_target
    CriticFit.gamma EnvPoolVectorEnvironment.seed Evaluator.interval Evaluator.seed
    ExponentialDecay.decay_rate ExponentialDecay.initial_learning_rate FixedTemperature.temperature
    FlowActorNetwork.num_transformations GaussianNoise.std Kfac.cg_iterations Kfac.factor_decay
    Kfac.momentum LearnedTemperature.target_entropy LogStd.bounds LogStd.initial
    MatchingImprovement.entropy_weight MinibatchAdam.learning_rate MinibatchRegression.learning_rate
    MujocoVectorEnvironment.seed NoisyActorNetwork.dropout NoisyActorNetwork.initial_rho
    NoisyObservation.sigma ObservationNormalizer.epsilon OffPolicyRunner.seed
    OffPolicyRunner.warm_up_steps OrnsteinUhlenbeckNoise.std PiecewiseConstantDecay.boundaries
    PiecewiseConstantDecay.values PolicyObjective.entropy_weight PolynomialDecay.end_learning_rate
    PolynomialDecay.initial_learning_rate PpoAgent.entropy_weight SteinSampler.num_sampler_steps
    SteinSampler.num_spares StopAtReturn.target Sweep.draw_seed Sweep.seeds
    SyncVectorEnvironment.seed TrpoAgent.entropy_weight TrustRegion.cg_tolerance TrustRegion.damping
    Uniform.high Uniform.low configure_devices.inter_op_threads configure_devices.intra_op_threads
    hmc.num_steps hmc.seed langevin.num_steps langevin.seed langevin.temperature load.seed
    load_vector.seed matching_improvement.entropy_weight svgd.num_steps svgd.seed svgd.temperature
    svgd_direction.temperature train.eval_interval train.seed wasserstein.gradient_penalty
""".split()
NEGATIVE = """
    LearnedTemperature.target_entropy LogStd.bounds LogStd.initial NoisyActorNetwork.initial_rho
    StopAtReturn.target Uniform.high Uniform.low hmc.seed langevin.seed svgd.seed
""".split()
# Their calls do something; `test_calls_from_python` makes them.
NOT_CALLED = ("train", "load", "load_vector", "configure_devices")


def leaves(hint: Any, declared: tuple[Any, ...] = ()) -> Iterator[tuple[type, tuple[Any, ...]]]:
    """The int and float in a type, each with what it is annotated with."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint in (int, float):
        yield hint, declared
    elif origin is Annotated:
        yield from leaves(arguments[0], (*declared, *arguments[1:]))
    elif origin in (typing.Union, types.UnionType, *SEQUENCES):
        for argument in arguments:
            yield from leaves(argument)


NUMBERS = {
    f"{known.short.removeprefix('expol_tf.')}.{parameter}": (known, parameter, list(leaves(hint)))
    for selector, entry in sorted(gin_internals.entries().items())
    if selector.startswith("expol_tf.") and entry.wrapped.__module__.startswith("expol_tf.")
    for known in [gin_registry.look_up(selector)]
    for parameter, hint in known.hints.items()
    if parameter in known.parameters and list(leaves(hint))
}


def in_place(name: str, value: Any) -> Any:
    """The value as an argument: as the first item, where it takes a sequence."""
    known, parameter, kinds = NUMBERS[name]
    is_sequence = typing.get_origin(known.hints[parameter]) in SEQUENCES
    return (value, *[5.0] * (len(kinds) - 1)) if is_sequence else value


def refusal(call: Callable[..., Any], *arguments: Any, **keywords: Any) -> str:
    """What a call is told by the library; "" if it works, or lacks only other arguments."""
    try:
        call(*arguments, **keywords)
    except ConfigurationError as error:
        return str(error)
    except TypeError as error:
        assert "missing" in str(error) or "required" in str(error), error
    return ""


def test_fault_15_numbers_are_found() -> None:
    assert len(NUMBERS) > 150 and {"train.num_envs", "Adam.beta_1", "LogStd.bounds"} <= NUMBERS.keys()
    assert set(ZERO) | set(NEGATIVE) <= NUMBERS.keys()


@pytest.mark.parametrize("name", NUMBERS)
def test_fault_15_every_number_has_a_range(name: str) -> None:
    _, _, kinds = NUMBERS[name]
    for kind, declared in kinds:
        assert any(isinstance(each, Range) for each in declared), f"{kind} of {name} may be any number"


@pytest.mark.parametrize("name", NUMBERS)
def test_fault_15_a_number_out_of_its_range_is_refused_by_name(name: str) -> None:
    known, parameter, kinds = NUMBERS[name]
    target = gin_internals.entries()[known.selector].wrapper
    whole = all(kind is int for kind, _ in kinds)
    for value in (*NEVER, *((0.5,) if whole else ()), -1, 0):
        if value == "a" and any(hint is str for hint in typing.get_args(known.hints[parameter])):
            continue  # One of the names that the argument may be, or refused with these.
        argument = in_place(name, value)
        allowed = type(value) is int and ((value == 0 and name in ZERO) or (value == -1 and name in NEGATIVE))
        texts = [refusal(gin_registry.check_type, known, parameter, argument, "a.gin:3")]
        if name.partition(".")[0] not in NOT_CALLED:
            texts.append(refusal(target, **{parameter: argument}))
        for text in texts:
            said = f"{parameter} must" in text
            assert said is not allowed, f"{name} = {argument!r}: {text or 'accepted'}"


@pytest.mark.parametrize("name", [name for name in NUMBERS if name.partition(".")[0] in NOT_CALLED[:3]])
def test_fault_15_calls_from_python(name: str, tmp_path: pathlib.Path) -> None:
    function, _, parameter = name.partition(".")
    calls = {
        "train": lambda value: expol_tf.train(tmp_path / "run", "Pendulum-v1", **{parameter: value}),
        "load": lambda value: environments.load("Pendulum-v1", **{parameter: value}),
        "load_vector": lambda value: environments.load_vector("Pendulum-v1", **{parameter: value}),
    }
    for value in (math.nan, math.inf, "a", True, -1, 2.5, *(() if name in ZERO else (0,))):
        text = refusal(calls[function], value)
        assert f"{parameter} must" in text, f"{name} = {value!r}: {text or 'accepted'}"
    assert not (tmp_path / "run").exists()


def test_fault_15_the_remedy_is_the_default() -> None:
    with pytest.raises(
        ConfigurationError, match=r"Evaluator.episodes must be 1 or more; got 0\. The default is 10"
    ):
        Evaluator("Pendulum-v1", 0, episodes=0)
