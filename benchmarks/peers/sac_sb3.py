"""Measures Stable-Baselines3's SAC: env steps/s of its whole training, after learning has started, as JSON.

Runs in an environment of its own, see make_env.sh; imports nothing of expol_tf:

    benchmarks/peers/.venv/bin/python benchmarks/peers/sac_sb3.py --task=HalfCheetah-v5

A single environment and one update a step, as are its defaults; `--num_envs=8` makes eight updates after a
step of all of them.
"""

from __future__ import annotations

from peer import Peer, main
from stable_baselines3 import SAC

PEER = Peer(
    "SB3 SAC",
    SAC,
    settings=(
        *("train_freq", "batch_size", "buffer_size", "learning_rate", "tau", "gamma"),
        *("ent_coef", "target_entropy", "target_update_interval"),
    ),
    policy_settings=("net_arch",),
    torch_threads=2,
)

if __name__ == "__main__":
    main(PEER, __doc__)
