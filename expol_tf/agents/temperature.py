"""The temperature α of maximum-entropy algorithms: fixed, on a schedule, or learned."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import tensorflow as tf

from expol_tf.checks import refuse_misspelt_attributes
from expol_tf.configurable import configurable
from expol_tf.errors import ConfigurationError
from expol_tf.number_types import Finite, NonNegative, Positive
from expol_tf.optimizers import Adam, Optimizer, apply_gradients, build_optimizer
from expol_tf.shapes import require_shapes
from expol_tf.text_types import ModuleName


class Temperature(tf.Module):
    """α, in units of the reward per nat of the action scaled to [−1, 1].

    Attributes:
      needs_log_prob: Whether `update` needs E[log π].
    """

    needs_log_prob: ClassVar[bool] = False

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        refuse_misspelt_attributes(cls, Temperature)

    @property
    def is_zero(self) -> bool:
        """Whether α is 0 for ever, so that nothing needs to know the entropy."""
        return False

    def build(self, action_size: int) -> None:
        """Creates what depends on the number of action components; called once, by the agent."""

    def value(self) -> tf.Tensor:
        """Returns α, a scalar."""
        raise NotImplementedError

    def update(self, mean_log_prob: tf.Tensor | None) -> None:
        """Moves α, if it is learned, or counts a step of its schedule.

        Args:
          mean_log_prob: E[log π] of fresh actions scaled to [−1, 1], a scalar; None where there is no
            density.
        """


@configurable
class FixedTemperature(Temperature):
    """α = `temperature`, always.

    Args:
      temperature: 0 or more, in units of the reward per nat.
    """

    def __init__(self, temperature: NonNegative = 1.0, name: ModuleName = "FixedTemperature") -> None:
        super().__init__(name=name)
        self._temperature = temperature

    @property
    def is_zero(self) -> bool:
        """Whether α = 0."""
        return self._temperature == 0

    def value(self) -> tf.Tensor:
        """Returns α, a scalar."""
        return tf.constant(self._temperature, tf.float32)


@configurable
class ScheduledTemperature(Temperature):
    """α as a function of the updates done: `ScheduledTemperature(ExponentialDecay(10.0, 20_000, 1e-4))`.

    Args:
      schedule: A Keras learning-rate schedule, or another function of the step, int64, to a positive scalar.
    """

    def __init__(
        self, schedule: Callable[[tf.Tensor], tf.Tensor], name: ModuleName = "ScheduledTemperature"
    ) -> None:
        super().__init__(name=name)
        if not callable(schedule):
            raise ConfigurationError(
                f"{name}.schedule must be a function of the step; got {schedule!r}. For a number use "
                "FixedTemperature."
            )
        self._schedule = schedule
        self.step = tf.Variable(0, trainable=False, dtype=tf.int64, name="step")
        self._has_agent = False

    def build(self, action_size: int) -> None:
        """Notes that the schedule has its agent, as a second one would count steps too."""
        if self._has_agent:
            raise _shared(self)
        self._has_agent = True

    def value(self) -> tf.Tensor:
        """Returns α, a scalar."""
        return tf.cast(self._schedule(self.step), tf.float32)

    def update(self, mean_log_prob: tf.Tensor | None) -> None:
        """Counts an update."""
        self.step.assign_add(1)


@configurable
class LearnedTemperature(Temperature):
    """Moves log α down the gradient of −log α·E[log π + H̄], so that the entropy is kept near H̄.

    Reference: Haarnoja et al. 2018, *Soft Actor-Critic Algorithms and Applications*, Eq. 18, with log α in
    place of α as the factor, whose sign is the same.

    Args:
      initial_temperature: α to begin with, positive.
      target_entropy: H̄ in nats of the action scaled to [−1, 1]; None for −A, −1 nat per action component.
      optimizer: The optimizer of log α; `Adam(3e-4)` by default.
    """

    needs_log_prob: ClassVar[bool] = True

    def __init__(
        self,
        initial_temperature: Positive = 1.0,
        target_entropy: Finite | None = None,
        optimizer: Optimizer | None = None,
        name: ModuleName = "LearnedTemperature",
    ) -> None:
        super().__init__(name=name)
        self._initial_temperature = initial_temperature
        self._target_entropy = target_entropy
        self._optimizer = optimizer or Adam(3e-4)

    def build(self, action_size: int) -> None:
        """Creates log α and settles H̄."""
        if hasattr(self, "log_temperature"):
            raise _shared(self)
        # The logarithm is what learns, so α stays positive whatever the step.
        initial = tf.math.log(tf.constant(self._initial_temperature, tf.float32))
        self.log_temperature = tf.Variable(initial, name="log_temperature")
        if self._target_entropy is None:
            self._target_entropy = -float(action_size)
        build_optimizer(self._optimizer, [self.log_temperature])

    @property
    def target_entropy(self) -> float | None:
        """H̄, in nats of the action scaled to [−1, 1]."""
        return self._target_entropy

    def value(self) -> tf.Tensor:
        """Returns α, a scalar."""
        return tf.exp(self.log_temperature)

    def update(self, mean_log_prob: tf.Tensor | None) -> None:
        """Takes an optimizer step on log α."""
        require_shapes(("mean_log_prob", mean_log_prob, ""))
        assert mean_log_prob is not None, "refused above"
        # The gradient in closed form, as the loss is linear in log α.
        gradient = -(mean_log_prob + self._target_entropy)
        apply_gradients(self._optimizer, [(gradient, self.log_temperature)])


def _shared(temperature: Temperature) -> ConfigurationError:
    return ConfigurationError(
        f"{temperature.name}: it is one agent's, and was given a second one. Make one for each agent."
    )
