"""Keras's learning-rate schedules under their own names in gin files.

A schedule counts gradient steps, not environment steps: `MinibatchRegression` takes `epochs` times
(transitions / `minibatch_size`) of them in each iteration.

```
MinibatchRegression.learning_rate = @PolynomialDecay()
PolynomialDecay.initial_learning_rate = 1e-3
PolynomialDecay.decay_steps = 78000
PolynomialDecay.end_learning_rate = 1e-5
```
"""

from __future__ import annotations

from collections.abc import Sequence

from expol_tf.configurable import configurable
from expol_tf.errors import ConfigurationError
from expol_tf.keras_api import keras
from expol_tf.number_types import NonNegative, Positive
from expol_tf.text_types import ModuleName

_schedules = keras.optimizers.schedules


# Keras declares no types, by which a configuration is checked before a run begins.
@configurable
class CosineDecay(_schedules.CosineDecay):
    """Keras's schedule: after a linear warm-up, a half cosine down to `alpha` times the rate."""

    def __init__(
        self,
        initial_learning_rate: NonNegative,
        decay_steps: Positive,
        alpha: NonNegative = 0.0,
        name: ModuleName | None = None,
        warmup_target: NonNegative | None = None,
        warmup_steps: NonNegative = 0,
    ) -> None:
        super().__init__(initial_learning_rate, decay_steps, alpha, name, warmup_target, warmup_steps)


@configurable
class ExponentialDecay(_schedules.ExponentialDecay):
    """Keras's schedule: `initial_learning_rate`·`decay_rate`^(step / `decay_steps`)."""

    def __init__(
        self,
        initial_learning_rate: NonNegative,
        decay_steps: Positive,
        decay_rate: NonNegative,
        staircase: bool = False,
        name: ModuleName | None = None,
    ) -> None:
        super().__init__(initial_learning_rate, decay_steps, decay_rate, staircase, name)


@configurable
class PiecewiseConstantDecay(_schedules.PiecewiseConstantDecay):
    """Keras's schedule: `values[i]` up to the step `boundaries[i]`; one value more than boundaries."""

    def __init__(
        self, boundaries: Sequence[NonNegative], values: Sequence[NonNegative], name: ModuleName | None = None
    ) -> None:
        if len(values) != len(boundaries) + 1:
            raise ConfigurationError(
                "PiecewiseConstantDecay.values must be one more than its boundaries; got "
                f"{len(values)} and {len(boundaries)}."
            )
        super().__init__(boundaries, values, name)


@configurable
class PolynomialDecay(_schedules.PolynomialDecay):
    """Keras's schedule: from one rate to another within `decay_steps`, linearly with a `power` of 1."""

    def __init__(
        self,
        initial_learning_rate: NonNegative,
        decay_steps: Positive,
        end_learning_rate: NonNegative = 0.0001,
        power: Positive = 1.0,
        cycle: bool = False,
        name: ModuleName | None = None,
    ) -> None:
        super().__init__(initial_learning_rate, decay_steps, end_learning_rate, power, cycle, name)
