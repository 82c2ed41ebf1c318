"""Conjugate gradients against a dense solve."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from expol_tf.optimizers import conjugate_gradient


def positive_definite(size, seed, eigenvalues=None):
    generator = np.random.default_rng(seed)
    orthogonal, _ = np.linalg.qr(generator.normal(size=(size, size)))
    if eigenvalues is None:
        eigenvalues = generator.uniform(0.1, 3.0, size)
    matrix = (orthogonal * eigenvalues) @ orthogonal.T
    return (matrix + matrix.T) / 2, generator.normal(size=size)


def solve(matrix, b, dtype=tf.float32, **kwargs):
    matrix, b = tf.constant(matrix, dtype), tf.constant(b, dtype)
    return conjugate_gradient(lambda v: tf.linalg.matvec(matrix, v), b, **kwargs)


@pytest.mark.parametrize("size", [1, 2, 5, 10])
@pytest.mark.parametrize("seed", range(3))
def test_matches_a_dense_solve_in_as_many_iterations_as_dimensions(size, seed):
    matrix, b = positive_definite(size, seed)
    result = solve(matrix, b, max_iterations=size)
    assert int(result.iterations) <= size
    exact = np.linalg.solve(matrix, b)
    assert np.linalg.norm(result.solution - exact) <= 1e-4 * np.linalg.norm(exact)


def test_needs_as_many_iterations_as_there_are_distinct_eigenvalues():
    matrix, b = positive_definite(9, 0, eigenvalues=np.repeat([0.5, 1.0, 4.0], 3))
    result = solve(matrix, b, tf.float64, max_iterations=9, tolerance=1e-18)
    assert int(result.iterations) == 3
    np.testing.assert_allclose(result.solution, np.linalg.solve(matrix, b), rtol=1e-8)


def test_too_few_iterations_minimize_over_the_krylov_space():
    matrix, b = positive_definite(8, 1)
    result = solve(matrix, b, tf.float64, max_iterations=3)
    krylov = np.stack([np.linalg.matrix_power(matrix, k) @ b for k in range(3)], axis=1)
    best = krylov @ np.linalg.solve(krylov.T @ matrix @ krylov, krylov.T @ b)
    assert int(result.iterations) == 3
    np.testing.assert_allclose(result.solution, best, rtol=1e-7)
    np.testing.assert_allclose(result.residual, b - matrix @ best, rtol=1e-6, atol=1e-9)


def test_stops_at_the_tolerance():
    matrix, b = positive_definite(8, 2)
    result = solve(matrix, b, tf.float64, max_iterations=8, tolerance=1e-2)
    assert 0 < int(result.iterations) < 8
    assert np.sum(np.square(result.residual)) <= 1e-2 * np.sum(np.square(b))


# A power of two is no other problem: not a bit of the solution may differ.
@pytest.mark.parametrize("scale", [2.0**-90, 2.0**-30, 2.0**40])
@pytest.mark.parametrize("dtype", [tf.float32, tf.float64], ids=["float32", "float64"])
def test_fault_08_a_small_right_hand_side_is_solved_like_a_large_one(scale, dtype):
    matrix, b = positive_definite(8, 2)
    small, large = (solve(matrix, each, dtype) for each in (scale * b, b))
    assert int(small.iterations) == int(large.iterations) > 1
    np.testing.assert_array_equal(small.solution / scale, large.solution)
    np.testing.assert_array_equal(small.residual / scale, large.residual)


def test_zero_has_the_solution_zero():
    matrix, b = positive_definite(4, 3)
    result = solve(matrix, 0.0 * b)
    assert int(result.iterations) == 0
    np.testing.assert_array_equal(result.solution, 0.0)


def test_nan_does_not_look_like_a_solution():
    matrix, b = positive_definite(4, 3)
    result = solve(matrix, b * np.nan)
    assert np.isnan(result.residual).all()


def test_inside_a_compiled_graph():
    matrix, b = (tf.constant(array, tf.float32) for array in positive_definite(6, 4))

    @tf.function(jit_compile=True)
    def compiled():
        return conjugate_gradient(lambda v: tf.linalg.matvec(matrix, v), b, 6).solution

    np.testing.assert_allclose(compiled(), np.linalg.solve(matrix, b), rtol=1e-4, atol=1e-4)
