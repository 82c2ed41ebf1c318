"""The arithmetic limit of updates: their floating-point operations over the rate of matrix products.

As a program it prints the rates of matrix products, so many at once, as JSON:

    python benchmarks/arithmetic.py --chains=2
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Sequence
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

# Products in one call, so that calling does not count; each takes the last one's result.
_CHAIN = 32
# float32 on a CPU: large enough for the highest rate, and small enough to be quick.
LARGEST = (2048, 2048, 2048)

Shape = tuple[int, int, int]


def product_rate(shape: Shape, chains: int = 1, repeats: int = 20) -> float:
    """Returns the best FLOP/s of float32 products `[m, k] × [k, k]`, as TensorFlow multiplies.

    Args:
      shape: m, k, n with k = n.
      chains: Independent sequences of products, which are computed at once where threads allow.
      repeats: Measurements.
    """
    rows, size, columns = shape
    if size != columns:
        raise ValueError(f"shape must end with two equal sizes; got {shape}.")
    random = np.random.default_rng(0)
    # Rotations, as numbers that grow or fade away would be multiplied at another speed.
    rotation = np.linalg.qr(random.standard_normal([size, size]))[0].astype(np.float32)
    length = max(1, int(_CHAIN * 256**3 / (rows * size * columns)))
    matrices = [tf.Variable(rotation) for _ in range(chains)]
    starts = [tf.Variable(random.standard_normal([rows, size]).astype(np.float32)) for _ in range(chains)]

    def multiply() -> tf.Tensor:
        ends = []
        for start, matrix in zip(starts, matrices, strict=True):
            value, factor = start.read_value(), matrix.read_value()
            for _ in range(length):
                value = tf.matmul(value, factor)
            ends.append(value[0, 0])
        return tf.add_n(ends)

    function = tf.function(multiply, autograph=False).get_concrete_function()
    function()
    best = 0.0
    for _ in range(repeats):
        started = time.perf_counter()
        function().numpy()
        best = max(best, chains * length * 2 * rows * size * columns / (time.perf_counter() - started))
    return best


def graph_flops(function: Any) -> int:
    """Returns the FLOPs of the matrix products in a concrete function's graph; others are not counted.

    Raises:
      ValueError: There is a product of unknown shape, or a loop or call, whose inside cannot be seen.
    """
    flops = 0
    for operation in function.graph.get_operations():
        if operation.type == "MatMul":
            first, second = (tensor.shape for tensor in operation.inputs)
            inner, rows = (0, 1) if operation.get_attr("transpose_a") else (1, 0)
            columns = 0 if operation.get_attr("transpose_b") else 1
            flops += _product(first[rows], first[inner], second[columns])
        elif operation.type.startswith("BatchMatMul"):
            first, second = (tensor.shape for tensor in operation.inputs)
            columns = -2 if operation.get_attr("adj_y") else -1
            flops += _product(*first, second[columns])
        elif operation.type in ("While", "StatelessWhile", "PartitionedCall", "StatefulPartitionedCall"):
            raise ValueError(f"FLOPs cannot be counted through {operation.type} {operation.name}.")
    return flops


def _product(*sizes: int | None) -> int:
    flops = 2
    for size in sizes:
        if size is None:
            raise ValueError(f"FLOPs of a matrix product need its shape; got {sizes}.")
        flops *= size
    return flops


def kernels(network: Any) -> list[tuple[int, int]]:
    """Returns the shapes of a network's matrices, layer by layer: inputs, outputs."""
    shapes = [variable.shape for variable in network.trainable_variables]
    return [tuple(shape.as_list()) for shape in shapes if shape.rank == 2]


def sac_flops(batch_size: int, policy: Sequence[tuple[int, int]], critics: Sequence[tuple[int, int]]) -> int:
    """Returns the fewest FLOPs of matrix products in an update of SAC with a Gaussian policy.

    With W weights in a network, W₁ of them in its first layer, and a batch of B, one pass through it takes
    2·B·W FLOPs, its weights' gradient 2·B·W, and those of its layers that this needs 2·B·(W − W₁). With π
    the policy, Q one of C critics, A actions and H units in a critic's first layer there are

        target:    2B·[W_π + C·W_Q]
        critics:   2B·C·[W_Q + W_Q + (W_Q − W_Q1)]
        policy:    2B·[W_π + W_π + (W_π − W_π1)] + 2B·C·[W_Q + (W_Q − W_Q1) + A·H]

    where A·H leads from a critic's first layer to the action. Activations, log-densities, optimizers and
    targets take a few FLOPs a weight or unit, less than a hundredth of these.

    Args:
      batch_size: B.
      policy: The `kernels` of the policy, whose first layer sees the observation alone.
      critics: The `kernels` of all critics, one critic after the other; each ends with one output.
    """
    previous = [(0, 1), *critics[:-1]]
    firsts = [kernel for before, kernel in zip(previous, critics, strict=True) if before[1] == 1]
    observation_size = policy[0][0]
    policy_size, policy_first = _weights(policy), _weights(policy[:1])
    critics_size, critics_first = _weights(critics), _weights(firsts)
    to_action = sum((inputs - observation_size) * units for inputs, units in firsts)
    target = policy_size + critics_size
    regression = 3 * critics_size - critics_first
    improvement = 3 * policy_size - policy_first + 2 * critics_size - critics_first + to_action
    return 2 * batch_size * (target + regression + improvement)


def _weights(shapes: Sequence[tuple[int, int]]) -> int:
    return sum(inputs * outputs for inputs, outputs in shapes)


def main() -> None:
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=formatter)
    parser.add_argument("--chains", type=int, default=1, help="products at once, each on a thread of its own")
    parser.add_argument("--rows", type=int, default=256, help="of the products of an update")
    parser.add_argument("--units", type=int, default=256, help="hidden units of its networks")
    values = parser.parse_args()
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(values.chains)
    shapes = [LARGEST, (values.rows, values.units, values.units)]
    rates = {"×".join(map(str, shape)): product_rate(shape, values.chains) for shape in shapes}
    print(json.dumps(rates, ensure_ascii=False))


if __name__ == "__main__":
    main()
