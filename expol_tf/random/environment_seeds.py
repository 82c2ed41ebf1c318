"""Seeds of the sub-environments."""

from __future__ import annotations

import numpy as np

from expol_tf.errors import ConfigurationError


def sub_environment_seeds(seed: int | None, num_envs: int) -> list[int]:
    """Returns the first word of each `np.random.SeedSequence(seed).spawn(num_envs)[i]`.

    So a sub-environment's episodes do not depend on how many others there are, and two experiments with
    neighbouring seeds share none.

    Args:
      seed: A non-negative integer; None draws one from the operating system.
      num_envs: Number of sub-environments.

    Raises:
      ConfigurationError: If the seed is not a non-negative integer.
    """
    if seed is not None and (isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0):
        raise ConfigurationError(f"seed must be a non-negative integer or None; got {seed!r}.")
    return [int(child.generate_state(1)[0]) for child in np.random.SeedSequence(seed).spawn(num_envs)]
