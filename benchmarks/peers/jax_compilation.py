"""What peers on JAX have in common: the CPU as device, and that compiling does not count for their speed."""

from __future__ import annotations

import os

os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax  # noqa: E402

# Distributions whose versions such a peer records.
PACKAGES = ("sbx-rl", "jax", "jaxlib", "flax", "optax", "tfp-nightly")
_COMPILING = "/jax/core/compile/"
_seconds = [0.0]


def _count(event: str, seconds: float, **_: object) -> None:
    """Adds tracing, lowering and compiling; what is traced within another counts twice, for the peer."""
    if event.startswith(_COMPILING):
        _seconds[0] += seconds


def compile_seconds() -> float:
    """Returns the seconds that JAX has spent compiling since this module was imported."""
    return _seconds[0]


def settings() -> dict[str, str]:
    """Returns the device and the flags that JAX was started with."""
    return {"jax_device": str(jax.devices()[0]), "xla_flags": os.environ.get("XLA_FLAGS") or "none"}


jax.monitoring.register_event_duration_secs_listener(_count)
