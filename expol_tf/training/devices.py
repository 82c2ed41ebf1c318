"""Chooses the devices that compute, and the number of threads."""

from __future__ import annotations

import contextlib
import os
import re
from typing import Any

import gin
import tensorflow as tf
from absl import logging

from expol_tf.argument_types import shown
from expol_tf.configurable import configurable
from expol_tf.errors import ConfigurationError
from expol_tf.number_types import NumThreads

# The devices chosen in this process.
_chosen: str | None = None

# More logical devices of a CPU than this take minutes to trace, and show nothing more.
_MOST_CPUS = 8
_DEVICE = re.compile(r"auto|cpu(:[1-9]\d?)?|gpus|gpu|gpu:\d{1,4}(,gpu:\d{1,4})*", re.IGNORECASE)


class _AlreadyBegunError(ConfigurationError):
    """TensorFlow has computed something before. gin keeps an error's class, but not its cause."""


@configurable
def configure_devices(
    device: str = "auto", intra_op_threads: NumThreads = 1, inter_op_threads: NumThreads = 1
) -> str:
    """Chooses this process's devices and thread counts; returns the devices' names: "CPU:0", "GPU:0,GPU:1".

    Call it before anything is computed: TensorFlow fixes both with its first operation. A second call with
    the same choice is accepted. A GPU's memory is taken as it is needed, not all at once. Where several
    devices are chosen, `expol_tf.train` divides the learner's work over them.

    Args:
      device: "cpu", "gpu" (the first), "gpu:1", "gpu:0,gpu:2" or "gpus" (all); "auto" is the first GPU if
        there is one. "cpu:2" makes two logical devices of the CPU, to try on any machine what several devices
        do; it is slower than one.
      intra_op_threads: Threads within one operation. The library's networks are small: with two threads
        instead of one, training a flow policy took 1.6 times as long. 0 leaves it to TensorFlow.
      inter_op_threads: Operations computed at once; 0 is one a core. Off-policy experiments ask for that: a
        SAC update of two critics took 0.8 times as long on two cores. What XLA compiles gains nothing.

    Raises:
      ConfigurationError: A device is unknown or not there, or TensorFlow has already begun otherwise.
    """
    require_device_name(device)
    cpus = _num_cpus(device)
    gpus = tf.config.list_physical_devices("GPU")
    indices = gpu_indices(device, len(gpus))
    try:
        tf.config.set_visible_devices([gpus[index] for index in indices], "GPU")
        for index in indices:
            tf.config.experimental.set_memory_growth(gpus[index], True)
        if cpus > 1:
            _make_logical_cpus(cpus)
        # Setting a count again is refused even when it is the same.
        threading = tf.config.threading
        if _effective(threading.get_intra_op_parallelism_threads(), "INTRAOP") != intra_op_threads:
            threading.set_intra_op_parallelism_threads(intra_op_threads)
        if _effective(threading.get_inter_op_parallelism_threads(), "INTEROP") != inter_op_threads:
            threading.set_inter_op_parallelism_threads(inter_op_threads)
    except RuntimeError as error:
        raise _AlreadyBegunError(
            f"device={device!r}, intra_op_threads={intra_op_threads}, inter_op_threads={inter_op_threads}: "
            "TensorFlow has already begun with other settings. Call configure_devices before anything of "
            "TensorFlow or this library computes."
        ) from error
    global _chosen
    _chosen = ",".join([f"GPU:{index}" for index in indices] or [f"CPU:{index}" for index in range(cpus)])
    return _chosen


def require_device_name(device: str) -> None:
    """Raises a `ConfigurationError` for a name that `configure_devices` does not know."""
    if not _DEVICE.fullmatch(device) or _num_cpus(device) > _MOST_CPUS:
        raise ConfigurationError(
            'device must be "auto", "cpu", "gpu", "gpu:<index>", several GPUs ("gpus", "gpu:0,gpu:1") or, to '
            f'try that, up to {_MOST_CPUS} logical devices of the CPU ("cpu:2"); got {shown(device)}.'
        )


def _num_cpus(device: str) -> int:
    return int(device.partition(":")[2] or 1) if device.lower().startswith("cpu") else 1


def learner_scope() -> contextlib.AbstractContextManager[Any]:
    """Returns the scope in which networks and agent must be made, so that every chosen device has a copy.

    With several devices it is the scope of a `tf.distribute.MirroredStrategy`; one device needs none.
    """
    chosen = ensure_configured()
    if "," not in chosen:
        return contextlib.nullcontext()
    # GPUs that were not chosen are not visible, and those that were are counted from 0.
    names = [device.name for device in tf.config.list_logical_devices(chosen.partition(":")[0])]
    logging.info("The learner's work is divided over %s.", ", ".join(names))
    # The library adds up what replicas return itself (expol_tf/replicas.py): no NCCL is needed.
    return tf.distribute.MirroredStrategy(names, tf.distribute.ReductionToOneDevice()).scope()


def ensure_configured(inter_op_threads: int | None = None) -> str:
    """Returns the device that `configure_devices` chose, calling it if nobody has.

    Args:
      inter_op_threads: The number of operations computed at once, unless gin or an earlier call sets another;
        None for the default.
    """
    if _chosen is not None:
        return _chosen
    bound = gin.get_bindings("expol_tf.configure_devices", resolve_references=False)
    if inter_op_threads is None or "inter_op_threads" in bound:
        return configure_if_possible()
    return configure_if_possible(inter_op_threads=inter_op_threads)


def configure_if_possible(**options: Any) -> str:
    """Calls `configure_devices` with what gin binds and with `options`; returns the device in use.

    A process that has used TensorFlow otherwise before keeps its own settings; one warning says what that
    costs.
    """
    global _chosen
    try:
        return configure_devices(**options)
    except _AlreadyBegunError as error:
        # gin adds to the message where it was called.
        reason = str(error).partition("\n")[0]
        logging.warning("Thread counts and device stay as they are, which may be slower. %s", reason)
        _chosen = _chosen or ("GPU:0" if tf.config.get_visible_devices("GPU") else "CPU:0")
        return _chosen


def gpu_indices(device: str, count: int) -> list[int]:
    """Returns which of so many GPUs a `device` of `configure_devices` names; none if it is the CPU.

    Raises:
      ConfigurationError: One is not there, or is named twice.
    """
    device = device.lower()
    if device.startswith("cpu") or (device == "auto" and not count):
        return []
    if device == "gpus":
        indices = list(range(max(count, 1)))
    else:
        indices = [int(index) for index in re.findall(r"\d+", device)] or [0]
    if max(indices) >= count:
        raise ConfigurationError(
            f"device {shown(device)} is not there: TensorFlow sees {count} GPU(s). Give --device=cpu, or "
            "install the NVIDIA driver and the CUDA libraries that this TensorFlow needs."
        )
    if len(set(indices)) < len(indices):
        raise ConfigurationError(f"device must name each GPU once; got {device!r}.")
    return indices


def _make_logical_cpus(count: int) -> None:
    cpu = tf.config.list_physical_devices("CPU")[0]
    made = tf.config.get_logical_device_configuration(cpu)
    # Setting it again is refused even when it is the same.
    if len(made or [None]) != count:
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * count)


def _effective(threads: int, kind: str) -> int:
    """Returns the count that TensorFlow uses where `threads` was set: 0 leaves it to a variable."""
    return threads or int(os.environ.get(f"TF_NUM_{kind}_THREADS") or 0)
