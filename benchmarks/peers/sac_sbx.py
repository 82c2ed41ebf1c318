"""Measures SBX's SAC (JAX): env steps/s of its whole training, after learning has started, as JSON.

The clock leaves out all that JAX says it spent compiling. Runs in an environment of its own, see make_env.sh;
imports nothing of expol_tf:

    benchmarks/peers/.venv/bin/python benchmarks/peers/sac_sbx.py --task=HalfCheetah-v5

A single environment and one update a step, as are its defaults; `--num_envs=8` makes eight updates in one
compiled call after a step of all of them. Its threads are JAX's own choice; with the environment variable
XLA_FLAGS="--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1" there is one.
"""

from __future__ import annotations

import jax_compilation
from peer import Peer, main
from sbx import SAC

PEER = Peer(
    "SBX SAC",
    SAC,
    settings=(
        *("train_freq", "batch_size", "buffer_size", "learning_rate", "qf_learning_rate", "tau", "gamma"),
        *("ent_coef_init", "target_entropy", "policy_delay"),
    ),
    policy_settings=("net_arch_pi", "net_arch_qf", "n_critics", "layer_norm"),
    packages=jax_compilation.PACKAGES,
    compile_seconds=jax_compilation.compile_seconds,
    more_settings=jax_compilation.settings(),
)

if __name__ == "__main__":
    main(PEER, __doc__)
