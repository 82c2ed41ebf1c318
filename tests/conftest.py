"""What every test process needs before TensorFlow is imported."""

from __future__ import annotations

import os

# One thread for each test process: small networks run faster with one than with two, and tests run side
# by side. The same on every machine, so that the order of summation, and with it results, are the same too.
for variable in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS"):
    os.environ.setdefault(variable, "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import sys  # noqa: E402

import pytest  # noqa: E402

import expol_tf  # noqa: E402, F401  (It chooses Keras 2, which has to come before TF-Agents is imported.)


@pytest.fixture(autouse=True)
def _same_initial_weights():
    """Every test begins with the same global seeds, whichever ran before it and in whichever process."""
    if "tensorflow" in sys.modules:
        from expol_tf.keras_api import keras

        keras.utils.set_random_seed(0)
