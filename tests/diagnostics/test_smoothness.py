"""Sizes of Q's derivatives against calculus."""

from __future__ import annotations

import numpy as np
import pytest

from expol_tf.diagnostics.smoothness import q_smoothness

GENERATOR = np.random.default_rng(0)


def test_a_quadratic_has_its_own_derivatives():
    matrix = np.array([[2.0, -3.0, 0.5], [-3.0, 1.0, 0.0], [0.5, 0.0, -4.0]])
    slope = np.array([1.0, -2.0, 0.5])
    states, actions = GENERATOR.normal(size=(40, 2)), GENERATOR.uniform(-0.9, 0.9, (40, 3))

    def critic(state, action):
        return state[:, 0] * (0.5 * np.einsum("ni,ij,nj->n", action, matrix, action) + action @ slope)

    found = q_smoothness(critic, states, actions)
    gradient = np.abs(states[:, :1] * (actions @ matrix + slope)).sum(axis=1) / 3
    np.testing.assert_allclose(found.gradient, gradient, rtol=1e-9)
    curvature = np.abs(states[:, 0]) * np.abs(matrix).sum() / 9
    np.testing.assert_allclose(found.curvature, curvature, rtol=1e-6)


def test_a_kink_bends_by_its_change_of_slope_over_the_step():
    def critic(state, action):
        return np.abs(action[:, 0])

    found = q_smoothness(critic, np.zeros((2, 1)), np.array([[0.0, 0.3], [0.5, 0.3]]), step=0.1)
    assert found.curvature == pytest.approx([2 / 0.1 / 4, 0.0], abs=1e-9)
    np.testing.assert_allclose(found.gradient, [0.0, 0.5], atol=1e-12)


def test_no_action_outside_of_the_box_is_asked_about():
    seen = []

    def critic(state, action):
        seen.append(action)
        return action.sum(axis=1)

    q_smoothness(critic, np.zeros((2, 1)), np.array([[1.0, -1.0], [0.0, 0.99]]))
    assert np.abs(seen[0]).max() <= 1.0
