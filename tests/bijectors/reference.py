"""Slow NumPy references of couplings, one vector at a time."""

from __future__ import annotations

import math

import numpy as np


def _weights(layer, kind):
    return [variable.numpy().astype(np.float64) for variable in layer.weights if kind in variable.name]


def relu(x):
    return max(x, 0.0)


def conditioner(layer, x, context=(), activation=relu, layer_norm=True, log_scale_bound=None):
    """(s, t) of an `AffineConditioner` at one vector, unit by unit."""
    kernels, biases = _weights(layer, "kernel"), _weights(layer, "bias")
    gains, offsets = _weights(layer, "gain"), _weights(layer, "offset")
    outputs = []
    for which in range(2):
        values = [*x, *context]
        for depth, (kernel, bias) in enumerate(zip(kernels, biases, strict=True)):
            sums = [
                bias[which][j] + sum(value * kernel[which][i][j] for i, value in enumerate(values))
                for j in range(kernel.shape[-1])
            ]
            if depth == len(kernels) - 1:
                values = sums
                continue
            if layer_norm:
                mean = sum(sums) / len(sums)
                variance = sum((each - mean) ** 2 for each in sums) / len(sums)
                sums = [
                    gains[depth][which][j][0] * (each - mean) / math.sqrt(variance + 1e-3)
                    + offsets[depth][which][j][0]
                    for j, each in enumerate(sums)
                ]
            values = [activation(each) for each in sums]
        outputs.append(np.array(values))
    log_scale, shift = outputs
    if log_scale_bound is not None:
        log_scale = log_scale_bound * np.tanh(log_scale / log_scale_bound)
    return log_scale, shift


def coupling(layer, x, transformed, **options):
    """(y, log|det ∂y/∂x|) of one vector."""
    half = math.ceil(len(x) / 2)
    first, last = x[:half], x[half:]
    if transformed == "last":
        log_scale, shift = conditioner(layer, first, **options)
        return np.concatenate([first, last * np.exp(log_scale) + shift]), sum(log_scale)
    log_scale, shift = conditioner(layer, last, **options)
    first, last = x[: len(log_scale)], x[len(log_scale) :]
    return np.concatenate([first * np.exp(log_scale) + shift, last]), sum(log_scale)
