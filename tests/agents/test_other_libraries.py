"""Where numbers agree with TF-Agents and PyTorch, and where docs/architecture.md says that they do not."""

from __future__ import annotations

import pathlib

import numpy as np
import pytest
import tensorflow as tf
from tf_agents.utils import value_ops

from expol_tf.agents import CriticFit, Transitions
from expol_tf.keras_api import keras
from expol_tf.objectives import generalized_advantages
from expol_tf.optimizers import Adam, MinibatchAdam
from tests.agents.small_off_policy import ACTION

PAGE = pathlib.Path(__file__).absolute().parents[2] / "docs" / "architecture.md"
GAMMA, LAMBDA = 0.99, 0.95


def section():
    """What the page says beside the two libraries, in one line."""
    return " ".join(
        PAGE.read_text().partition("## Beside TF-Agents and PyTorch")[2].partition("\n## ")[0].split()
    )


def tf_agents_advantages(reward, discount, value, gae_lambda=LAMBDA):
    """Those of one episode `[T]`, of the values `[T + 1]` of its states."""
    return value_ops.generalized_advantage_estimation(
        values=tf.constant(value[:-1]),
        final_value=tf.constant(value[-1]),
        discounts=tf.constant(GAMMA * discount),
        rewards=tf.constant(reward),
        td_lambda=gae_lambda,
    ).numpy()


def own_advantages(reward, discount, value, end=None, gae_lambda=LAMBDA):
    end = np.zeros(len(reward), bool) if end is None else end
    rows = (each[np.newaxis] for each in (reward, discount, value[:-1], value[1:], end))
    return generalized_advantages(*rows, GAMMA, gae_lambda).numpy()[0]


def slow_advantages(reward, discount, value, gae_lambda=LAMBDA):
    """Σ_l (Π_{k<l} γλ·discount_k) δ_l, as a double sum."""
    steps = len(reward)
    delta = reward + GAMMA * discount * value[1:] - value[:-1]
    return np.array(
        [
            sum(np.prod(GAMMA * gae_lambda * discount[t:later]) * delta[later] for later in range(t, steps))
            for t in range(steps)
        ]
    )


@pytest.mark.parametrize("gae_lambda", [0.0, LAMBDA, 1.0])
@pytest.mark.parametrize("discounts", ["between 0 and 1", "0.5", "0 and 1"])
def test_fault_09_fractional_discounts_count_as_in_tf_agents(discounts, gae_lambda):
    generator = np.random.default_rng(0)
    reward, value = generator.normal(size=20), generator.normal(size=21)
    discount = {
        "between 0 and 1": generator.uniform(size=20),
        "0.5": np.full(20, 0.5),
        "0 and 1": (generator.uniform(size=20) < 0.8).astype(float),
    }[discounts]
    found = own_advantages(reward, discount, value, gae_lambda=gae_lambda)
    np.testing.assert_allclose(found, slow_advantages(reward, discount, value, gae_lambda), rtol=1e-12)
    np.testing.assert_allclose(found, tf_agents_advantages(reward, discount, value, gae_lambda), rtol=1e-12)


def test_fault_09_with_lambda_1_it_is_the_discounted_return_less_v():
    """Which a trace without the discounts is not: V(s′) would not cancel."""
    generator = np.random.default_rng(1)
    reward, discount, value = generator.normal(size=9), generator.uniform(size=9), generator.normal(size=10)
    expected = value[-1]
    for r, d in zip(reward[::-1], discount[::-1], strict=True):
        expected = r + GAMMA * d * expected
    found = own_advantages(reward, discount, value, gae_lambda=1.0)[0]
    np.testing.assert_allclose(found, expected - value[0], rtol=1e-12)


def test_fault_09_fractional_discounts_off_policy():
    """As in TF-Agents' SAC: td_target = r + γ·discount·V(s′)."""
    reward, discount, value = tf.constant([1.0, 2.0]), tf.constant([0.5, 0.25]), tf.constant([3.0, -4.0])
    batch = Transitions(None, None, reward, discount, None)
    y = CriticFit(gamma=GAMMA).target(batch, value, None, tf.constant(0.0), ACTION)
    np.testing.assert_allclose(y, [1.0 + GAMMA * 0.5 * 3.0, 2.0 - GAMMA * 0.25 * 4.0], rtol=1e-6)


def test_fault_09_a_truncated_step_is_where_the_docs_say_that_they_differ():
    reward, value = np.ones(10), np.full(11, 100.0)
    end = np.arange(10) == 9
    ours = own_advantages(reward, np.ones(10), value, end)
    # Its PPO sets the discount of a last step to 0, whether the episode was truncated or terminated.
    theirs = tf_agents_advantages(reward, np.where(end, 0.0, 1.0), value)
    assert ours[-1] == pytest.approx(0.0, abs=1e-12) and theirs[-1] == pytest.approx(-99.0)
    assert f"is {abs(ours[-1]):.1f} here and −{-theirs[-1]:.1f} there" in section()


def torch_adam(gradients, rate=1.0, epsilon=1e-8):
    """PyTorch's formula: θ ← θ − η·m̂/(√v̂ + ε), m̂ = m/(1 − β₁ᵗ), v̂ = v/(1 − β₂ᵗ)."""
    first = second = parameter = 0.0
    for t, gradient in enumerate(gradients, 1):
        first = 0.9 * first + 0.1 * gradient
        second = 0.999 * second + 0.001 * gradient**2
        parameter -= rate * (first / (1 - 0.9**t)) / (np.sqrt(second / (1 - 0.999**t)) + epsilon)
    return -parameter


def moved(optimizer, gradients):
    """By how much a parameter goes down."""
    variable = tf.Variable(0.0)
    optimizer.build([variable])
    for gradient in gradients:
        optimizer.apply_gradients([(tf.constant(gradient, tf.float32), variable)])
    return -float(variable)


def test_fault_09_the_first_step_of_adam_is_what_the_docs_say():
    tiny = [1e-7]
    ours = moved(Adam(1.0), tiny)
    minibatch = moved(MinibatchAdam(1.0).optimizer, tiny)
    keras_adam = moved(keras.optimizers.Adam(1.0), tiny)
    torch = torch_adam(tiny)
    assert minibatch == pytest.approx(keras_adam, rel=1e-5)
    assert f"| {ours:.3f} | {keras_adam:.3f} | {torch:.3f} |" in section()


@pytest.mark.parametrize(("step", "factor"), [(1, "31.6 times"), (1000, "1.26 times")])
def test_fault_09_epsilon_counts_as_a_larger_one_in_pytorch(step, factor):
    larger = 1.0 / np.sqrt(1.0 - 0.999**step)
    assert f"{larger:.3g} times" == factor and factor in section()
    if step == 1:
        assert moved(Adam(1.0), [1e-7]) == pytest.approx(torch_adam([1e-7], epsilon=larger * 1e-8), rel=1e-4)


def test_fault_09_gradients_of_common_sizes_move_alike():
    gradients = np.random.default_rng(0).normal(size=20)
    assert moved(Adam(1.0), gradients) == pytest.approx(torch_adam(gradients), abs=1e-4)
    assert moved(keras.optimizers.Adam(1.0), gradients) == pytest.approx(torch_adam(gradients), abs=1e-4)
