"""Adam with one fused kernel a variable."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import tensorflow as tf

from expol_tf.configurable import configurable
from expol_tf.errors import ConfigurationError
from expol_tf.keras_api import keras
from expol_tf.number_types import Decay, NonNegative, Positive
from expol_tf.optimizers.constraints import project
from expol_tf.replicas import run_on_replicas
from expol_tf.text_types import ModuleName


@configurable
class Adam(tf.Module):
    """m ← β₁m + (1 − β₁)g;  v ← β₂v + (1 − β₂)g²;  θ ← θ − η·√(1 − β₂ᵗ)/(1 − β₁ᵗ)·m/(√v + ε).

    TensorFlow's own kernel does all of it in one pass over a variable. Keras's optimizer, whose interface
    this has, needs a dozen operations a variable, which in an update of small networks is a sixth of the
    time. As Keras's optimizers do, it applies the `constraint` of each variable that has one after the step.

    Reference: Kingma & Ba 2015, *Adam: A Method for Stochastic Optimization*, Alg. 1, in the order of
    computation of its §2.

    Args:
      learning_rate: η, a number or a Keras `LearningRateSchedule` of the steps done.
      max_gradient_norm: A longer gradient is scaled down to this Euclidean norm; None leaves it.
      beta_1: β₁, the decay of the gradients' running mean.
      beta_2: β₂, the decay of the squared gradients' running mean.
      epsilon: ε, below which a gradient's size no longer matters.
    """

    def __init__(
        self,
        learning_rate: NonNegative | keras.optimizers.schedules.LearningRateSchedule = 3e-4,
        max_gradient_norm: Positive | None = None,
        beta_1: Decay = 0.9,
        beta_2: Decay = 0.999,
        epsilon: NonNegative = 1e-8,
        name: ModuleName = "Adam",
    ) -> None:
        super().__init__(name=name)
        self._learning_rate = learning_rate
        self._max_gradient_norm = max_gradient_norm
        self._beta_1, self._beta_2, self._epsilon = beta_1, beta_2, epsilon
        # A function, as a dictionary with such keys among a module's attributes cannot be saved.
        self._position_of: Callable[[tf.Variable], int] | None = None

    def build(self, variables: Sequence[tf.Variable]) -> None:
        """Creates the moments of these variables; to be called once, before any `apply_gradients`."""
        if self._position_of is not None:
            raise ConfigurationError(
                f"{self.name}: it holds the moments of one network, and was given a second one. "
                f"Make one for each network (in gin: @{self.name}() makes a new one at each use)."
            )
        positions = {variable.ref(): index for index, variable in enumerate(variables)}
        self._position_of = lambda variable: positions[variable.ref()]
        # Replicas count alike, so that one of them may tell the others.
        self.step = tf.Variable(
            0,
            trainable=False,
            dtype=tf.int64,
            name="step",
            aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
        )
        # Zeros, whatever the variables are: the parameters of a restored network may be anything by now.
        self._first = [_zeros(variable, "first_moment") for variable in variables]
        self._second = [_zeros(variable, "second_moment") for variable in variables]

    def apply_gradients(self, gradients_and_variables: Iterable[tuple[tf.Tensor, tf.Variable]]) -> None:
        """Takes a step; every variable is one that `build` was given.

        Under a strategy, outside of its replicas, all replicas take the same step: the gradients are of the
        whole batch already.
        """
        # A list, as every replica goes through it: an iterator would be empty for the second.
        pairs = list(gradients_and_variables)
        run_on_replicas(lambda: self._step(pairs))

    def _step(self, pairs):
        assert self._position_of is not None, "build comes first"
        # The kernel takes dense gradients only; that of a gather comes as IndexedSlices.
        gradients = [tf.convert_to_tensor(gradient) for gradient, _ in pairs]
        if self._max_gradient_norm is not None:
            gradients, _ = tf.clip_by_global_norm(gradients, self._max_gradient_norm)
        rate = self._learning_rate
        # A schedule is asked before this step is counted: it is a function of the steps done.
        rate = tf.cast(rate(self.step) if callable(rate) else rate, tf.float32)
        # Counted before the moments are used: at t = 0 the correction 1 − β₁ᵗ is 0.
        count = tf.cast(self.step.assign_add(1), tf.float32)
        for gradient, (_, variable) in zip(gradients, pairs, strict=True):
            index = self._position_of(variable)
            dtype = variable.dtype

            def number(value, dtype=dtype):
                """Returns a number as a tensor of the variable's dtype."""
                return tf.cast(value, dtype)

            tf.raw_ops.ResourceApplyAdam(
                var=variable.handle,
                m=self._first[index].handle,
                v=self._second[index].handle,
                beta1_power=number(tf.pow(self._beta_1, count)),
                beta2_power=number(tf.pow(self._beta_2, count)),
                lr=number(rate),
                beta1=number(self._beta_1),
                beta2=number(self._beta_2),
                epsilon=number(self._epsilon),
                grad=gradient,
            )
        project([variable for _, variable in pairs])


def _zeros(variable, name):
    return tf.Variable(tf.zeros(variable.shape, variable.dtype), trainable=False, name=name)
