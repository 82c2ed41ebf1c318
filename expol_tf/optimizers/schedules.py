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

import gin

from expol_tf.keras_api import keras

_schedules = keras.optimizers.schedules

CosineDecay = gin.external_configurable(_schedules.CosineDecay, "CosineDecay", module="expol_tf")
ExponentialDecay = gin.external_configurable(
    _schedules.ExponentialDecay, "ExponentialDecay", module="expol_tf"
)
PiecewiseConstantDecay = gin.external_configurable(
    _schedules.PiecewiseConstantDecay, "PiecewiseConstantDecay", module="expol_tf"
)
PolynomialDecay = gin.external_configurable(_schedules.PolynomialDecay, "PolynomialDecay", module="expol_tf")
