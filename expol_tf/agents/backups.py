"""The backups of the critics as parts to choose from: what V(s′) is regressed on."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from typing import Protocol

import gin
from tf_agents.typing import types

from expol_tf.agents.off_policy_parts import SoftValue
from expol_tf.objectives import (
    expected_soft_value,
    require_reduction,
    require_samples,
    sampled_soft_value,
)


class Backup(Protocol):
    """What an agent needs of a backup."""

    @property
    def capabilities(self) -> Sequence[str]:
        """What it needs of the policy's distribution."""

    def soft_value(self, action_spec: types.NestedTensorSpec) -> SoftValue:
        """Returns V on this box of actions."""


@gin.configurable(module="expol_tf")
@dataclasses.dataclass(frozen=True)
class SacBackup:
    """V(s) = E_π[ Q(s, a) − α log π(a|s) ], what the policy earns; see `objectives.expected_soft_value`.

    Attributes:
      reduction: Over the target critics, "min", "mean" or "first".
    """

    reduction: str = "min"

    def __post_init__(self) -> None:
        require_reduction("SacBackup.reduction", self.reduction)

    @property
    def capabilities(self) -> Sequence[str]:
        """What it needs of the policy's distribution."""
        return ("sample_and_log_prob",)

    def soft_value(self, action_spec: types.NestedTensorSpec) -> SoftValue:
        """Returns V on this box of actions."""
        return functools.partial(expected_soft_value, box=action_spec, reduction=self.reduction)


@gin.configurable(module="expol_tf")
@dataclasses.dataclass(frozen=True)
class SqlBackup:
    """V(s) = α log ∫ exp(Q(s, a)/α) da, what the best policy would; see `objectives.sampled_soft_value`.

    Attributes:
      num_samples: Actions a state that the integral is estimated from.
      proposal: Of these actions: "uniform", or "mixture", half of them from the policy, if that has a
        density.
      reduction: Over the target critics, "min", "mean" or "first".
    """

    num_samples: int = 50
    proposal: str = "uniform"
    reduction: str = "min"

    def __post_init__(self) -> None:
        require_samples(self.num_samples, self.proposal)
        require_reduction("SqlBackup.reduction", self.reduction)

    @property
    def capabilities(self) -> Sequence[str]:
        """What it needs of the policy's distribution."""
        return ("sample_and_log_prob", "log_prob") if self.proposal == "mixture" else ()

    def soft_value(self, action_spec: types.NestedTensorSpec) -> SoftValue:
        """Returns V on this box of actions."""
        return functools.partial(
            sampled_soft_value,
            box=action_spec,
            num_samples=self.num_samples,
            proposal=self.proposal,
            reduction=self.reduction,
        )
