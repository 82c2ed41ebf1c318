"""Types of texts with their rules, for the annotations of what is configured; see `expol_tf.number_types`."""

from __future__ import annotations

import dataclasses
import re
from typing import Annotated


@dataclasses.dataclass(frozen=True)
class Pattern:
    """The texts that an argument may be.

    Attributes:
      rule: What messages say that it must be.
      expression: The regular expression that the whole text matches.
    """

    rule: str
    expression: str

    def problem(self, value: str) -> str:
        """Returns what the text must be and is not; "" if it is."""
        return "" if re.fullmatch(self.expression, value) else self.rule


# TensorFlow refuses others for its modules.
ModuleName = Annotated[str, Pattern("a name of ASCII letters, digits and _", "[A-Za-z_][A-Za-z0-9_]*")]
FloatType = Annotated[str, Pattern('"float32" or "float64"', "float32|float64")]
# Keras's names of functions. It also takes those of layers, which may have variables of their own.
Activation = Annotated[
    str,
    Pattern(
        "Keras's name of an activation function, such as relu, elu or tanh",
        "elu|exponential|gelu|hard_sigmoid|leaky_relu|linear|mish|relu|selu|sigmoid|silu|softmax|softplus|"
        "softsign|swish|tanh",
    ),
]
