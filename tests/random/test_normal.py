"""Normal draws are normal, independent, and the same for the same seed."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from expol_tf.random.generators import standard_normal

SEED = tf.constant([1, 2])


def test_they_are_normal():
    draws = standard_normal(tf.constant([400_000]), SEED).numpy()
    assert stats.kstest(draws, "norm").pvalue > 0.01
    moments = [np.mean(draws**power) for power in (1, 2, 3, 4)]
    np.testing.assert_allclose(moments, [0, 1, 0, 3], atol=0.03)
    assert 4.2 < np.abs(draws).max() < 5.7


def test_they_are_independent():
    draws = standard_normal(tf.constant([2, 200_000]), SEED).numpy()
    # The two of a pair, of which either half of the draws has one, and neighbours.
    for one, other in (draws, (draws[0, 1:], draws[0, :-1])):
        for power in (1, 2):
            assert abs(np.corrcoef(one**power, other**power)[0, 1]) < 0.01
    other = standard_normal(tf.constant([2, 200_000]), tf.constant([1, 3])).numpy()
    assert abs(np.corrcoef(draws.ravel(), other.ravel())[0, 1]) < 0.01


@pytest.mark.parametrize("shape", [[], [0], [1], [3, 5], [2, 0, 3]])
@pytest.mark.parametrize("dtype", [tf.float32, tf.float64])
def test_shapes(shape, dtype):
    draws = standard_normal(tf.constant(shape, tf.int32), SEED, dtype)
    assert draws.shape == shape and draws.dtype == dtype


@pytest.mark.parametrize("jit_compile", [False, True])
def test_the_same_seed_gives_the_same_draws(jit_compile):
    draw = tf.function(lambda seed: standard_normal(tf.constant([7, 9]), seed), jit_compile=jit_compile)
    np.testing.assert_array_equal(draw(SEED), draw(SEED))
    assert np.all(draw(tf.constant([1, 3])) != draw(SEED))
