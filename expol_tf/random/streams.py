"""Seeds derived from one experiment seed: named random streams, and those of the sub-environments."""

from __future__ import annotations

import zlib

import numpy as np

from expol_tf.errors import ConfigurationError


def stream(seed: int, name: str, *indices: int) -> int:
    """Returns the 31-bit seed of the stream `name` of an experiment seeded with `seed`.

    Streams are independent: drawing more from one ("evaluation") never shifts another ("acting"). The value
    depends on the arguments alone, not on the process, so that a resumed run continues the same streams.

    Args:
      seed: The experiment's seed, non-negative.
      name: The stream's name: "initialization", "acting", "minibatches", "environment" or "evaluation".
      *indices: Further non-negative integers that tell draws of the same stream apart (an env step, say).
    """
    if seed < 0:
        raise ConfigurationError(f"seed must be a non-negative integer; got {seed}.")
    # A checksum, because Python's own hash of a text differs from process to process.
    entropy = [seed, zlib.crc32(name.encode()), *indices]
    # 31 bits are a positive int32, as stateless seeds are.
    return int(np.random.SeedSequence(entropy).generate_state(1)[0] & 0x7FFFFFFF)


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
