"""The papers' small experiments, a folder a figure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from expol_tf.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from expol_tf.papers.figures import Figure, make_figure, summaries
    from expol_tf.papers.registry import FIGURES, RunOptions, Table, Work, figure

# Imported when asked for: each name alone, and none of them needs TensorFlow.
__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "FIGURES": "figures",
        "Figure": "figures",
        "RunOptions": "registry",
        "Table": "registry",
        "Work": "registry",
        "figure": "registry",
        "make_figure": "figures",
        "summaries": "figures",
    },
)
