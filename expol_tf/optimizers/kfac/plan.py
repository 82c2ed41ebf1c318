"""Which variables of a model have Kronecker factors, and which do not."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import tensorflow as tf

from expol_tf.errors import ConfigurationError
from expol_tf.optimizers.flat import flat_gradient
from expol_tf.optimizers.kfac.capture import DenseLayer, dense_layers, inputs_and_gradients
from expol_tf.optimizers.kfac.factors import batch_statistics
from expol_tf.replicas import run_on_replicas


class KfacLayer(NamedTuple):
    """A layer with Kronecker factors: the names of its variables and `(inputs, outputs)`, bias counted."""

    kernel: str
    bias: str | None
    shape: tuple[int, int]


class KfacCoverage(NamedTuple):
    """How a model's variables are treated: `layers` have Kronecker factors, `exact` names all others."""

    layers: tuple[KfacLayer, ...]
    exact: tuple[str, ...]

    def __str__(self) -> str:
        lines = [f"{len(self.layers)} layers with Kronecker factors:"]
        for layer in self.layers:
            names = layer.kernel if layer.bias is None else f"{layer.kernel} and {layer.bias}"
            lines.append(f"  {names}: {layer.shape[0]} x {layer.shape[1]}")
        lines.append(f"{len(self.exact)} variables in one exact Fisher block:")
        lines += [f"  {name}" for name in _counted(self.exact)]
        return "\n".join(lines)


# Not a tuple, which a `tf.Module` would track, so that its checkpoints held the model's variables too.
@dataclasses.dataclass(frozen=True, eq=False)
class KfacPlan:
    """A model's variables: `layers`, (kernel, bias or None), and `rest`, each in the order of `variables`."""

    variables: list[tf.Variable]
    layers: list[tuple[tf.Variable, tf.Variable | None]]
    rest: list[tf.Variable]

    @property
    def layer_shapes(self) -> list[tuple[int, int]]:
        """(inputs, outputs) of each layer, the homogeneous input of a bias counted."""
        return [(kernel.shape[0] + (bias is not None), kernel.shape[1]) for kernel, bias in self.layers]

    @property
    def layer_variables(self) -> list[tf.Variable]:
        """Each layer's kernel, followed by its bias if it has one."""
        return [variable for layer in self.layers for variable in layer if variable is not None]

    def coverage(self) -> KfacCoverage:
        """The plan by name."""
        layers = [
            KfacLayer(_name(kernel), None if bias is None else _name(bias), shape)
            for (kernel, bias), shape in zip(self.layers, self.layer_shapes, strict=True)
        ]
        return KfacCoverage(tuple(layers), tuple(_name(variable) for variable in self.rest))

    def find(self, log_probs: tf.Tensor) -> list[DenseLayer]:
        """Returns the plan's layers, with their inputs and outputs in the graph of log π.

        Raises:
          ConfigurationError: If log π uses one of them in another way than in `Kfac.build`.
        """
        found = {layer.kernel.ref(): layer for layer in dense_layers(log_probs, self.variables)}
        for kernel, bias in self.layers:
            layer = found.get(kernel.ref())
            if layer is None or layer.bias is not bias:
                raise ConfigurationError(
                    "evaluate: log π must use the variables as it did in Kfac.build; the layer of "
                    f"{_name(kernel)} is used in another way. Build with the same function."
                )
        return [found[kernel.ref()] for kernel, _ in self.layers]

    def statistics(
        self, layers: list[DenseLayer], tape: tf.GradientTape, log_probs: tf.Tensor, weights: tf.Tensor
    ) -> list[tuple[tf.Tensor, tf.Tensor]]:
        """Returns Â and Ĝ of each layer.

        Args:
          layers: What `find` returned.
          tape: Persistent; it recorded `log_probs` while it watched the plan's variables.
          log_probs: log π `[N]`.
          weights: w `[N]`, adding to 1.

        Raises:
          ConfigurationError: If log π does not depend on a layer any more.
        """
        captured = inputs_and_gradients(layers, tape, log_probs)
        if not all(inputs for inputs, _ in captured):
            raise ConfigurationError(
                "evaluate: log π must depend on the variables as it did in Kfac.build; it does not on "
                f"all of {variable_names(self.layer_variables)}. Build with the same function."
            )
        return [batch_statistics(inputs, slopes, weights) for inputs, slopes in captured]

    def zero_statistics(self, dtype: tf.DType) -> list[tuple[tf.Tensor, tf.Tensor]]:
        """Returns zeros of the shapes that `statistics` returns."""
        return [
            (tf.zeros([inputs, inputs], dtype), tf.zeros([outputs, outputs], dtype))
            for inputs, outputs in self.layer_shapes
        ]

    def gradients(self, tape: tf.GradientTape, objective: tf.Tensor) -> list[tf.Tensor]:
        """Returns the objective's gradient by each layer `[I, J]`, then by `rest` `[P]` if there is any.

        Args:
          tape: Persistent; it recorded `objective` while it watched the plan's variables.
          objective: A scalar.
        """
        found = iter(
            tape.gradient(objective, self.layer_variables, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        )
        # The bias is the last row: it is the weight of the homogeneous 1 in ā.
        gradients = [
            next(found) if bias is None else tf.concat([next(found), next(found)[tf.newaxis]], axis=0)
            for _, bias in self.layers
        ]
        return [*gradients, flat_gradient(tape, objective, self.rest)] if self.rest else gradients


def make_plan(variables: Iterable[tf.Variable], log_prob: Callable[[], tf.Tensor]) -> KfacPlan:
    """Traces `log_prob`, without running it, and finds what has Kronecker factors.

    Raises:
      ConfigurationError: If there are no variables, if two are the same, if they are of several types, or if
        log π does not depend on one.
    """
    variables = _checked(list(variables))
    found: list[tuple[list[DenseLayer], list[tf.Variable]]] = []

    def trace():
        # Persistent: it is differentiated by the layers' outputs, and then by the variables.
        """Finds the layers in the graph of log π, and the variables that log π does not depend on."""
        with tf.GradientTape(persistent=True, watch_accessed_variables=False) as tape:
            tape.watch(variables)
            log_probs = log_prob()
        if log_probs.shape.rank != 1:
            raise ConfigurationError(
                f"log_prob must return one number per sample, shape [N]; got shape {log_probs.shape}."
            )
        layers = dense_layers(log_probs, variables)
        captured = inputs_and_gradients(layers, tape, log_probs)
        used = [layer for layer, (inputs, _) in zip(layers, captured, strict=True) if inputs]
        connected = zip(variables, tape.gradient(log_probs, variables), strict=True)
        found.append((used, [variable for variable, gradient in connected if gradient is None]))

    # In a replica, as the steps will be: there the graph reads the replica's own copies of the variables.
    tf.function(lambda: run_on_replicas(trace), autograph=False).get_concrete_function()
    layers, unused = found[-1]
    if unused:
        raise ConfigurationError(
            f"variables: log_prob must depend on each of them; it does not on {variable_names(unused)}, "
            "which therefore have no Fisher matrix. Leave them out, and train them otherwise if need be."
        )
    pairs = [(layer.kernel, layer.bias) for layer in layers]
    layered = {variable.ref() for pair in pairs for variable in pair if variable is not None}
    return KfacPlan(variables, pairs, [variable for variable in variables if variable.ref() not in layered])


def variable_names(variables: Sequence[tf.Variable]) -> str:
    """The variables' names for a message."""
    return ", ".join(_counted([_name(variable) for variable in variables]))


def _checked(variables: list[tf.Variable]) -> list[tf.Variable]:
    if not variables:
        raise ConfigurationError("variables must be at least one; got none. Build the model first.")
    if len({variable.ref() for variable in variables}) < len(variables):
        raise ConfigurationError(f"variables must be different ones; got {variable_names(variables)}.")
    dtypes = sorted({variable.dtype.name for variable in variables})
    if len(dtypes) > 1 or not variables[0].dtype.is_floating:
        raise ConfigurationError(f"variables must all have one floating type; got {', '.join(dtypes)}.")
    return variables


def _name(variable: tf.Variable) -> str:
    return variable.name.partition(":")[0]


def _counted(names: Sequence[str]) -> list[str]:
    # Keras gives many variables the same name.
    return [
        name if count == 1 else f"{name} ({count} times)"
        for name, count in collections.Counter(names).items()
    ]
