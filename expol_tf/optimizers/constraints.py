"""Keras's constraints, which bind the values of variables: a mask, a norm, a sign."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from expol_tf.optimizers.flat import flatten, unflatten


def is_constrained(variable: tf.Variable) -> bool:
    """Whether a variable was made with a `constraint`, such as the `kernel_constraint` of a Keras layer."""
    # Not every kind of variable has the attribute (TPU variables of some versions lack it).
    return getattr(variable, "constraint", None) is not None


def project(variables: Sequence[tf.Variable], condition: tf.Tensor | None = None) -> None:
    """θ ← constraint(θ), for each variable that has a constraint, as Keras's optimizers do after a step.

    TFP's `AutoregressiveNetwork` keeps its masks so. Without them its triangular Jacobian is full, and the
    density that is made of its diagonal integrates to another number than 1.

    Args:
      variables: Those that were moved. Works inside replicas of a strategy too.
      condition: A bool scalar; where it is false the variables stay as they are. None always projects.
    """
    for variable in filter(is_constrained, variables):
        value = tf.convert_to_tensor(variable)
        new = variable.constraint(value)
        if condition is not None:
            new = tf.where(condition, new, value)
        # Not `assign`: in a replica it refuses variables whose aggregation is not known.
        tf.raw_ops.AssignVariableOp(resource=variable.handle, value=new)


def projected(variables: Sequence[tf.Variable], vector: tf.Tensor) -> tf.Tensor:
    """Returns the vector `[P]` of the variables' values after the constraints of those that have one.

    Args:
      variables: θ, P numbers in all; their own values do not matter.
      vector: Other values for them, `[P]`.
    """
    if not any(map(is_constrained, variables)):
        return vector
    values = unflatten(vector, variables)
    return flatten(
        [
            variable.constraint(value) if is_constrained(variable) else value
            for variable, value in zip(variables, values, strict=True)
        ]
    )
