"""A dataclass whose annotation only this module can evaluate."""

from __future__ import annotations

import dataclasses

Direction = int


@dataclasses.dataclass(frozen=True)
class Steered:
    """Has a field of a type that is named here."""

    steering: Direction = 0
