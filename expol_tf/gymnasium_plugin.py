"""The library's tasks, by their Gymnasium ids.

Gymnasium before 1.0 calls `register_tasks` by itself, as the package declares it as a plugin; later ones read
no plugins, and importing `expol_tf.environments` registers the tasks. Nothing heavy is imported here.
"""

from __future__ import annotations

import gymnasium

NAMESPACE = "expol"
_TASKS = {
    "GaussianBandit-v0": "expol_tf.environments.tasks:GaussianBandit",
    "BimodalBandit-v0": "expol_tf.environments.tasks:BimodalBandit",
}


def register_tasks() -> None:
    """Registers the `expol/…` tasks that are not registered yet; calling it again does nothing."""
    for name, entry_point in _TASKS.items():
        task = f"{NAMESPACE}/{name}"
        if task not in gymnasium.registry:
            gymnasium.register(task, entry_point=entry_point)
