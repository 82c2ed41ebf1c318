"""Measures Stable-Baselines3's PPO: env steps/s of its whole training, after the second iteration, as JSON.

Runs in an environment of its own, see make_env.sh; imports nothing of expol_tf:

    benchmarks/peers/.venv/bin/python benchmarks/peers/ppo_sb3.py --task=HalfCheetah-v5
"""

from __future__ import annotations

from peer import Peer, main
from stable_baselines3 import PPO

PEER = Peer(
    "SB3 PPO",
    PPO,
    settings=("batch_size", "n_epochs", "learning_rate", "gamma", "gae_lambda", "target_kl"),
)

if __name__ == "__main__":
    main(PEER, __doc__)
