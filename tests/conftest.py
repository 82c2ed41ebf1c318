"""What every test process needs before TensorFlow is imported."""

from __future__ import annotations

import os

# One thread for each test process: small networks run faster with one than with two, and tests run side
# by side. The same on every machine, so that the order of summation, and with it results, are the same too.
for variable in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS"):
    os.environ.setdefault(variable, "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
