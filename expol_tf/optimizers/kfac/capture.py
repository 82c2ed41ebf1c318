"""The dense layers of a function, found in its graph, with their inputs and pre-activation gradients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import tensorflow as tf

from expol_tf.errors import ConfigurationError


class Evaluation(NamedTuple):
    """A layer's product x·W, `outputs` `[R, out]` of `inputs` `[R, in]`; equal inputs have equal `value`."""

    inputs: tf.Tensor
    value: int
    outputs: tf.Tensor


class DenseLayer(NamedTuple):
    """A layer S = x·W + b as log π uses it; `bias` is None where it has none that belongs to it alone."""

    kernel: tf.Variable
    bias: tf.Variable | None
    evaluations: list[Evaluation]


def dense_layers(log_probs: tf.Tensor, variables: Sequence[tf.Variable]) -> list[DenseLayer]:
    """Finds the dense layers among the operations that made log π `[N]`, ordered as their kernels are.

    A layer is a `MatMul` whose second operand was read from a matrix, a variable. A vector that is added to
    its result alone, by `BiasAdd` or `+`, is its bias. That is what `keras.layers.Dense` makes of inputs of
    any rank, in a model of any kind, and what `x @ w + b` makes of plain variables.

    A variable that is used in any other way as well belongs to no layer. Operations inside other functions,
    loops and branches are not looked into: their variables count as used in another way. So do those of a
    layer whose samples have different numbers of rows, if that is known when tracing.

    Args:
      log_probs: log π `[N]`, a tensor of the graph that is being traced.
      variables: The variables to look for.
    """
    uses = _Uses(log_probs, variables)
    samples = log_probs.shape.num_elements()
    if samples == 0:
        raise ConfigurationError(
            "log_prob must be of one sample or more; got none. Give a batch with samples."
        )
    layers = []
    for kernel, bias, products in uses.layers():
        rows = [product.inputs[0].shape[0] for product in products]
        if samples is None or all(count is None or count % samples == 0 for count in rows):
            evaluations = [
                Evaluation(product.inputs[0], uses.values[product.inputs[0].name], product.outputs[0])
                for product in products
            ]
            layers.append(DenseLayer(kernel, bias, evaluations))
    return layers


def inputs_and_gradients(
    layers: Sequence[DenseLayer], tape: tf.GradientTape, log_probs: tf.Tensor
) -> list[tuple[list[tf.Tensor], list[tf.Tensor]]]:
    """For each layer the inputs ā `[R_u, in (+ 1)]` and g = ∂ Σₙ log πₙ / ∂S `[R_u, out]`, at U inputs.

    ā has a homogeneous 1 where there is a bias. Where a layer is evaluated more than once at the same input,
    the g are added up; an evaluation that log π does not depend on is left out.

    Args:
      layers: What `dense_layers` returned.
      tape: Persistent; it recorded `log_probs` while it watched the layers' variables.
      log_probs: log π `[N]`.
    """
    # Σₙ log πₙ, not the mean: then g is that of one sample, as Ĝ = Σₙ wₙ ggᵀ needs it.
    outputs = [evaluation.outputs for layer in layers for evaluation in layer.evaluations]
    gradients = iter(tape.gradient(log_probs, outputs))
    results = []
    for layer in layers:
        inputs: dict[int, tf.Tensor] = {}
        summed: dict[int, tf.Tensor] = {}
        for evaluation in layer.evaluations:
            gradient = next(gradients)
            if gradient is not None:
                # The gradient by [W; b] is ā·Σᵤ gᵤᵀ there: one outer product, of the summed g.
                value = evaluation.value
                summed[value] = summed[value] + gradient if value in summed else gradient
                inputs[value] = evaluation.inputs
        if layer.bias is not None:
            inputs = {value: _homogeneous(tensor) for value, tensor in inputs.items()}
        results.append((list(inputs.values()), list(summed.values())))
    return results


def _homogeneous(inputs: tf.Tensor) -> tf.Tensor:
    """Appends a column of 1 to inputs `[R, in]`, whose weight is the bias."""
    return tf.concat([inputs, tf.ones([tf.shape(inputs)[0], 1], inputs.dtype)], axis=1)


class _Uses:
    """How the operations that a tensor was made by use some variables."""

    def __init__(self, result: tf.Tensor, variables: Sequence[tf.Variable]) -> None:
        self._variables = variables
        # Variables are known by their handles, as names may repeat. A variable's handle in this graph is a
        # placeholder, the same one at every reading.
        self._handles = {_read(variable).inputs[0].name: variable for variable in variables}
        self._operations = _ancestors(result)
        self.values = _values(self._operations)
        self._consumers: dict[str, list[tf.Operation]] = {}
        for operation in self._operations:
            for tensor in operation.inputs:
                # A shape does not depend on what is in a tensor, so that reading it is no use of the tensor.
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
                # It is a layer's bias only if it is added wherever the kernel multiplies, and nowhere else.
                own = {name for name, other in biases.items() if other is bias}
                if own != {matmul.name for matmul in matmuls} or bias.ref() in otherwise | set(products):
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
        # In any other order of axes the bias is not added along the last one.
        if operation.type == "BiasAdd" and operation.get_attr("data_format") != b"NHWC":
            return None
        tensor = operation.inputs[1 - position]
        if tensor.shape.rank is None or tensor.shape[-1] != variable.shape[0]:
            return None
        # Keras reshapes inputs of a higher rank to rows and back, between the product and the bias.
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
            pending += [tensor.op for tensor in operation.inputs]
    # A graph lists its operations in the order of their creation, inputs before those that use them.
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
            # An Identity passes its input on: the same value under another name.
            values[operation.outputs[0].name] = inputs[0]
            continue
        key: object = operation.name
        if operation.type == "ReadVariableOp":
            key = (operation.type, inputs)
        # Stateful operations (random ones, say) give another value each time they run, and so have a number
        # each; reading a variable does not, as no variable moves while log π is made.
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
