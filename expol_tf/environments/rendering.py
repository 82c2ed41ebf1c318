"""Makes a picture of a sub-environment."""

from __future__ import annotations

import gymnasium
import numpy as np

from expol_tf.errors import ConfigurationError


def rendered(env: gymnasium.Env, task: str) -> np.ndarray:
    """Returns an RGB picture `[height, width, 3]` uint8 of `env`.

    Args:
      env: The environment.
      task: The task's name, for the message.

    Raises:
      ConfigurationError: If the environment was not made with `render_mode="rgb_array"`.
    """
    if env.render_mode != "rgb_array":
        raise ConfigurationError(
            f"{task} was made with render_mode={env.render_mode!r} and gives no pictures. "
            'Load it with make_kwargs={"render_mode": "rgb_array"}.'
        )
    return np.asarray(env.render())
