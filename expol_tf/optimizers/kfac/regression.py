"""Regression of a network onto fixed targets by natural-gradient steps on the whole batch."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from expol_tf.configurable import configurable
from expol_tf.number_types import Count
from expol_tf.optimizers.kfac.optimizer import Kfac
from expol_tf.optimizers.kfac.plan import KfacCoverage
from expol_tf.optimizers.regression import Prediction, Regression
from expol_tf.shapes import require_shapes


# It compiles itself, as eigendecompositions must stay outside of what XLA compiles.
@configurable
class KfacRegression(Regression, compiles_itself=True, supports_replicas=True):
    """Minimizes ½·mean (f(x) − y)² by `Kfac` steps with the Gauss–Newton matrix E[∇f ∇fᵀ].

    That is the Fisher matrix of y ~ N(f(x), 1), for which ∇log p = (y − f)·∇f and E(y − f)² = 1: the
    expectation over y is taken in closed form, where the usual implementation samples one y per x.

    Reference: Wu et al. 2017, *Scalable trust-region method for deep reinforcement learning using
    Kronecker-factored approximation*, §3.2.

    Args:
      kfac: The optimizer, which serves this network alone; by default with learning rate 1e-2, damping 0.1,
        clip_kl 0.3 and factor decay 0.95.
      updates: Steps in a fit, each on the whole batch.
      jit_compile: Whether XLA compiles the default optimizer's steps (`Kfac` has its own argument).
    """

    def __init__(self, kfac: Kfac | None = None, updates: Count = 25, jit_compile: bool = True) -> None:
        super().__init__(name="KfacRegression")
        self.kfac = kfac or Kfac(
            learning_rate=1e-2,
            damping=0.1,
            clip_kl=0.3,
            factor_decay=0.95,
            factor_interval=5,
            jit_compile=jit_compile,
        )
        self._updates = updates

    @property
    def coverage(self) -> KfacCoverage:
        """Which of the network's variables have Kronecker factors and which are in the exact block."""
        return self.kfac.coverage

    def build(self, predict: Prediction, variables: Sequence[tf.Variable], example: tf.Tensor) -> None:
        """Finds the network's layers and creates their state; see `Regression.build`."""
        # Twice the examples: with a single one nothing tells whether a layer sees every example, or something
        # once for all of them.
        self.kfac.build(variables, lambda: predict(tf.repeat(example, 2, axis=0)))

    def fit(
        self,
        predict: Prediction,
        variables: Sequence[tf.Variable],
        inputs: tf.Tensor,
        targets: tf.Tensor,
        valid: tf.Tensor,
        seed: tf.Tensor,
    ) -> tf.Tensor:
        """Takes all steps and returns the loss before the last one; see `Regression.fit`."""
        del variables, seed  # `build` was given the variables, and nothing is random.

        def evaluate(samples):
            """Returns (−½·mean (f(x) − y)², f(x) `[n]`) of a part of the batch."""
            x, y, counted = samples
            prediction = predict(x)
            # Predictions [n, 1] and targets [n] would broadcast to [n, n].
            require_shapes(
                ("predict(inputs)", prediction, "N"), ("targets", y, "N"), ("valid", counted, "N", "bool")
            )
            error = tf.where(counted, prediction - y, tf.zeros_like(y))
            count = tf.maximum(tf.reduce_sum(tf.cast(counted, y.dtype)), 1.0)
            # Negative, as `Kfac` ascends. f takes the place of log π: E[∇f ∇fᵀ] is the matrix that is wanted.
            return -0.5 * tf.reduce_sum(tf.square(error)) / count, prediction

        return -self.kfac.step(evaluate, (inputs, targets, valid), valid, count=self._updates).objective
