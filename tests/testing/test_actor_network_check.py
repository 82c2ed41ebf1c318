"""A broken actor network does not pass, and the message says why."""

from __future__ import annotations

import functools

import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from tf_agents.networks import network
from tf_agents.specs import tensor_spec

from expol_tf.bijectors import AffineConditioner, AffineCoupling, Squash
from expol_tf.distributions import ImplicitDistribution, PointMass
from expol_tf.keras_api import keras
from expol_tf.testing import check_actor_network
from expol_tf.testing.actor_network_density import integral
from expol_tf.testing.network_under_test import NetworkUnderTest
from tests.agents.autoregressive import IafActorNetwork, MafActorNetwork

tfb = tfp.bijectors
tfd = tfp.distributions
OBSERVATION = tensor_spec.TensorSpec([3], tf.float32, "observation")


class Right(network.Network):
    """A Gaussian; the cases below break it."""

    def __init__(self, observation_spec, action_spec, name="Right"):
        super().__init__(observation_spec, state_spec=(), name=name)
        self._action_spec = action_spec
        self._mean = self._make_layer()
        self._log_std = tf.Variable(tf.zeros([2]))
        self._prepare()
        self.create_variables()

    def _make_layer(self):
        return keras.layers.Dense(2)

    def _prepare(self):
        pass

    def _make(self, mean):
        return tfd.MultivariateNormalDiag(mean, tf.exp(self._log_std) + tf.zeros_like(mean))

    def call(self, observation, step_type=None, network_state=(), training=False):
        return self._make(self._mean(observation)), network_state


class Unbuilt(Right):
    def create_variables(self):
        pass


class BuiltLate(Right):
    """Its conditioner is built when a density is asked for."""

    def _prepare(self):
        self._conditioner = keras.layers.Dense(2)

    def _make(self, mean):
        late = tfb.Inline(
            forward_fn=lambda x: x + self._conditioner(tf.ones_like(x)),
            inverse_fn=lambda y: y - self._conditioner(tf.ones_like(y)),
            forward_log_det_jacobian_fn=lambda x: tf.zeros_like(x[..., 0]),
            forward_min_event_ndims=1,
        )
        return tfd.TransformedDistribution(super()._make(mean), late)


class Hidden(Right):
    """A function hides its variables from Keras."""

    def _prepare(self):
        scale = tf.Variable([1.0, 2.0], name="hidden_scale")
        self._scale = lambda: scale

    def _make(self, mean):
        return super()._make(mean * self._scale())


class WithoutGradient(Right):
    def _make(self, mean):
        return super()._make(tf.stop_gradient(mean))


class WithZeroGradient(Right):
    def _make(self, mean):
        return super()._make(mean * 0.0)


class ScalarEvents(Right):
    def _make(self, mean):
        return tfd.Normal(mean, 1.0)


class NoBatch(Right):
    def _make(self, mean):
        return super()._make(mean[0])


class NotADistribution(Right):
    def create_variables(self):
        self.built = True

    def _make(self, mean):
        return mean


class MixingRows(Right):
    def _make(self, mean):
        return super()._make(mean + tf.reduce_mean(mean, axis=0))


class WrongDensity(Right):
    """Says one density of its own samples and another of given actions."""

    def _make(self, mean):
        class Wrong(tfd.MultivariateNormalDiag):
            def _sample_and_log_prob(self, sample_shape, seed, **kwargs):
                sample = self.sample(sample_shape, seed=seed)
                return sample, self.log_prob(sample) + 0.1

        return Wrong(mean, tf.exp(self._log_std) + tf.zeros_like(mean))


class NaiveSquash(Right):
    """NaN at the edges of the box."""

    def _make(self, mean):
        box = tfb.Chain([tfb.Shift([0.0, 0.5]), tfb.Scale([0.4, 0.5]), tfb.Tanh()])
        return tfd.TransformedDistribution(super()._make(mean), box)


class RandomGreedy(Right):
    def _make(self, mean):
        policy = super()._make(mean)
        policy.greedy_action = lambda: mean + tf.random.normal(tf.shape(mean))
        return policy


class KeepsItsBijector(Right):
    """One bijector for ever, whose cache outlives the variables' values."""

    def _prepare(self):
        self._bijector = tfb.Chain([Squash(self._action_spec), tfb.Shift(tf.Variable([0.1, 0.2]))])

    def _make(self, mean):
        return tfd.TransformedDistribution(super()._make(mean), self._bijector)


class EqualCoupling(AffineCoupling):
    """Compares as TFP's bijectors do, by its parameters, whatever the variables under them."""

    __eq__ = tfb.Bijector.__eq__
    __hash__ = tfb.Bijector.__hash__


class EqualBijectors(Right):
    """New bijectors for every call, but equal ones: TFP lets equal bijectors share their cache."""

    def _prepare(self):
        self._conditioner = AffineConditioner(1, 1)

    def _make(self, mean):
        return tfd.TransformedDistribution(super()._make(mean), EqualCoupling(self._conditioner, 2))


class FixedBatch(Right):
    def _make(self, mean):
        return super()._make(tf.reshape(mean, [int(mean.shape[0]), 2]))


class SharedLayers(Right):
    layer = None

    def _make_layer(self):
        SharedLayers.layer = SharedLayers.layer or super()._make_layer()
        return SharedLayers.layer


class Implicit(Right):
    """Draws and knows no density."""

    def _make(self, mean):
        return ImplicitDistribution(lambda c, noise: c + tf.exp(self._log_std) * noise, mean, 2)


class ImplicitWithoutGradient(Right):
    def _make(self, mean):
        return ImplicitDistribution(lambda c, noise: c + noise, mean, 2)


class ImplicitWithZeroGradient(Right):
    def _make(self, mean):
        return ImplicitDistribution(lambda c, noise: c + 0.0 * self._log_std * noise, mean, 2)


class ImplicitThatRemembers(Implicit):
    """Computes what its variables tell once a graph."""

    def _prepare(self):
        self._scales = {}

    def _make(self, mean):
        scale = tf.exp(self._log_std)
        if tf.inside_function():
            scale = self._scales.setdefault(id(scale.graph), scale)
        return ImplicitDistribution(lambda c, noise: c + scale * noise, mean, 2)


class ImplicitOfFixedBatch(Implicit):
    def _make(self, mean):
        return super()._make(tf.reshape(mean, [int(mean.shape[0]), 2]))


class MaskedAtFirst(Right):
    """A masked autoregressive step whose kernel is masked by its initializer alone."""

    def _prepare(self):
        mask = tf.constant([[0.0, 1.0], [0.0, 0.0]])
        self._kernel = tf.Variable(mask * 0.5)

    def _make(self, mean):
        flow = tfb.MaskedAutoregressiveFlow(
            lambda x: (tf.zeros_like(x), tf.tanh(x @ self._masked())), unroll_loop=True
        )
        return tfd.TransformedDistribution(super()._make(mean), flow)

    def _masked(self):
        return self._kernel


class MaskedInCall(MaskedAtFirst):
    def _masked(self):
        return self._kernel * [[0.0, 1.0], [0.0, 0.0]]


class MaskedByAConstraint(MaskedAtFirst):
    def _prepare(self):
        mask = tf.constant([[0.0, 1.0], [0.0, 0.0]])
        self._kernel = tf.Variable(mask * 0.5, constraint=lambda x: x * mask)


class WrongVolume(Right):
    """Forgets the volume of a scale, in both of its densities."""

    def _make(self, mean):
        scale = tfb.Inline(
            forward_fn=lambda x: 1.3 * x,
            inverse_fn=lambda y: y / 1.3,
            forward_log_det_jacobian_fn=lambda x: tf.zeros_like(x),
            forward_min_event_ndims=0,
        )
        return tfd.TransformedDistribution(super()._make(mean), scale)


class MixingPoints(Right):
    def _make(self, mean):
        return PointMass(mean + self._log_std + tf.reduce_mean(mean, axis=0))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (Unbuilt, "create_variables"),
        (BuiltLate, "All variables must exist once the network is made"),
        (Hidden, "hidden_scale"),
        (WithoutGradient, "receives no gradient"),
        (WithZeroGradient, "is all zero"),
        (ScalarEvents, "event shape"),
        (NoBatch, "batch shape"),
        (NotADistribution, "must return a tfp.distributions.Distribution"),
        (MixingRows, "other observations of the batch"),
        (WrongDensity, "experimental_sample_and_log_prob"),
        (NaiveSquash, "corner .* of the action box must be finite"),
        (RandomGreedy, "deterministic"),
        (KeepsItsBijector, "follow the variables as they move"),
        (EqualBijectors, "follow the variables as they move"),
        (FixedBatch, "batch of unknown size"),
        (SharedLayers, "share no variables"),
        (ImplicitWithoutGradient, "receives no gradient from samples"),
        (ImplicitWithZeroGradient, "gradient of samples .* is all zero"),
        (ImplicitThatRemembers, "Samples .* follow the variables"),
        (ImplicitOfFixedBatch, "batch of unknown size"),
        (MixingPoints, "other observations of the batch"),
        (WrongVolume, "must be 1 as the network is made; got 1.6"),
    ],
)
def test_a_broken_network_is_found(make, words):
    with pytest.raises(AssertionError, match=words):
        check_actor_network(make)


def test_client_01_masks_that_training_destroys_are_found():
    with pytest.raises(AssertionError, match=r"must be 1 after a step of training; got .*kernel_constraint"):
        check_actor_network(MaskedAtFirst)


@pytest.mark.parametrize("make", [MaskedInCall, MaskedByAConstraint, MafActorNetwork, IafActorNetwork])
def test_client_01_masks_that_are_kept_pass(make):
    check_actor_network(make)


def test_client_01_a_squashed_maf_passes():
    check_actor_network(functools.partial(MafActorNetwork, squash=True))


def test_client_01_distributions_on_the_box_alone_pass():
    class OnTheBox(Right):
        def _make(self, mean):
            beta = tfd.Independent(tfd.Beta(2.0 + tf.exp(mean), 2.0 + tf.exp(self._log_std) + 0.0 * mean), 1)
            beta.greedy_action = lambda: beta.mean()
            return beta

    unit = tensor_spec.BoundedTensorSpec([2], tf.float32, 0.0, 1.0)
    subject = NetworkUnderTest(OnTheBox(OBSERVATION, unit), tf.zeros([6, 3]), unit, 1e-3, 0)
    assert integral(subject)[0] == pytest.approx(1.0, abs=0.02)


def test_a_network_of_another_kind_is_found():
    with pytest.raises(AssertionError, match="tf_agents Network"):
        check_actor_network(lambda *specs: keras.layers.Dense(2))


@pytest.mark.parametrize("cls", [Right, Implicit])
def test_a_right_network_passes_and_keeps_its_variables(cls):
    made = []

    def make(*specs):
        network = cls(*specs)
        made.append((network, [variable.numpy() for variable in network.variables]))
        return network

    check_actor_network(make, tensor_spec.TensorSpec([5], tf.float32))
    network, values = made[0]
    for variable, value in zip(network.variables, values, strict=True):
        assert (variable.numpy() == value).all()
