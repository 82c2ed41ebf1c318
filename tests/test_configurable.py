"""What gin configures is checked when Python calls it, too: names and types of arguments."""

from __future__ import annotations

import importlib
import inspect
import math
import pkgutil
from collections.abc import Callable, Sequence
from typing import Any

import gin
import numpy as np
import pytest
import tensorflow as tf
from tf_agents.networks import network

import expol_tf
from expol_tf.agents import (
    Acting,
    ClippedUpdate,
    CriticFit,
    FixedTemperature,
    GaussianNoise,
    KroneckerUpdate,
    LearnedTemperature,
    LogSumExpValue,
    PpoAgent,
    ReparameterizedImprovement,
    SacAgent,
    SvgdImprovement,
    TargetUpdate,
    TrustRegionUpdate,
)
from expol_tf.argument_types import fits, type_hints
from expol_tf.configurable import configurable
from expol_tf.configuration import gin_internals, gin_registry
from expol_tf.environments import load_vector
from expol_tf.errors import ConfigurationError
from expol_tf.keras_api import keras
from expol_tf.networks import GaussianActorNetwork
from expol_tf.optimizers import Adam, MinibatchAdam, TrustRegion
from tests.agents import small_off_policy as small

# So that all are registered, whatever other tests of the process import.
for module in pkgutil.walk_packages(expol_tf.__path__, "expol_tf."):
    importlib.import_module(module.name)
OURS = {
    name: entry.wrapped
    for name, entry in gin_internals.entries().items()
    if name.startswith("expol_tf.") and entry.wrapped.__module__.startswith("expol_tf.")
}


@pytest.mark.parametrize("name", sorted(OURS))
def test_every_argument_has_a_type_that_can_be_evaluated(name: str) -> None:
    target = OURS[name]
    function = inspect.unwrap(target.__init__ if inspect.isclass(target) else target)
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    names = {key for key, value in inspect.signature(function).parameters.items() if value.kind in kinds}
    # The name of a Keras or TensorFlow module is for TensorFlow.
    assert names - {"self", "name"} <= set(type_hints(target)), "an argument's type is never checked"


@pytest.mark.parametrize(
    ("value", "hint", "expected"),
    [
        (1, int, True),
        (np.int64(1), int, True),
        (True, int, False),
        (1.0, int, False),
        (1, float, True),
        (np.float32(0.5), float, True),
        (math.inf, float, True),
        (math.nan, float, True),
        (None, float | None, True),
        (False, float | None, False),
        ("a", float, False),
        (np.bool_(True), bool, True),
        (0, bool, False),
        ("mean", str | float, True),
        ((1, 2), Sequence[int], True),
        ([1, 2.5], Sequence[int], False),
        ("ab", Sequence[str], False),
        (print, Callable[..., Any], True),
        ("print", Callable[..., Any], False),
        ({}, dict[str, int], True),
        (tf.Variable(1), tf.Variable | None, True),
        (3, tf.Variable | None, False),
        (network.Network, network.Network, False),
        (np.zeros(3), tf.Tensor, True),
        (3, Any, True),
        (3, "not evaluated", True),
    ],
)
def test_fits(value: Any, hint: Any, expected: bool) -> None:
    assert fits(value, hint) is expected


ON_POLICY_ARGUMENTS = (*small.SPECS, None, None)
# Calls, and what they are told.
REFUSED = {
    "a falsy part is no missing one": (
        lambda: small.sac(temperature=0),
        r"SacAgent.temperature must be a Temperature or None; got 0\.",
    ),
    "an empty part": (lambda: small.sac(critic_fit=[]), r"SacAgent.critic_fit must be a CriticFit or None"),
    "a class in the place of its object": (
        lambda: small.sac(acting=Acting),
        r"SacAgent.acting must be an Acting or None; got .*Acting.*Call it: Acting\(\)\.",
    ),
    "a counter": (lambda: small.sac(train_step_counter=3), "SacAgent.train_step_counter must be a Variable"),
    "no actor": (lambda: SacAgent(*small.SPECS, None, None), "SacAgent.actor_network must be a Network"),
    "a class of networks": (
        lambda: SacAgent(*small.SPECS, GaussianActorNetwork, None),
        "SacAgent.actor_network must be a Network",
    ),
    "a number for advantages": (
        lambda: PpoAgent(*ON_POLICY_ARGUMENTS[:2], advantages=0.5),
        "PpoAgent.advantages must be an AdvantageEstimation",
    ),
    "a learning rate for an optimizer": (
        lambda: CriticFit(optimizer=1e-3),
        r"CriticFit.optimizer must be an Adam or an Optimizer or an OptimizerV2 or None; got 0\.001\.",
    ),
    "zero for an optimizer": (
        lambda: ReparameterizedImprovement(optimizer=0),
        "ReparameterizedImprovement.optimizer must be",
    ),
    "a class of optimizers": (
        lambda: LearnedTemperature(optimizer=Adam),
        r"LearnedTemperature.optimizer must be .*Call it: Adam\(\)\.",
    ),
    "a Keras class": (lambda: CriticFit(optimizer=keras.optimizers.Adam), r"CriticFit.optimizer must be"),
    "τ for a target update": (
        lambda: CriticFit(target_update=0.005),
        "CriticFit.target_update must be a TargetUpdate or None",
    ),
    "a text for a choice": (
        lambda: CriticFit(target_actor="yes"),
        "CriticFit.target_actor must be bool or None",
    ),
    "a text for γ": (lambda: CriticFit(gamma="a"), "CriticFit.gamma must be float; got 'a'"),
    "half a sample": (
        lambda: ReparameterizedImprovement(num_samples=1.5),
        "ReparameterizedImprovement.num_samples must be int; got 1.5",
    ),
    "a count as a float": (
        lambda: SvgdImprovement(num_particles=2.0),
        r"SvgdImprovement.num_particles must be int; got 2\.0\. Write 2\.",
    ),
    "a period": (lambda: TargetUpdate(period=1.5), "TargetUpdate.period must be int"),
    "a text for samples": (lambda: LogSumExpValue(num_samples="a"), "LogSumExpValue.num_samples must be int"),
    "α": (lambda: FixedTemperature("a"), "FixedTemperature.temperature must be float"),
    "noise by its size": (lambda: Acting(exploration=0.1), "Acting.exploration must be an ExplorationNoise"),
    "a class of noise": (
        lambda: Acting(exploration=GaussianNoise),
        r"Acting.exploration must be .*Call it: GaussianNoise\(\)\.",
    ),
    "a choice of particles by name": (lambda: Acting(selection="argmax"), "Acting.selection must be"),
    "compilation": (lambda: Acting(jit_compile="False"), "Acting.jit_compile must be bool"),
    "a seed": (lambda: Acting(seed=1.5), "Acting.seed must be int or None"),
    "KL for a trust region": (
        lambda: TrustRegionUpdate(trust_region=0.01),
        "TrustRegionUpdate.trust_region must be a TrustRegion",
    ),
    "a class of trust regions": (
        lambda: TrustRegionUpdate(trust_region=TrustRegion),
        r"TrustRegionUpdate.trust_region must be .*Call it: TrustRegion\(\)\.",
    ),
    "another Adam": (
        lambda: ClippedUpdate(optimizer=Adam(1e-3)),
        "ClippedUpdate.optimizer must be a MinibatchAdam",
    ),
    "a class of minibatches": (
        lambda: ClippedUpdate(optimizer=MinibatchAdam),
        r"ClippedUpdate.optimizer must be .*Call it: MinibatchAdam\(\)\.",
    ),
    "a number for K-FAC": (lambda: KroneckerUpdate(kfac=1), "KroneckerUpdate.kfac must be a Kfac"),
    "a misspelt setting": (
        lambda: CriticFit(gama=0.9),
        "CriticFit has no argument 'gama'. Did you mean 'gamma'\\? Its arguments: optimizer, gamma,",
    ),
    "a misspelt part": (
        lambda: small.sac(improvment=None),
        "SacAgent has no argument 'improvment'. Did you mean",
    ),
    "a misspelt old setting": (
        lambda: small.sac(gama=0.9),
        r"SacAgent has no argument 'gama'\. SacAgent\.gamma is now CriticFit\.gamma\.",
    ),
}


@pytest.mark.parametrize("call", REFUSED)
def test_what_cannot_be_meant_is_refused(call: str) -> None:
    make, text = REFUSED[call]
    with pytest.raises(ConfigurationError, match=text):
        make()


def test_a_subclass_that_passes_on_its_arguments_is_refused_in_its_own_name() -> None:
    class OwnAgent(SacAgent):
        def __init__(self, *inputs: Any, **parts: Any) -> None:
            super().__init__(*inputs, **parts)

    with pytest.raises(ConfigurationError, match="OwnAgent has no argument 'tempreture'. Did you mean"):
        OwnAgent(*small.SPECS, tempreture=1.0)


@pytest.mark.parametrize(
    ("bindings", "call", "cycle"),
    [
        ("train.observers = [@train()]", lambda: expol_tf.train("run", "Hopper-v5"), "@train() → @train()"),
        (
            "load_vector.wrappers = [@load_vector()]",
            lambda: load_vector("Hopper-v5"),
            "@load_vector() → @load_vector()",
        ),
        ("Adam.learning_rate = @Adam()", lambda: Adam(), "@Adam() → @Adam()"),
        (
            "Adam.learning_rate = @TrustRegion()\nTrustRegion.max_kl = @Adam()",
            lambda: Adam(),
            "@Adam() → @TrustRegion() → @Adam()",
        ),
    ],
    ids=["program", "function", "class", "two classes"],
)
def test_fault_16_gin_bindings_without_end(bindings: str, call: Callable, cycle: str) -> None:
    """In a program of the user's own, which gives its bindings to gin itself."""
    gin.parse_config(bindings)
    try:
        with pytest.raises(ConfigurationError) as caught:
            call()
    finally:
        gin.clear_config()
    parts = cycle.split(" → ")
    turned = " → ".join([*parts[1:], parts[1]])  # Whose turn it is where the stack ends depends on its depth.
    assert any(
        f"would call itself without end: {each}. Bind" in str(caught.value) for each in (cycle, turned)
    )
    assert len(caught.traceback) < 20


@configurable
def endless() -> Any:
    return endless()


def test_a_recursion_of_the_users_own_stays_what_it_is() -> None:
    with pytest.raises(RecursionError):
        endless()


def test_gin_knows_what_the_decorator_returns() -> None:
    for target in (expol_tf.train, load_vector, Adam):
        known = gin_registry.find(target)
        assert known is not None and known.short == target.__name__
    assert gin_registry.find(not_registered) is None


def not_registered() -> None:
    """A function that gin does not know."""
