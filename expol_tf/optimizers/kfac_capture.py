"""Finding the dense layers of a function in its graph, with their inputs and pre-activation gradients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import tensorflow as tf


class CapturedLayer(NamedTuple):
    """One dense layer as log π uses it: S = āᵀ·[W; b] at U different inputs.

    Attributes:
      kernel: W `[in, out]`.
      bias: b `[out]`, or None where the layer has none, or none that belongs to it alone.
      inputs: U tensors `[R_u, in]`, without the homogeneous coordinate.
      gradients: U tensors `[R_u, out]`, ∂ Σₙ log πₙ / ∂S, added up over evaluations at the same input.
    """

    kernel: tf.Variable
    bias: tf.Variable | None
    inputs: list[tf.Tensor]
    gradients: list[tf.Tensor]


class Capture(NamedTuple):
    """What `capture_layers` found; every variable is in a layer, in `rest` or in `unused`.

    Attributes:
      layers: In the order of their kernels among the variables.
      rest: Variables that log π uses in any other way.
      unused: Variables that log π does not depend on.
    """

    layers: list[CapturedLayer]
    rest: list[tf.Variable]
    unused: list[tf.Variable]


def capture_layers(tape: tf.GradientTape, log_probs: tf.Tensor, variables: Sequence[tf.Variable]) -> Capture:
    """Finds the dense layers among the operations that made log π `[N]`.

    A layer is a `MatMul` whose second operand is what a `ReadVariableOp` read of a matrix, with what was
    added to its result alone, by `BiasAdd` or `+`, read of a vector: what `keras.layers.Dense` makes of
    inputs of any rank, in a model of any kind, and what `x @ w + b` makes of plain variables. A variable that
    is used in any other way as well is no layer's. Operations inside other functions, loops and branches are
    not looked into: their variables are used in another way.

    The first axis of a layer's input has to be that of the samples; log πₙ must depend on the n-th alone.

    Args:
      tape: Persistent; has recorded `log_probs` while it watched the variables.
      log_probs: Symbolic, of the graph that is being traced.
      variables: Those to be found.
    """
    uses = _Uses(log_probs, variables)
    candidates = uses.layers()
    outputs = [matmul.outputs[0] for _, _, matmuls in candidates for matmul in matmuls]
    connected = tape.gradient(log_probs, [*variables, *outputs])
    unused = [variable for variable, each in zip(variables, connected, strict=False) if each is None]
    gradients = {output.name: each for output, each in zip(outputs, connected[len(variables) :], strict=True)}
    layers: list[CapturedLayer] = []
    for kernel, bias, matmuls in candidates:
        inputs: dict[int, tf.Tensor] = {}
        summed: dict[int, tf.Tensor] = {}
        for matmul in matmuls:
            gradient = gradients[matmul.outputs[0].name]
            if gradient is None:
                continue  # Evaluated, and not used.
            value = uses.values[matmul.inputs[0].name]
            inputs[value] = matmul.inputs[0]
            summed[value] = summed[value] + gradient if value in summed else gradient
        if inputs and all(_per_sample(each, log_probs) for each in inputs.values()):
            layers.append(CapturedLayer(kernel, bias, list(inputs.values()), list(summed.values())))
    taken = {
        variable.ref() for layer in layers for variable in (layer.kernel, layer.bias) if variable is not None
    }
    missing = {variable.ref() for variable in unused}
    rest = [variable for variable in variables if variable.ref() not in taken | missing]
    return Capture(layers, rest, unused)


def _per_sample(rows: tf.Tensor, log_probs: tf.Tensor) -> bool:
    """Whether as many rows belong to each sample, as far as that is known when tracing."""
    count, samples = rows.shape[0], log_probs.shape.num_elements()
    return count is None or samples is None or count % samples == 0


class _Uses:
    """How the operations that a tensor was made by use some variables."""

    def __init__(self, result: tf.Tensor, variables: Sequence[tf.Variable]) -> None:
        self._variables = variables
        # A variable's handle in this graph is a placeholder, the same one at every reading.
        self._handles = {_read(variable).inputs[0].name: variable for variable in variables}
        self._operations = _ancestors(result)
        self.values = _values(self._operations)
        self._consumers: dict[str, list[tf.Operation]] = {}
        for operation in self._operations:
            for tensor in operation.inputs:
                # A shape does not depend on what is in a tensor.
                if operation.type != "Shape":
                    self._consumers.setdefault(tensor.name, []).append(operation)

    def layers(self) -> list[tuple[tf.Variable, tf.Variable | None, list[tf.Operation]]]:
        """Kernels that are nothing else, their biases likewise, and the products that they are in."""
        products: dict[object, list[tf.Operation]] = {}
        biases: dict[str, tf.Variable] = {}
        otherwise = set()
        for operation in self._operations:
            if operation.type in ("Identity", "ReadVariableOp"):
                continue
            for position, tensor in enumerate(operation.inputs):
                variable = self._variable(tensor)
                if variable is None:
                    continue
                reference = variable.ref()
                matmul = self._biased_product(operation, position, variable)
                if _is_product(operation, position):
                    products.setdefault(reference, []).append(operation)
                elif matmul is not None and matmul.name not in biases:
                    biases[matmul.name] = variable
                else:
                    otherwise.add(reference)
        kernels = {reference for reference in products if reference not in otherwise}
        found = []
        for kernel in self._variables:
            if kernel.ref() not in kernels:
                continue
            matmuls = products[kernel.ref()]
            bias = biases.get(matmuls[0].name)
            if bias is not None:
                own = {name for name, each in biases.items() if each is bias}
                if own != {each.name for each in matmuls} or bias.ref() in otherwise | set(products):
                    bias = None
            found.append((kernel, bias, matmuls))
        return found

    def _variable(self, tensor: tf.Tensor) -> tf.Variable | None:
        """The variable whose value, or whose handle, a tensor is."""
        while tensor.op.type in ("Identity", "ReadVariableOp"):
            tensor = tensor.op.inputs[0]
        return self._handles.get(tensor.name)

    def _biased_product(self, operation, position, variable) -> tf.Operation | None:
        """The product to which alone this operation adds the variable, as a bias of its last axis."""
        if operation.type not in ("BiasAdd", "AddV2", "Add") or variable.shape.rank != 1:
            return None
        if operation.type == "BiasAdd" and operation.get_attr("data_format") != b"NHWC":
            return None
        tensor = operation.inputs[1 - position]
        if tensor.shape.rank is None or tensor.shape[-1] != variable.shape[0]:
            return None
        while len(self._consumers[tensor.name]) == 1 and tensor.op.type in ("Identity", "Reshape"):
            tensor = tensor.op.inputs[0]
        single = len(self._consumers[tensor.name]) == 1
        product = tensor.op
        layer = len(product.inputs) == 2 and _is_product(product, 1) and self._variable(product.inputs[1])
        return product if single and layer is not None and layer is not False else None


def _is_product(operation: tf.Operation, position: int) -> bool:
    return (
        operation.type == "MatMul"
        and position == 1
        and not operation.get_attr("transpose_a")
        and not operation.get_attr("transpose_b")
    )


def _read(variable: tf.Variable) -> tf.Operation:
    operation = variable.read_value().op
    while operation.type != "ReadVariableOp":
        operation = operation.inputs[0].op
    return operation


def _ancestors(tensor: tf.Tensor) -> list[tf.Operation]:
    """The operations that a tensor was made by, each after those that it uses."""
    names, pending = set(), [tensor.op]
    while pending:
        operation = pending.pop()
        if operation.name not in names:
            names.add(operation.name)
            pending += [each.op for each in operation.inputs]
    return [operation for operation in tensor.graph.get_operations() if operation.name in names]


def _values(operations: Sequence[tf.Operation]) -> dict[str, int]:
    """Numbers tensors (by name) such that two with the same number have the same value.

    They are made by the same operations of the same inputs: a layer that is called twice on one slice of a
    tensor is seen to be called on one input, although there are two slices.
    """
    numbers: dict[object, int] = {}
    values: dict[str, int] = {}
    for operation in operations:
        inputs = tuple(values[tensor.name] for tensor in operation.inputs)
        if operation.type == "Identity":
            values[operation.outputs[0].name] = inputs[0]
            continue
        key: object = operation.name
        if operation.type == "ReadVariableOp":
            key = (operation.type, inputs)
        elif (inputs or operation.type == "Const") and not operation.op_def.is_stateful:
            attributes = operation.node_def.attr
            key = (
                operation.type,
                inputs,
                tuple((name, attributes[name].SerializeToString()) for name in sorted(attributes)),
            )
        for index, tensor in enumerate(operation.outputs):
            values[tensor.name] = numbers.setdefault((key, index), len(numbers))
    return values
