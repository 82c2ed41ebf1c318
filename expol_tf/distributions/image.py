"""The base of the library's own distributions."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp

from expol_tf.checks import refuse_misspelt_attributes

tfb = tfp.bijectors
tfd = tfp.distributions


class ImageDistribution(tfd.Distribution):
    """a = bijector(u), u reparameterized, where the distribution of u is no distribution of TFP's.

    Args:
      dtype: The dtype of u and a.
      bijector: The map from u to actions; None where u is the action.
      parameters: The arguments of the subclass's constructor, as TFP wants them.
      name: The name of the distribution.
    """

    # What it can do, names of `CAPABILITIES`, so that nothing must be traced to find out.
    declared_capabilities: tuple[str, ...] = ("sample", "reparameterized_sample")

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        refuse_misspelt_attributes(cls, ImageDistribution)

    def __init__(
        self, dtype: tf.DType, bijector: tfb.Bijector | None, parameters: dict[str, Any], name: str
    ) -> None:
        self._bijector = bijector
        super().__init__(dtype, tfd.FULLY_REPARAMETERIZED, False, False, parameters, name=name)

    @property
    def bijector(self) -> tfb.Bijector | None:
        """The map from u to actions, or None where u is the action."""
        return self._bijector

    @property
    def distribution(self) -> tfd.Distribution:
        """The distribution of u: this one without its bijector."""
        return self if self._bijector is None else self.copy(bijector=None)

    def _to_action(self, latent: tf.Tensor) -> tf.Tensor:
        return latent if self._bijector is None else self._bijector.forward(latent)
