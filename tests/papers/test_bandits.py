"""Training on bandits: what is learned, that seeds decide it, and nothing else."""

from __future__ import annotations

import functools

import numpy as np
import pytest

from expol_tf.environments import box_quadrature
from expol_tf.networks import FlowActorNetwork, GaussianActorNetwork
from expol_tf.papers.bandits.bandits import BANDITS, POLICIES, BanditTrainer, log_density, optimum, train_all

GAUSSIAN = {"Gaussian": functools.partial(GaussianActorNetwork, hidden_units=(8,), squash=True)}


def test_the_optimum_is_what_the_specification_says():
    gaussian, bimodal = optimum(BANDITS["gaussian_bandit"]), optimum(BANDITS["bimodal_bandit"])
    assert gaussian.correlation == pytest.approx(0.8, abs=1e-3)
    assert (gaussian.std_1, gaussian.std_2) == pytest.approx((0.05**0.5,) * 2, abs=1e-3)
    assert gaussian.expected_reward == pytest.approx(-1.0, abs=1e-3)  # −tr(Σ⁻¹ Σ/2)
    assert bimodal.left_mass == pytest.approx(0.5) and bimodal.correlation == pytest.approx(0.0, abs=1e-9)
    assert gaussian.kl_to_target == bimodal.kl_to_target == 0.0


def test_a_gaussian_learns_what_a_factorized_gaussian_can():
    (first,) = train_all(BANDITS["gaussian_bandit"], 1, 3, 60, GAUSSIAN)
    assert (first.policy, first.seed) == ("Gaussian", 3)
    assert first.numbers.mass == pytest.approx(1.0, abs=1e-4)
    # The best factorized Gaussian is ½·log 1/(1 − ρ²) from the optimum, with precisions those of Σ⁻¹.
    assert first.numbers.kl_to_target == pytest.approx(-0.5 * np.log(1 - 0.8**2), abs=0.02)
    assert first.numbers.std_1 == pytest.approx((0.05 * (1 - 0.8**2)) ** 0.5, abs=0.02)
    assert first.log_prob.shape == (161, 161)


def test_a_seed_decides_and_the_seeds_before_it_do_not():
    def trained(seed, num_seeds):
        return list(train_all(BANDITS["bimodal_bandit"], num_seeds, seed, 3, GAUSSIAN))

    second, alone = trained(5, 2)[1], trained(6, 1)[0]
    assert second.seed == alone.seed == 6
    assert second.numbers == alone.numbers
    assert trained(7, 1)[0].numbers != alone.numbers


def test_densities_are_those_of_the_trained_network(tmp_path):
    make = functools.partial(FlowActorNetwork, num_transformations=1, hidden_units=(8,), squash=True)
    network = BanditTrainer(BANDITS["gaussian_bandit"], make, 1, str(tmp_path)).train(0)
    points, weights = box_quadrature()
    density = np.exp(log_density(network, points))
    assert np.sum(weights * density) == pytest.approx(1.0, abs=1e-3)
    distribution, _ = network(np.ones([1, 1], np.float32))
    samples = distribution.sample(50_000, seed=1).numpy()[:, 0]
    assert np.sum(weights * density * (points[:, 0] < 0.2)) == pytest.approx(
        np.mean(samples[:, 0] < 0.2), abs=0.01
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", BANDITS)
def test_a_flow_learns_the_optimum(name):
    (trained,) = train_all(BANDITS[name], 1, 0, 200, {"NFP": POLICIES["NFP"]})
    assert trained.numbers.kl_to_target < 0.05
    assert 0.3 < trained.numbers.left_mass < 0.7
    if name == "gaussian_bandit":
        assert trained.numbers.correlation == pytest.approx(0.8, abs=0.05)
