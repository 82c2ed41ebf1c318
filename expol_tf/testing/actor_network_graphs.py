"""Checks of an actor network in graphs, also while its variables change."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from expol_tf.bijectors import ActionBox
from expol_tf.distributions import greedy_action
from expol_tf.testing.assertions import ensure, ensure_close, explained, restored
from expol_tf.testing.network_under_test import BATCH, SAMPLES, NetworkUnderTest

_WORKS_IN_A_FUNCTION = "The network must work in a tf.function with a batch of unknown size"


def check_graphs(subject: NetworkUnderTest) -> None:
    """Checks that log π and greedy actions are the same in a graph with a batch of unknown size."""
    sample, _, inside = subject.samples
    spec = tf.TensorSpec([None, *subject.observation.shape[1:]], tf.float32)
    action_spec = tf.TensorSpec([SAMPLES, None, *subject.action_spec.shape], subject.action_spec.dtype)

    @tf.function(input_signature=[spec, action_spec], autograph=False)
    def in_a_graph(observation, action):
        """log π and greedy actions, in a graph."""
        distribution = subject.distribution(observation)
        return distribution.log_prob(tf.identity(action)), greedy_action(distribution)

    with explained(_WORKS_IN_A_FUNCTION):
        log_prob, greedy = in_a_graph(subject.observation, sample)
    eager = subject.distribution().log_prob(tf.identity(sample)).numpy()
    message = "log_prob must be the same in a tf.function."
    ensure_close(log_prob.numpy()[inside], eager[inside], subject.tolerance, message)
    eager = greedy_action(subject.distribution())
    ensure_close(greedy, eager, subject.tolerance, "greedy_action must be the same in a tf.function.")


def check_sample_graphs(subject: NetworkUnderTest) -> None:
    """Checks that samples and greedy actions are the same in a graph, before and after variables change."""
    variables = subject.network.trainable_variables

    def draw_then_move(observation):
        """Samples and greedy actions; afterwards all variables are smaller by a tenth."""
        distribution = subject.distribution(observation)
        drawn = distribution.sample(SAMPLES, seed=subject.seed), greedy_action(distribution)
        for variable in variables:
            variable.assign(0.9 * variable)
        return drawn

    def draw_twice(observation):
        """Draws with the variables as they are, and again with the smaller ones."""
        return [draw_then_move(observation) for _ in range(2)]

    with restored(variables):
        expected = draw_twice(subject.observation)
    spec = tf.TensorSpec([None, *subject.observation.shape[1:]], tf.float32)
    with restored(variables), explained(_WORKS_IN_A_FUNCTION):
        drawn = tf.function(draw_twice, input_signature=[spec], autograph=False)(subject.observation)
    message = "Samples and greedy_action must be the same in a tf.function, and follow the variables."
    for actual, wanted in zip(tf.nest.flatten(drawn), tf.nest.flatten(expected), strict=True):
        ensure_close(actual, wanted, subject.tolerance, message)


def check_moving_variables(subject: NetworkUnderTest) -> None:
    """Checks that log π of one tensor follows the variables as they change within a graph and a loop."""
    variables = subject.network.trainable_variables
    # Well inside the box: near its edges the squash's inverse amplifies the rounding of a graph.
    middle, half = ActionBox.of(subject.action_spec)
    offsets = np.linspace(-0.5, 0.5, BATCH * middle.size).reshape([BATCH, middle.size])
    action = tf.constant(middle + half * offsets, subject.action_spec.dtype)

    def log_prob_then_move(given):
        """log π `[B]` of the actions; afterwards all variables are smaller by a tenth."""
        log_prob = subject.distribution().log_prob(given)
        for variable in variables:
            variable.assign(0.9 * variable)
        return log_prob

    def in_a_row(given):
        """log π `[3, B]` of one tensor under three values of the variables, in a loop of Python's."""
        return tf.stack([log_prob_then_move(given) for _ in range(3)])

    @tf.function(autograph=False)
    def in_a_loop(given):
        """log π `[3, B]` of one tensor under three values of the variables, in a graph with a loop."""
        log_probs = tf.TensorArray(given.dtype, 3, element_shape=[BATCH])
        # The first one stands before the loop: it fills TFP's cache, which the loop's body must not use.
        log_probs = log_probs.write(0, log_prob_then_move(given))
        _, log_probs = tf.while_loop(
            lambda index, _: index < 3,
            lambda index, log_probs: (index + 1, log_probs.write(index, log_prob_then_move(given))),
            (1, log_probs),
        )
        return log_probs.stack()

    with restored(variables):
        expected = [log_prob_then_move(tf.identity(action)).numpy() for _ in range(3)]
    ensure(
        np.any(np.abs(expected[1] - expected[0]) > 1e-3),
        "log_prob must change when all variables shrink by a tenth.",
    )
    for where, function in (("eager code", in_a_row), ("a tf.function and a tf.while_loop in it", in_a_loop)):
        with restored(variables), explained(f"log_prob must work while the variables move in {where}"):
            log_probs = function(action)
        ensure_close(
            log_probs,
            expected,
            subject.tolerance,
            f"log_prob of the same tensor must follow the variables as they move in {where}. Make "
            "bijectors and distributions in `call`, not in the constructor, and bijectors that compare "
            "equal only if they own the same variables' values: TFP's cache outlives the move, and "
            "equal bijectors share it.",
        )
