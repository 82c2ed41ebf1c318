"""Every bijector keeps the contract, in both precisions."""

from __future__ import annotations

import pytest

from expol_tf.testing import check_bijector
from tests.contracts.registry import BIJECTORS


@pytest.mark.parametrize("name", BIJECTORS)
def test_bijector(name):
    make, event_size, batch_shape = BIJECTORS[name]
    check_bijector(make(event_size, "float64"), event_size, batch_shape=batch_shape, dtype="float64")


@pytest.mark.parametrize(
    ("name", "perturbation", "tolerance"), [("flow_of_seventeen", 0.3, 1e-3), ("flow_of_six", 0.0, 1e-5)]
)
def test_bijector_in_single_precision(name, perturbation, tolerance):
    make, event_size, batch_shape = BIJECTORS[name]
    check_bijector(
        make(event_size, "float32"),
        event_size,
        batch_shape=batch_shape,
        perturbation=perturbation,
        tolerance=tolerance,
    )
