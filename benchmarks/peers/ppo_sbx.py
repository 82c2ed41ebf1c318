"""Measures SBX's PPO (JAX): env steps/s of its whole training, after the second iteration, as JSON.

It compiles once more after that, a network for single observations, when the first episode is cut; the clock
leaves out all that JAX says it spent compiling. Runs in an environment of its own, see make_env.sh; imports
nothing of expol_tf:

    benchmarks/peers/.venv/bin/python benchmarks/peers/ppo_sbx.py --task=HalfCheetah-v5

Its threads are JAX's own choice; with the environment variable
XLA_FLAGS="--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1" there is one.
"""

from __future__ import annotations

import jax_compilation
from peer import Peer, main
from sbx import PPO

PEER = Peer(
    "SBX PPO",
    PPO,
    settings=("batch_size", "n_epochs", "learning_rate", "gamma", "gae_lambda", "target_kl"),
    policy_settings=("net_arch_pi", "net_arch_vf"),
    packages=jax_compilation.PACKAGES,
    compile_seconds=jax_compilation.compile_seconds,
    more_settings=jax_compilation.settings(),
)

if __name__ == "__main__":
    main(PEER, __doc__)
