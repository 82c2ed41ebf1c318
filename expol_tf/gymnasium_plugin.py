"""The library's tasks, by their Gymnasium ids.

Gymnasium before 1.0 calls `register_tasks` by itself, as the package declares it as a plugin; later ones read
no plugins, and importing `expol_tf.environments` registers the tasks. Nothing heavy is imported here.
"""

from __future__ import annotations

import gymnasium

NAMESPACE = "expol"
# Name: (class, time limit in steps or None).
_TASKS: dict[str, tuple[str, int | None]] = {
    "GaussianBandit-v0": ("GaussianBandit", None),
    "BimodalBandit-v0": ("BimodalBandit", None),
    "MultiGoal-v0": ("MultiGoal", 30),
    "AsymmetricMultiGoal-v0": ("AsymmetricMultiGoal", 30),
}


def register_tasks() -> None:
    """Registers the `expol/…` tasks that are not registered yet; calling it again does nothing."""
    for name, (task_class, limit) in _TASKS.items():
        task = f"{NAMESPACE}/{name}"
        if task not in gymnasium.registry:
            entry_point = f"expol_tf.environments.tasks:{task_class}"
            gymnasium.register(task, entry_point=entry_point, max_episode_steps=limit)
