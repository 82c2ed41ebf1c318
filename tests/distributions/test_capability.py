"""What each family can do, also where a user composed it by hand."""

from __future__ import annotations

import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from tf_agents.specs import tensor_spec

from expol_tf.bijectors import AffineConditioner, AffineCoupling, Squash
from expol_tf.distributions import CAPABILITIES, capabilities, require
from expol_tf.errors import CapabilityError
from expol_tf.networks import (
    DeterministicActorNetwork,
    FlowActorNetwork,
    GaussianActorNetwork,
    MixtureActorNetwork,
    SamplingActorNetwork,
)

tfb = tfp.bijectors
tfd = tfp.distributions

OBSERVATION = tensor_spec.TensorSpec([3], tf.float32)
ACTION = tensor_spec.BoundedTensorSpec([2], tf.float32, -1.0, 1.0)
DENSITY = {"sample", "reparameterized_sample", "log_prob", "sample_and_log_prob", "greedy_action"}

IMPLICIT = {"sample", "reparameterized_sample", "greedy_action"}


def of_network(cls, **options):
    return cls(OBSERVATION, ACTION, hidden_units=(4,), **options)(tf.zeros([1, 3]))[0]


def gaussian():
    return tfd.MultivariateNormalDiag(tf.zeros([1, 2]), tf.ones([1, 2]))


def mixture(**options):
    components = tfd.Independent(tfd.Normal(tf.zeros([1, 3, 2]), 1.0), 1)
    return tfd.MixtureSameFamily(tfd.Categorical(logits=[0.0, 0.0, 0.0]), components, **options)


def flow(base):
    return tfd.TransformedDistribution(base, AffineCoupling(AffineConditioner(1, 1), 2))


class Sampler(tfd.Distribution):
    """An implicit distribution: samples and nothing else."""

    def __init__(self):
        super().__init__(tf.float32, tfd.FULLY_REPARAMETERIZED, False, False, name="Sampler")

    def _event_shape(self):
        return tf.TensorShape([2])

    def _batch_shape(self):
        return tf.TensorShape([1])

    def _sample_n(self, n, seed=None):
        return tf.random.stateless_normal([n, 1, 2], seed) ** 3


class Declaring(Sampler):
    """One that says itself what it can do."""

    declared_capabilities = ("sample", "entropy")


CASES = {
    "gaussian_network": (lambda: of_network(GaussianActorNetwork), DENSITY | {"entropy", "kl"}),
    "squashed_gaussian_network": (lambda: of_network(GaussianActorNetwork, squash=True), DENSITY | {"kl"}),
    "mixture_network": (lambda: of_network(MixtureActorNetwork), DENSITY),
    "flow_network": (lambda: of_network(FlowActorNetwork, num_transformations=1), DENSITY),
    "flow_network_without_transformations": (
        lambda: of_network(FlowActorNetwork, num_transformations=0),
        DENSITY | {"entropy"},
    ),
    "sampling_network": (lambda: of_network(SamplingActorNetwork), IMPLICIT),
    "deterministic_network": (lambda: of_network(DeterministicActorNetwork), IMPLICIT),
    "gaussian": (gaussian, DENSITY | {"entropy", "kl"}),
    "mixture": (lambda: mixture(reparameterize=True), DENSITY),
    "mixture_without_reparameterization": (mixture, DENSITY - {"reparameterized_sample"}),
    "flow": (lambda: flow(gaussian()), DENSITY),
    "squashed_mixture": (
        lambda: tfd.TransformedDistribution(mixture(), Squash(ACTION)),
        DENSITY - {"reparameterized_sample"},
    ),
    # The map of each component is constant, so that the divergence is that of the normals below it.
    "independent_map": (
        lambda: tfd.Independent(
            tfd.TransformedDistribution(tfd.Normal([[0.0, 0.0]], 1.0), tfb.Softplus()), 1
        ),
        DENSITY - {"greedy_action"} | {"kl"},
    ),
    "sampler": (Sampler, {"sample", "reparameterized_sample"}),
    "declaring": (Declaring, {"sample", "entropy"}),
}


@pytest.mark.parametrize("name", CASES)
def test_capabilities(name):
    make, expected = CASES[name]
    assert capabilities(make()) == expected <= set(CAPABILITIES)


@pytest.mark.parametrize("cls", [SamplingActorNetwork, DeterministicActorNetwork])
def test_what_the_library_declares_is_what_tracing_finds(cls, monkeypatch):
    distribution = of_network(cls)
    declared = capabilities(distribution)
    monkeypatch.setattr(distribution, "declared_capabilities", None)
    assert capabilities(distribution) == declared


def test_a_missing_capability_is_named_with_policy_algorithm_and_remedy():
    words = "TRPO needs .* has log_prob and sample_and_log_prob; MyNetwork's Sampler does not.* Use another."
    arguments = dict(policy="MyNetwork", algorithm="TRPO", instead="Use another.")
    with pytest.raises(CapabilityError, match=words):
        require(Sampler(), ("sample", "log_prob", "sample_and_log_prob"), **arguments)
    require(Sampler(), ("sample",), **arguments)
