"""Too little memory is one error, whoever notices it."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from expol_tf.errors import OutOfMemoryError, TaskError
from expol_tf.memory import is_shortage_of_memory, memory_errors

SHORTAGES = {
    "Python": lambda: [0] * 2**60,
    "NumPy": lambda: np.zeros(2**50),
    "TensorFlow": lambda: tf.zeros(2**50),
}
SIZES = {"no address": lambda: np.zeros(2**62), "no dimension": lambda: np.zeros(2**70)}


@pytest.mark.parametrize("allocate", [*SHORTAGES.values(), *SIZES.values()], ids=[*SHORTAGES, *SIZES])
def test_fault_16_more_memory_than_there_is(allocate) -> None:
    with (
        pytest.raises(
            OutOfMemoryError, match=r"too little memory for it \(.+\)\. Lower .*NUM_ENVS"
        ) as caught,
        memory_errors(sizes=True),
    ):
        allocate()
    # Users who look for Python's own error find it; a second block leaves the message as it is.
    assert isinstance(caught.value, MemoryError) and is_shortage_of_memory(caught.value)
    with pytest.raises(OutOfMemoryError) as again, memory_errors(sizes=True):
        raise caught.value
    assert again.value is caught.value


@pytest.mark.parametrize("allocate", SHORTAGES.values(), ids=SHORTAGES)
def test_fault_16_a_shortage_is_one_where_sizes_are_no_settings_too(allocate) -> None:
    with pytest.raises(OutOfMemoryError), memory_errors():
        allocate()


@pytest.mark.parametrize("allocate", SIZES.values(), ids=SIZES)
def test_a_size_of_no_memory_may_be_a_defect_where_sizes_are_no_settings(allocate) -> None:
    with pytest.raises(ValueError) as caught, memory_errors():
        allocate()
    assert not isinstance(caught.value, OutOfMemoryError)


def test_what_is_no_matter_of_memory_stays_what_it_is() -> None:
    with pytest.raises(ValueError, match="another"), memory_errors(sizes=True):
        raise ValueError("another")
    assert not is_shortage_of_memory(ValueError("another"))


def test_an_environment_may_notice_it() -> None:
    assert is_shortage_of_memory(TaskError("step() raised MemoryError.", raised=MemoryError()))
    assert not is_shortage_of_memory(TaskError("step() raised ValueError.", raised=ValueError()))
    assert not is_shortage_of_memory(TaskError("step() must return five values."))


def test_fault_15_a_number_too_large_for_a_type_is_no_matter_of_memory() -> None:
    with pytest.raises(OverflowError), memory_errors(sizes=True):
        np.array([0], np.int64)[0] = 10**30
