"""Types of numbers with their ranges, for the annotations of what is configured.

    def __init__(self, num_samples: Count = 1, learning_rate: Positive = 3e-4) -> None: ...

To type checkers and readers a `Count` is an int. `expol_tf.configurable` holds the arguments of calls against
the ranges, and so does the check of a configuration, which has the file and the line. A range of one's own is
an annotation too: `Annotated[int, Range("2 or more")]`.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Annotated, Any

# What TensorFlow computes with: a smaller positive number is 0 there, a larger one infinite.
_FLOAT32_TINY, _FLOAT32_MAX = 1.1754944e-38, 3.4028235e38
_INT32_MAX = 2**31 - 1

# Comparisons that NaN fails: `not value < 0` would let it pass.
RULES: dict[str, Callable[[Any], bool]] = {
    "finite": lambda value: -math.inf < value < math.inf,
    "positive": lambda value: 0 < value < math.inf,
    "0 or more": lambda value: 0 <= value < math.inf,
    "1 or more": lambda value: 1 <= value < math.inf,
    "2 or more": lambda value: 2 <= value < math.inf,
    "above 1": lambda value: 1 < value < math.inf,
    "between 0 and 1": lambda value: 0 < value < 1,
    "0 or more and less than 1": lambda value: 0 <= value < 1,
    "above 0 and at most 1": lambda value: 0 < value <= 1,
    "in [0, 1]": lambda value: 0 <= value <= 1,
}


@dataclasses.dataclass(frozen=True)
class Range:
    """The numbers that an argument may be. NaN and infinity are in none.

    Attributes:
      rule: One of the keys of `RULES`, such as "positive" or "0 or more".
      most: The largest number.
      least: The smallest positive number. The rule says whether 0 and negative numbers are allowed.
    """

    rule: str
    most: float = _FLOAT32_MAX
    least: float = 0.0

    def problem(self, value: Any) -> str:
        """Returns what the number must be and is not, such as "positive"; "" if it is in the range."""
        if not RULES[self.rule](value):
            has_no_end = self.rule != "finite" and RULES[self.rule](self.most)
            return f"{self.rule} and finite" if value == math.inf and has_no_end else self.rule
        if abs(value) > self.most:
            return f"{self.rule} and at most {self.most:,}"
        if 0 < value < self.least:
            return f"{self.least:g} or more"
        if self.rule == "positive" and value < _FLOAT32_TINY:
            return f"positive, and {_FLOAT32_TINY:g} or more, as it is 0 in float32 otherwise"
        return ""


Count = Annotated[int, Range("1 or more", _INT32_MAX)]
# What is made or written out one by one when an experiment is built: more would never be ready.
Few = Annotated[int, Range("1 or more", 1_000)]
FewOrNone = Annotated[int, Range("0 or more", 1_000)]
# Actions or particles of a state, which are all in memory at once.
SampleSize = Annotated[int, Range("1 or more", 2**16)]
AtLeastTwo = Annotated[int, Range("2 or more", _INT32_MAX)]
WholeNumber = Annotated[int, Range("0 or more", _INT32_MAX)]
SeedNumber = Annotated[int, Range("0 or more", 2**63 - 1)]
# The seed of a sampler: TensorFlow takes any that fits.
Integer = Annotated[int, Range("finite", 2**63 - 1)]
# Environment steps.
Steps = Annotated[int, Range("1 or more", 10**15)]
WholeSteps = Annotated[int, Range("0 or more", 10**15)]
# Each environment is an object: so many take minutes to make, more take the memory.
NumEnvs = Annotated[int, Range("1 or more", 2**16)]
NumThreads = Annotated[int, Range("0 or more", 2**10)]
# Processes, or CPUs for one.
PoolSize = Annotated[int, Range("1 or more", 2**10)]
# A kernel has the square of it, and an orthogonal one takes the cube to draw.
LayerSize = Annotated[int, Range("1 or more", 2**13)]
# Updates per environment step, kept as a fraction with a denominator of a million. At most so many updates of
# one step of all environments fit into the counter of TensorFlow's loop.
UpdateRate = Annotated[float, Range("positive", most=10_000, least=1e-6)]
Finite = Annotated[float, Range("finite")]
Positive = Annotated[float, Range("positive")]
NonNegative = Annotated[float, Range("0 or more")]
AtLeastOne = Annotated[float, Range("1 or more")]
AboveOne = Annotated[float, Range("above 1")]
# The open unit interval, the closed one, and those with one end.
Fraction = Annotated[float, Range("between 0 and 1")]
UnitInterval = Annotated[float, Range("in [0, 1]")]
Decay = Annotated[float, Range("0 or more and less than 1")]
Rate = Annotated[float, Range("above 0 and at most 1")]
