"""Experiments that need more memory than there is."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from expol_tf.errors import ConfigurationError
from expol_tf.training.memory import memory_errors

SIZES = {
    "NumPy": lambda: np.zeros(2**50),
    "no address": lambda: np.zeros(2**62),
    "no dimension": lambda: np.zeros(2**70),
    "TensorFlow": lambda: tf.zeros(2**50),
}


@pytest.mark.parametrize("allocate", SIZES.values(), ids=SIZES)
def test_fault_16_more_memory_than_there_is(allocate) -> None:
    with pytest.raises(ConfigurationError, match="more memory than there is .*NUM_ENVS"), memory_errors():
        allocate()


def test_what_is_no_matter_of_memory_stays_what_it_is() -> None:
    with pytest.raises(ValueError, match="another"), memory_errors():
        raise ValueError("another")
