"""Distributions that can be drawn from and have no density."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

import tensorflow as tf
import tensorflow_probability as tfp

from expol_tf.checks import require_number
from expol_tf.distributions.image import ImageDistribution
from expol_tf.errors import CapabilityError
from expol_tf.random import standard_normal

tfb = tfp.bijectors
tfd = tfp.distributions


class _WithoutDensity(ImageDistribution):
    """Can be drawn from, and refuses what needs a density."""

    declared_capabilities = (*ImageDistribution.declared_capabilities, "greedy_action")

    def greedy_action(self) -> tf.Tensor:
        """Returns the deterministic action `[..., A]`."""
        return self._to_action(self._centre())

    def _centre(self) -> tf.Tensor:
        raise NotImplementedError

    def _refuse(self, what: str) -> NoReturn:
        raise CapabilityError(
            f"{what}: {type(self).__name__} has no density. For one, take a GaussianActorNetwork, "
            "MixtureActorNetwork or FlowActorNetwork."
        )

    def _log_prob(self, value: tf.Tensor) -> NoReturn:
        self._refuse("log_prob")

    def _entropy(self) -> NoReturn:
        self._refuse("entropy")

    def _sample_and_log_prob(self, sample_shape: Any, seed: Any, **kwargs: Any) -> NoReturn:
        self._refuse("experimental_sample_and_log_prob")


class ImplicitDistribution(_WithoutDensity):
    """a = bijector(f(c, ξ)), ξ ~ N(0, I): the image of noise under any function, invertible or not.

    Samples are reparameterized: gradients flow through f. There is no `log_prob` and no `entropy`; an
    algorithm that needs them takes a flow, a mixture or a Gaussian. The greedy action is f without noise, or
    `centre`.

    f gets the context and the noise of all samples in one call, so that what depends on the context alone is
    computed once, not once per sample:

    ```python
    weights = tf.Variable([[0.5], [2.0]])
    policy = ImplicitDistribution(lambda c, noise: tf.tanh(c + noise @ weights), c, noise_size=2)
    policy.sample(100, seed=seed)  # [100, ..., A]
    ```

    Args:
      function: f(c `[..., C]`, ξ `[*S, ..., noise_size]`) -> u `[*S, ..., A]`, row by row; S may be empty.
      context: c `[..., C]`; the dimensions before C are the batch shape.
      noise_size: Number of components of ξ.
      event_size: A, the number of action components; None for C.
      noise_set: Draws ξ uniformly from these rows `[K, noise_size]` instead of from N(0, I).
      bijector: The map from u to actions, a `Squash` usually; None where u is the action.
      centre: Function of c that returns the greedy u `[..., A]`; None for f(c, 0).
      shared_noise: Whether all rows of a sample share one ξ, which f then gets as `[*S, 1, ..., noise_size]`.
    """

    def __init__(
        self,
        function: Callable[[tf.Tensor, tf.Tensor], tf.Tensor],
        context: tf.Tensor,
        noise_size: int,
        event_size: int | None = None,
        noise_set: tf.Tensor | None = None,
        bijector: tfb.Bijector | None = None,
        centre: Callable[[tf.Tensor], tf.Tensor] | None = None,
        shared_noise: bool = False,
        name: str = "ImplicitDistribution",
    ) -> None:
        # TFP copies and slices a distribution by these. Taken first, before there are other local names.
        parameters = dict(locals())
        with tf.name_scope(name) as name:
            self._function = function
            self._context = tf.convert_to_tensor(context)
            require_number("noise_size", noise_size, "1 or more", "Usually it is the number of components.")
            self._noise_size = noise_size
            self._event_size = self._context.shape[-1] if event_size is None else event_size
            self._noise_set = noise_set
            self._centre_of = centre
            self._shared_noise = shared_noise
            super().__init__(self._context.dtype, bijector, parameters, name)

    @classmethod
    def _parameter_properties(cls, dtype: tf.DType, num_classes: int | None = None) -> dict[str, Any]:
        # Indexing and `batch_shape` ask for this: c is the only parameter with batch dimensions.
        return dict(context=tfp.util.ParameterProperties(event_ndims=1))

    def _event_shape(self) -> tf.TensorShape:
        return tf.TensorShape([self._event_size])

    def _event_shape_tensor(self) -> tf.Tensor:
        return tf.constant([self._event_size], tf.int32)

    def _sample_n(self, n: tf.Tensor, seed: Any = None) -> tf.Tensor:
        seed = tfp.random.sanitize_seed(seed, salt="implicit")
        batch = tf.shape(self._context)[:-1]
        if self._shared_noise:
            batch = tf.constant([1] * (self._context.shape.rank - 1), tf.int32)
        # A single sample gets no dimension of its own: f then multiplies matrices, which is faster than
        # multiplying tensors of three dimensions.
        alone = tf.get_static_value(n) == 1
        if not alone:
            batch = tf.concat([[n], batch], 0)
        if self._noise_set is None:
            shape = tf.concat([batch, [self._noise_size]], 0)
            noise = standard_normal(shape, seed, self.dtype)
        else:
            count = tf.shape(self._noise_set)[0]
            chosen = tf.random.stateless_uniform(batch, seed, maxval=count, dtype=tf.int32)
            noise = tf.gather(self._noise_set, chosen)
        action = self._to_action(self._function(self._context, noise))
        return action[tf.newaxis] if alone else action

    def _centre(self) -> tf.Tensor:
        if self._centre_of is not None:
            return self._centre_of(self._context)
        shape = tf.concat([tf.shape(self._context)[:-1], [self._noise_size]], 0)
        return self._function(self._context, tf.zeros(shape, self.dtype))


class PointMass(_WithoutDensity):
    """a = bijector(u), always: the deterministic policy as a distribution.

    Every sample is that action, and so is the greedy action. Gradients flow to u.

    Args:
      location: u `[..., A]`.
      bijector: The map from u to actions, a `Squash` usually; None where u is the action.
    """

    def __init__(
        self, location: tf.Tensor, bijector: tfb.Bijector | None = None, name: str = "PointMass"
    ) -> None:
        parameters = dict(locals())
        with tf.name_scope(name) as name:
            self._location = tf.convert_to_tensor(location)
            super().__init__(self._location.dtype, bijector, parameters, name)

    @classmethod
    def _parameter_properties(cls, dtype: tf.DType, num_classes: int | None = None) -> dict[str, Any]:
        return dict(location=tfp.util.ParameterProperties(event_ndims=1))

    def _event_shape(self) -> tf.TensorShape:
        return self._location.shape[-1:]

    def _event_shape_tensor(self) -> tf.Tensor:
        return tf.shape(self._location)[-1:]

    def _sample_n(self, n: tf.Tensor, seed: Any = None) -> tf.Tensor:
        action = self._to_action(self._location)
        return tf.broadcast_to(action, tf.concat([[n], tf.shape(action)], 0))

    def _centre(self) -> tf.Tensor:
        return self._location
