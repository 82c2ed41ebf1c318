"""Measures sb3-contrib's TRPO: env steps/s of its whole training, after the second iteration, as JSON.

Runs in an environment of its own, see make_env.sh; imports nothing of expol_tf:

    benchmarks/peers/.venv/bin/python benchmarks/peers/trpo_sb3.py --task=HalfCheetah-v5
"""

from __future__ import annotations

from peer import Peer, main
from sb3_contrib import TRPO

PEER = Peer(
    "sb3-contrib TRPO",
    TRPO,
    settings=("batch_size", "n_critic_updates", "cg_max_steps", "sub_sampling_factor", "gamma", "gae_lambda"),
    packages=("sb3-contrib",),
)

if __name__ == "__main__":
    main(PEER, __doc__)
