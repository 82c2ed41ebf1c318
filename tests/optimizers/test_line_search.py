"""The line search in the graph against a loop in Python."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from expol_tf.optimizers import backtracking_line_search


def slow_line_search(accepts, ratio, max_trials):
    """Returns the accepted fraction (or None) and the fractions tried."""
    fraction, tried = np.float32(1.0), []
    for _ in range(max_trials):
        tried.append(fraction)
        if accepts(fraction):
            return fraction, tried
        fraction = np.float32(fraction * np.float32(ratio))
    return None, tried


@pytest.mark.parametrize("ratio", [0.5, 0.8])
@pytest.mark.parametrize("threshold", [2.0, 1.0, 0.51, 0.3, 0.15, 0.0])
def test_equal_to_the_loop(threshold, ratio):
    visits = tf.Variable(tf.zeros([6]))
    count = tf.Variable(0)

    def trial(fraction):
        visits.scatter_nd_update([[count]], [fraction])
        count.assign_add(1)
        return fraction <= threshold, (fraction * 10.0, fraction - 1.0)

    search = tf.function(lambda: backtracking_line_search(trial, 2, ratio, max_trials=6))
    result = search()
    expected, tried = slow_line_search(lambda fraction: fraction <= threshold, ratio, 6)
    np.testing.assert_array_equal(visits.numpy()[: len(tried)], np.array(tried))
    assert int(count) == len(tried)
    assert bool(result.accepted) == (expected is not None)
    assert float(result.fraction) == (0.0 if expected is None else expected)
    np.testing.assert_allclose(result.measured, [tried[-1] * np.float32(10.0), tried[-1] - 1.0])


def test_one_trial_is_the_full_step():
    result = backtracking_line_search(lambda fraction: (fraction < 0.5, (fraction,)), 1, max_trials=1)
    assert not bool(result.accepted)
    assert float(result.fraction) == 0.0
    assert float(result.measured[0]) == 1.0
