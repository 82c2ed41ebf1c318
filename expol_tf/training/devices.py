"""Which device computes, and with how many threads."""

from __future__ import annotations

import os
import re

import gin
import tensorflow as tf
from absl import logging

from expol_tf.errors import ConfigurationError

# What was chosen in this process.
_chosen: str | None = None

_DEVICE = re.compile(r"^(auto|cpu|gpu(?::(\d+))?)$", re.IGNORECASE)


@gin.configurable(module="expol_tf")
def configure_devices(device: str = "auto", intra_op_threads: int = 1, inter_op_threads: int = 1) -> str:
    """Chooses this process's device and thread counts; returns the device's name, "CPU:0" or "GPU:i".

    To be called before anything is computed: TensorFlow fixes both with its first operation. Called again, it
    accepts what it chose before. A GPU's memory is taken as it is needed, not all at once.

    Args:
      device: "cpu", "gpu", "gpu:1", …; "auto" is the first GPU if there is one.
      intra_op_threads: Threads within one operation. The library's networks are small: with two threads
        instead of one, training a flow policy took 1.6 times as long. 0 leaves it to TensorFlow.
      inter_op_threads: Operations computed at once; 0 leaves it to TensorFlow.

    Raises:
      ConfigurationError: The device is unknown or not there, or TensorFlow has already begun otherwise.
    """
    match = _DEVICE.match(device)
    if match is None:
        raise ConfigurationError(f'device must be "auto", "cpu", "gpu" or "gpu:<index>"; got {device!r}.')
    for name, threads in (("intra_op_threads", intra_op_threads), ("inter_op_threads", inter_op_threads)):
        if threads < 0:
            raise ConfigurationError(f"{name} must be 0 or more; got {threads}.")
    gpus = tf.config.list_physical_devices("GPU")
    chosen: list[tf.config.PhysicalDevice] = []
    if match.group(1).lower() != "cpu" and (gpus or match.group(1).lower() != "auto"):
        index = int(match.group(2) or 0)
        if index >= len(gpus):
            raise ConfigurationError(
                f"device {device!r} is not there: TensorFlow sees {len(gpus)} GPU(s). Give --device=cpu, or "
                "install the NVIDIA driver and the CUDA libraries that this TensorFlow needs."
            )
        chosen = [gpus[index]]
    try:
        tf.config.set_visible_devices(chosen, "GPU")
        for gpu in chosen:
            tf.config.experimental.set_memory_growth(gpu, True)
        # Setting a count again is refused even when it is the same.
        threading = tf.config.threading
        if _effective(threading.get_intra_op_parallelism_threads(), "INTRAOP") != intra_op_threads:
            threading.set_intra_op_parallelism_threads(intra_op_threads)
        if _effective(threading.get_inter_op_parallelism_threads(), "INTEROP") != inter_op_threads:
            threading.set_inter_op_parallelism_threads(inter_op_threads)
    except RuntimeError as error:
        raise ConfigurationError(
            f"device={device!r}, intra_op_threads={intra_op_threads}, inter_op_threads={inter_op_threads}: "
            "TensorFlow has already begun with other settings. Call configure_devices before anything of "
            "TensorFlow or this library computes."
        ) from error
    global _chosen
    _chosen = f"GPU:{index}" if chosen else "CPU:0"
    return _chosen


def ensure_configured() -> str:
    """Returns the device that `configure_devices` chose, calling it if nobody has.

    A program that has used TensorFlow before keeps its own settings; a log line says what that costs.
    """
    if _chosen is not None:
        return _chosen
    try:
        return configure_devices()
    except ConfigurationError as error:
        if not isinstance(error.__cause__, RuntimeError):
            raise
        logging.info("Thread counts and device stay as TensorFlow has them, which may be slower: %s", error)
        return "GPU:0" if tf.config.get_visible_devices("GPU") else "CPU:0"


def _effective(threads: int, kind: str) -> int:
    """Returns the count that TensorFlow uses where `threads` was set: 0 leaves it to a variable."""
    return threads or int(os.environ.get(f"TF_NUM_{kind}_THREADS") or 0)
