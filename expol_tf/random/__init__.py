"""Random streams named after their use, generators, normal draws, and seeds of samplers and environments."""

from __future__ import annotations

from typing import TYPE_CHECKING

from expol_tf.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from expol_tf.random.environment_seeds import sub_environment_seeds
    from expol_tf.random.generators import draw_seed, make_generator
    from expol_tf.random.normal import standard_normal
    from expol_tf.random.sampler_seeds import Seed, as_seed, seed_of_step
    from expol_tf.random.streams import stream

# Imported when asked for: the streams need no TensorFlow.
__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "Seed": "sampler_seeds",
        "as_seed": "sampler_seeds",
        "draw_seed": "generators",
        "make_generator": "generators",
        "seed_of_step": "sampler_seeds",
        "standard_normal": "normal",
        "stream": "streams",
        "sub_environment_seeds": "environment_seeds",
    },
)
