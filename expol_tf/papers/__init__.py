"""The papers' small experiments, a folder a figure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from expol_tf.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from expol_tf.papers.figures import FIGURES, Figure, RunOptions, make_figure, summaries

# Imported when asked for: a list of figures needs no TensorFlow.
__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "FIGURES": "figures",
        "Figure": "figures",
        "RunOptions": "figures",
        "make_figure": "figures",
        "summaries": "figures",
    },
)
