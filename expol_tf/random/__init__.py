"""Random streams named after their use, generators, normal draws, and seeds of samplers and environments."""

from __future__ import annotations

from typing import TYPE_CHECKING

from expol_tf.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from expol_tf.random.generators import (
        Seed,
        as_seed,
        draw_seed,
        make_generator,
        seed_of_step,
        standard_normal,
    )
    from expol_tf.random.streams import stream, sub_environment_seeds

# Imported when asked for: the streams need no TensorFlow.
__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "Seed": "generators",
        "as_seed": "generators",
        "draw_seed": "generators",
        "make_generator": "generators",
        "seed_of_step": "generators",
        "standard_normal": "generators",
        "stream": "streams",
        "sub_environment_seeds": "streams",
    },
)
