"""Measures SBX's PPO (JAX): env steps/s of its whole training, after the second iteration, as JSON.

It compiles once more after that, a network for single observations, when the first episode is cut; the clock
leaves out all that JAX says it spent compiling. Runs in an environment of its own, see make_env.sh; imports
nothing of expol_tf:

    benchmarks/peers/.venv/bin/python benchmarks/peers/ppo_sbx.py --task=HalfCheetah-v5

Its threads are JAX's own choice; with the environment variable
XLA_FLAGS="--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1" there is one.
"""

from __future__ import annotations

import os

os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax  # noqa: E402
from peer import Peer, main  # noqa: E402
from sbx import PPO  # noqa: E402

_COMPILING = "/jax/core/compile/"
_compile_seconds = [0.0]


def _count(event: str, seconds: float, **_: object) -> None:
    """Adds tracing, lowering and compiling; what is traced within another counts twice, for the peer."""
    if event.startswith(_COMPILING):
        _compile_seconds[0] += seconds


PEER = Peer(
    "SBX PPO",
    PPO,
    settings=("batch_size", "n_epochs", "learning_rate", "gamma", "gae_lambda", "target_kl"),
    policy_settings=("net_arch_pi", "net_arch_vf"),
    packages=("sbx-rl", "jax", "jaxlib", "flax", "optax", "tfp-nightly"),
    compile_seconds=lambda: _compile_seconds[0],
    more_settings={
        "jax_device": str(jax.devices()[0]),
        "xla_flags": os.environ.get("XLA_FLAGS") or "none",
    },
)

if __name__ == "__main__":
    jax.monitoring.register_event_duration_secs_listener(_count)
    main(PEER, __doc__)
