"""Assertions that the contract checks share."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from expol_tf.optimizers import project


def ensure(condition: Any, message: str) -> None:
    """Raises `AssertionError(message)` unless the condition holds, even under `python -O`."""
    if not condition:
        raise AssertionError(message)


def ensure_finite(value: Any, what: str) -> None:
    """Raises unless every element of `value` is finite."""
    array = np.asarray(value)
    ensure(
        np.all(np.isfinite(array)), f"{what} must be finite; {np.sum(~np.isfinite(array))} elements are not."
    )


def ensure_close(actual: Any, expected: Any, tolerance: float, message: str) -> None:
    """Raises unless |actual − expected| ≤ tolerance·(1 + |expected|) everywhere. NaN is close to nothing."""
    actual, expected = np.asarray(actual), np.asarray(expected)
    ensure(actual.shape == expected.shape, f"{message} Shapes differ: {actual.shape} and {expected.shape}.")
    error = np.abs(actual - expected) / (1 + np.abs(expected))
    if np.all(error <= tolerance):
        return
    # NaN counts as the largest error, so that the message shows it.
    worst = np.unravel_index(np.argmax(np.where(np.isnan(error), np.inf, error)), error.shape)
    index = f" at {tuple(int(i) for i in worst)}" if worst else ""
    raise AssertionError(
        f"{message} Got {actual[worst]!r} instead of {expected[worst]!r}{index}, "
        f"a relative error of {error[worst]:.3g} > {tolerance:.3g}."
    )


@contextlib.contextmanager
def explained(requirement: str) -> Iterator[None]:
    """Turns any other exception into an `AssertionError` that begins with `requirement`."""
    try:
        yield
    except AssertionError:
        raise
    except Exception as error:
        raise AssertionError(f"{requirement}; it raised {error!r}.") from error


@contextlib.contextmanager
def restored(variables: Sequence[tf.Variable]) -> Iterator[None]:
    """Puts the variables' values back at the end."""
    before = [variable.numpy() for variable in variables]
    try:
        yield
    finally:
        for variable, value in zip(variables, before, strict=True):
            variable.assign(value)


@contextlib.contextmanager
def perturbed(variables: Sequence[tf.Variable], scale: float, seed: int) -> Iterator[None]:
    """Adds N(0, scale²) to every variable, and puts the values back at the end.

    Initial values hide many defects: last layers are almost 0, and log-determinants and gradients with them.
    """
    generator = np.random.default_rng(seed)
    with restored(variables):
        for variable in variables:
            value = variable.numpy()
            variable.assign(value + (scale * generator.standard_normal(value.shape)).astype(value.dtype))
        # Masks and the like: no optimizer would lead to other values.
        project(variables)
        yield
