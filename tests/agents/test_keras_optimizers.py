"""Keras's optimizers, of its present classes and of the older ones, take the steps of every agent."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from expol_tf.agents import (
    AcktrAgent,
    ClippedUpdate,
    CriticFit,
    LearnedTemperature,
    PpoAgent,
    ReparameterizedImprovement,
    SacAgent,
    TrpoAgent,
)
from expol_tf.errors import ConfigurationError
from expol_tf.keras_api import keras
from expol_tf.optimizers import (
    Adam,
    MinibatchAdam,
    MinibatchRegression,
    Optimizer,
    apply_gradients,
    build_optimizer,
)
from tests.agents import small_off_policy as small
from tests.agents.small_agents import make_agent, make_rollout

optimizers = keras.optimizers
legacy = keras.optimizers.legacy

KINDS: dict[str, Any] = {
    "SGD": lambda: optimizers.SGD(0.01),
    "momentum": lambda: optimizers.SGD(0.01, momentum=0.9, nesterov=True),
    "RMSprop": lambda: optimizers.RMSprop(1e-3),
    "Adam with a schedule": lambda: optimizers.Adam(optimizers.schedules.ExponentialDecay(1e-3, 10, 0.9)),
    "AdamW": lambda: optimizers.AdamW(1e-3),
    "clipped": lambda: optimizers.Adam(1e-3, clipnorm=0.5),
    "Adadelta": lambda: optimizers.Adadelta(1.0),
    "Adagrad": lambda: optimizers.Adagrad(0.01),
    "Adamax": lambda: optimizers.Adamax(1e-3),
    "Nadam": lambda: optimizers.Nadam(1e-3),
    "Ftrl": lambda: optimizers.Ftrl(0.01),
    "Lion": lambda: optimizers.Lion(1e-3),
    "Adafactor": lambda: optimizers.Adafactor(1e-3),
    "older Adam": lambda: legacy.Adam(1e-3),
    "older SGD": lambda: legacy.SGD(0.01, momentum=0.9),
    "older RMSprop": lambda: legacy.RMSprop(1e-3),
}
FEW = ["momentum", "AdamW", "Lion", "older Adam", "older SGD"]


@pytest.mark.parametrize("kind", KINDS)
def test_client_03_a_step_in_a_compiled_loop_is_kerass_own(kind: str) -> None:
    """As its `apply_gradients` is called one by one in eager code, with a peer's variables."""
    start = np.array([[0.5, -1.0], [2.0, 0.1]], np.float32)
    ours, theirs = tf.Variable(start), tf.Variable(start)
    gradients = tf.constant(np.random.default_rng(0).normal(size=(4, 2, 2)).astype(np.float32))
    optimizer, peer = KINDS[kind](), KINDS[kind]()
    build_optimizer(optimizer, [ours])

    @tf.function(autograph=False)
    def run() -> None:
        def step(index: tf.Tensor) -> tuple[tf.Tensor]:
            apply_gradients(optimizer, [(gradients[index], ours)])
            return (index + 1,)

        tf.while_loop(lambda index: index < 4, step, [0], parallel_iterations=1)

    run()
    for gradient in gradients:
        peer.apply_gradients([(gradient, theirs)])
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)
    assert (ours.numpy() != start).any()


def on_policy(cls: Any, make: Any) -> Any:
    settings: dict[str, Any] = dict(
        value_fit=MinibatchRegression(epochs=2, minibatch_size=16, optimizer=make())
    )
    if cls is PpoAgent:
        optimizer = MinibatchAdam(epochs=2, minibatch_size=16, max_gradient_norm=0.5, optimizer=make())
        settings["policy_update"] = ClippedUpdate(optimizer)
    return make_agent(cls=cls, **settings)


@pytest.mark.parametrize("kind", FEW)
@pytest.mark.parametrize("cls", [TrpoAgent, PpoAgent, AcktrAgent], ids=["TRPO", "PPO", "ACKTR"])
def test_client_03_on_policy(cls: Any, kind: str) -> None:
    agent = on_policy(cls, KINDS[kind])
    before = [variable.numpy() for variable in agent.value_network.trainable_variables]
    metrics = agent.train_on_rollout(make_rollout(agent)).extra
    assert all(np.isfinite(value) for value in metrics.values())
    pairs = zip(agent.value_network.trainable_variables, before, strict=True)
    assert all((variable.numpy() != old).any() for variable, old in pairs)


@pytest.mark.parametrize("kind", FEW)
def test_client_03_off_policy(kind: str) -> None:
    make = KINDS[kind]
    agent = small.sac(
        improvement=ReparameterizedImprovement(optimizer=make()),
        critic_fit=CriticFit(optimizer=make()),
        temperature=LearnedTemperature(optimizer=make()),
    )
    assert isinstance(agent, SacAgent)
    trained = [*agent.actor_network.trainable_variables, *agent.critic_network.trainable_variables]
    before = [variable.numpy() for variable in trained]
    update = tf.function(agent.update, autograph=False)
    metrics = update(small.as_tensors(small.make_transitions()), tf.constant([1, 2]))
    assert all(np.isfinite(value) for value in metrics.values())
    assert all((variable.numpy() != old).any() for variable, old in zip(trained, before, strict=True))


def test_client_03_adam_by_keras_is_adam_by_us() -> None:
    one = on_policy(PpoAgent, functools.partial(optimizers.Adam, 1e-3))
    settings = dict(epochs=2, minibatch_size=16)
    other = make_agent(
        cls=PpoAgent,
        value_fit=MinibatchRegression(1e-3, **settings),
        policy_update=ClippedUpdate(MinibatchAdam(1e-3, max_gradient_norm=0.5, **settings)),
    )
    for agent in (one, other):
        agent.train_on_rollout(make_rollout(agent))
    for found, expected in zip(one.actor_network.variables, other.actor_network.variables, strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize(
    "make", [lambda: optimizers.SGD(0.1), lambda: legacy.SGD(0.1), Adam], ids=["new", "older", "ours"]
)
def test_client_03_an_optimizer_has_one_network(make: Any) -> None:
    optimizer: Optimizer = make()
    build_optimizer(optimizer, [tf.Variable([1.0])])
    with pytest.raises(ConfigurationError, match="given a second one"):
        build_optimizer(optimizer, [tf.Variable([1.0])])


def test_client_03_what_scales_losses_is_refused() -> None:
    optimizer = keras.mixed_precision.LossScaleOptimizer(optimizers.SGD(0.1))
    with pytest.raises(
        ConfigurationError, match="LossScaleOptimizer.*: it expects gradients of a scaled loss"
    ):
        build_optimizer(optimizer, [tf.Variable([1.0])])


@pytest.mark.parametrize("cls", [MinibatchAdam, MinibatchRegression])
def test_client_03_two_learning_rates_are_refused(cls: Any) -> None:
    with pytest.raises(ConfigurationError, match=f"{cls.__name__}.learning_rate must be left out.*got 0.5"):
        cls(0.5, optimizer=optimizers.SGD(0.1))
