"""The Gaussian mixture policy (GMM)."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import tensorflow as tf
import tensorflow_probability as tfp
from tf_agents.networks import network
from tf_agents.specs import tensor_spec
from tf_agents.typing import types

from expol_tf.bijectors import ActionBox, Squash
from expol_tf.configurable import configurable
from expol_tf.networks.log_std import LogStd
from expol_tf.networks.mlp import NormalizedColumns, make_mlp, require_vectors, vector_size
from expol_tf.number_types import Few, LayerSize
from expol_tf.text_types import Activation, ModuleName

tfd = tfp.distributions


@configurable
class MixtureActorNetwork(network.Network):
    """π(u|s) = (1/K) Σ_k N(u; μ_k(s), diag σ_k²);  a = mid + half·u, or mid + half·tanh(u) if squashed.

    The weights are fixed and equal; every component has a network for its mean and a log σ of its own. The
    density is that of the mixture, and samples are reparameterized implicitly.

    `network(observation [B, O]) -> (distribution over [B, A], ())`. The greedy action is the component mean
    with the highest mixture density.

    Reference: Tang & Agrawal 2018, *Boosting Trust Region Policy Optimization by Normalizing Flows Policy*,
    App. A; see `docs/errata.md` on the released log-density, which was no density.

    Args:
      observation_spec: A float vector `[O]`.
      action_spec: A bounded float vector `[A]`.
      num_components: K, the number of Gaussians.
      hidden_units: Sizes of the hidden layers of each μ_k, which σ_k shares if it depends on the state.
      log_std: How each log σ_k is learned; `LogStd()` by default.
      squash: Whether actions are squashed into the box by tanh; otherwise the environment clips them.
      activation: Keras name of the hidden layers' activation.
    """

    def __init__(
        self,
        observation_spec: types.NestedTensorSpec,
        action_spec: types.NestedTensorSpec,
        num_components: Few = 2,
        hidden_units: Sequence[LayerSize] = (64, 64),
        log_std: LogStd | None = None,
        squash: bool = False,
        activation: Activation = "tanh",
        name: ModuleName = "MixtureActorNetwork",
    ) -> None:
        require_vectors(observation_spec, action_spec)
        super().__init__(observation_spec, state_spec=(), name=name)
        action_size = vector_size(action_spec, "action_spec")
        observation_size = vector_size(observation_spec)
        self._make_squash = functools.partial(Squash, tensor_spec.from_spec(action_spec)) if squash else None
        middle, half = ActionBox.of(action_spec)
        self._middle = tf.constant(middle, tf.float32)
        self._half = tf.constant(half, tf.float32)
        self._deviation = LogStd() if log_std is None else log_std
        output_size = self._deviation.num_outputs(action_size)
        # Components with equal means would always receive equal gradients. Last layers this small make the
        # means differ, while the initial policy is still close to one Gaussian.
        self._means = [
            make_mlp(observation_size, hidden_units, output_size, activation, NormalizedColumns(0.01))
            for _ in range(num_components)
        ]
        self._log_std = self._deviation.make([num_components, action_size])
        self._weight_logits = tf.zeros([num_components])
        self.create_variables()

    def call(
        self,
        observation: tf.Tensor,
        step_type: tf.Tensor | None = None,
        network_state: tuple = (),
        training: bool = False,
    ) -> tuple[tfd.Distribution, tuple]:
        """Returns (the distribution over actions `[B, A]`, `()`) for observations `[B, O]`."""
        outputs = tf.stack([mean(observation) for mean in self._means], axis=-2)
        means, stds = self._deviation.mean_and_std(outputs, self._log_std)  # [B, K, A]
        if self._make_squash is None:
            means, stds = self._middle + self._half * means, self._half * stds
        mixture = tfd.MixtureSameFamily(
            tfd.Categorical(logits=self._weight_logits),
            # Not MultivariateNormalDiag, for which TFP does not define implicit reparameterization.
            tfd.Independent(tfd.Normal(means, stds), 1),
            reparameterize=True,
        )
        if self._make_squash is not None:
            return tfd.TransformedDistribution(mixture, self._make_squash()), network_state
        return mixture, network_state
