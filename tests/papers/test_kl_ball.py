"""The KL ball: densities on its boundary, at fixed entropies, and what is said of those that are not."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

from expol_tf.papers.kl_ball import kl_ball
from expol_tf.papers.kl_ball.kl_ball import Flow, _Search


def test_a_gaussian_on_the_boundary():
    found, pictured = _Search(kl_ball.FactorizedGaussian()).into_ball("Gaussian", 0, 5000)
    assert found.reached and 0.009 < found.kl_source_samples <= 0.01
    assert found.kl_fresh_samples == pytest.approx(0.01, abs=0.006)
    # A Gaussian so near has the source's variance up to a few sigma²·sqrt(KL), a trace of 0.02.
    assert found.covariance_trace == pytest.approx(0.02, rel=0.2)
    _, points = kl_ball.picture_grid()
    density = scipy.stats.multivariate_normal(
        pictured.samples.mean(axis=0), np.cov(pictured.samples, rowvar=False)
    )
    assert np.abs(pictured.log_prob - density.logpdf(points))[40:80, 40:80].max() < 0.3


def test_a_flow_at_a_given_entropy():
    search = _Search(Flow(num_transformations=1))
    found, _ = search.to_entropy("flow", 0, -1.0, 5000)
    assert found.reached and found.entropy == pytest.approx(-1.0, abs=0.06)
    again, _ = search.to_entropy("flow", 0, -1.0, 5000)
    assert again == found
    other, _ = search.to_entropy("flow", 1, -1.0, 5000)
    assert other.covariance_trace != found.covariance_trace


def test_a_descent_that_is_cut_short_says_so():
    found, _ = _Search(kl_ball.FactorizedGaussian()).into_ball("Gaussian", 0, 2)
    assert not found.reached and found.steps == 2 and found.kl_source_samples > 0.01


def test_random_flows_move_every_variable():
    flow = Flow(num_transformations=2)
    generator = np.random.default_rng(0)
    before = [variable.numpy() for variable in flow.variables]
    flow.randomize(generator)
    assert len(before) == 1 + 4 * 6  # The shift; kernels and biases of three layers in four conditioners.
    assert all((variable.numpy() != old).any() for variable, old in zip(flow.variables, before, strict=True))
    points = tf.random.stateless_normal([3, 2], [0, 0])
    with tf.GradientTape() as tape:
        log_prob = tf.reduce_sum(flow.distribution().log_prob(points))
    assert all(gradient is not None for gradient in tape.gradient(log_prob, flow.variables))
