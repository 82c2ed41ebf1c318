"""V(s), on which the critics are regressed: what the policy earns, or what the best policy would."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from expol_tf.bijectors import BoxSpec
from expol_tf.checks import refuse_misspelt_attributes, require_number
from expol_tf.configurable import configurable
from expol_tf.number_types import SampleSize
from expol_tf.objectives import (
    deterministic_value,
    expected_soft_value,
    require_reduction,
    require_samples,
    sampled_soft_value,
    soft_value_in_parts,
)


class SoftValue:
    """V(s) `[N]` of states, from a policy and (target) critics: the backup of an algorithm.

    Attributes:
      requires: What V needs of the policy's distribution (`expol_tf.distributions.capabilities`).
    """

    requires: Sequence[str] = ()

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        refuse_misspelt_attributes(cls, SoftValue)

    def __call__(self, *inputs: Any, box: BoxSpec) -> tf.Tensor:
        """Returns V `[N]`.

        Args:
          *inputs: The states s `[N, O]`, normalized; π, the target policy where there is one; Q of the target
            critics; α, a scalar; and a stateless seed, int32 `[2]`.
          box: The action spec.
        """
        raise NotImplementedError


@configurable
@dataclasses.dataclass(frozen=True)
class ExpectedValue(SoftValue):
    """V(s) = E_π[ Q(s, a) − α log π(a|s) ]: what the policy earns; see `objectives.expected_soft_value`.

    Attributes:
      reduction: Over the target critics: "min", "mean" or "first".
      num_samples: Actions a state; None for one, and for all particles of a Stein policy.
    """

    reduction: str = "min"
    num_samples: SampleSize | None = None

    requires = ("sample_and_log_prob",)

    def __post_init__(self) -> None:
        require_reduction("ExpectedValue.reduction", self.reduction)
        if self.num_samples is not None:
            require_samples(self.num_samples, "uniform")

    def __call__(self, *inputs: Any, box: BoxSpec) -> tf.Tensor:
        """Returns V `[N]`; see `SoftValue`."""
        return expected_soft_value(
            *inputs, box=box, reduction=self.reduction, num_samples=self.num_samples or 1
        )


@configurable
@dataclasses.dataclass(frozen=True)
class LogSumExpValue(SoftValue):
    """V(s) = α log ∫ exp(Q(s, a)/α) da: what the best policy would earn; see `objectives.sampled_soft_value`.

    Attributes:
      reduction: Over the target critics: "min", "mean" or "first".
      num_samples: Actions a state that the integral is estimated from.
      proposal: Where these actions come from: "uniform", or "mixture", half of them from the policy, if that
        has a density.
    """

    reduction: str = "min"
    num_samples: SampleSize = 50
    proposal: str = "uniform"

    def __post_init__(self) -> None:
        require_samples(self.num_samples, self.proposal)
        require_reduction("LogSumExpValue.reduction", self.reduction)

    @property
    def requires(self) -> Sequence[str]:  # type: ignore[override]
        """What V needs of the policy's distribution."""
        return ("sample_and_log_prob", "log_prob") if self.proposal == "mixture" else ()

    def __call__(self, *inputs: Any, box: BoxSpec) -> tf.Tensor:
        """Returns V `[N]`; see `SoftValue`."""
        return sampled_soft_value(
            *inputs, box=box, reduction=self.reduction, num_samples=self.num_samples, proposal=self.proposal
        )


@configurable
@dataclasses.dataclass(frozen=True)
class DeterministicValue(SoftValue):
    """V(s) = Q(s, a) at one action of the policy; see `objectives.deterministic_value`.

    Attributes:
      reduction: Over the target critics: "min", "mean" or "first".
    """

    reduction: str = "min"

    def __post_init__(self) -> None:
        require_reduction("DeterministicValue.reduction", self.reduction)

    def __call__(self, *inputs: Any, box: BoxSpec) -> tf.Tensor:
        """Returns V `[N]`; see `SoftValue`."""
        return deterministic_value(*inputs, reduction=self.reduction)


@dataclasses.dataclass(frozen=True)
class ValueInParts(SoftValue):
    """V of a batch as V of its parts, which a CPU computes side by side.

    Attributes:
      soft_value: V.
      num_parts: Parts of the batch: as many as the CPU has cores.
    """

    soft_value: SoftValue
    num_parts: int

    def __post_init__(self) -> None:
        require_number(
            "ValueInParts.num_parts", self.num_parts, "1 or more", "1 computes the batch as a whole."
        )

    @property
    def requires(self) -> Sequence[str]:  # type: ignore[override]
        """What V needs of the policy's distribution."""
        return self.soft_value.requires

    def __call__(self, *inputs: Any, box: BoxSpec) -> tf.Tensor:
        """Returns V `[N]`; see `SoftValue`."""
        return soft_value_in_parts(functools.partial(self.soft_value, box=box), self.num_parts, *inputs)
