"""Divergences by discriminators: values, slopes and conjugates against slow ones."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from expol_tf.objectives import (
    f_divergence,
    jsd,
    reverse_kl,
    wasserstein,
)


def pearson(t):
    return t + tf.square(t) / 4


def sigmoid(f):
    return 1 / (1 + np.exp(-f))


def slow_kl_conjugate(t):
    return np.exp(t - 1)


VALUES = {
    "jsd": (jsd(), lambda f, g: np.log(sigmoid(f)) + np.log(sigmoid(-g))),
    "saturating": (jsd(saturating=True), lambda f, g: np.log(sigmoid(f)) + np.log(sigmoid(-g))),
    "wasserstein": (wasserstein(), lambda f, g: f - g),
    "hinge": (wasserstein(hinge=True), lambda f, g: np.minimum(0, f - 1) + np.minimum(0, -1 - g)),
    "reverse_kl": (reverse_kl(), lambda f, g: f - np.exp(g - 1)),
    "f_divergence": (f_divergence(pearson), lambda f, g: f - g - g**2 / 4),
}
POLICY_LOSSES = {
    "jsd": lambda f: -np.log(sigmoid(-f)),
    "saturating": lambda f: np.log(sigmoid(f)),
}


@pytest.mark.parametrize("name", VALUES)
def test_the_value_and_the_policys_loss_are_those_of_the_formulae(name):
    matching, slow = VALUES[name]
    f, g = np.random.default_rng(0).normal(0, 2, [2, 100])
    np.testing.assert_allclose(matching.value(tf.constant(f), tf.constant(g)), slow(f, g), rtol=1e-10)
    slow_loss = POLICY_LOSSES.get(name, lambda f: f)
    np.testing.assert_allclose(matching.policy_loss(tf.constant(f)), slow_loss(f), rtol=1e-10)
