"""All kinds of trials: which item each is of, and how many of it a session runs."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from tests.hostile import bindings, callers, calls, environments, files, flags, gin_text, signals
from tests.hostile.trial import Trial


class Kind(NamedTuple):
    """A kind of trials.

    Attributes:
      item: The item, 13 to 18.
      name: Its name, which its trials' seeds begin with.
      draw: Draws one of them.
      count: How many a session runs.
    """

    item: int
    name: str
    draw: Callable[[random.Random], Trial]
    count: int


KINDS = (
    Kind(13, "update", callers.update, 14),
    Kind(13, "train_on", callers.train_on, 14),
    Kind(13, "act", callers.act, 12),
    Kind(13, "train_arguments", calls.train_arguments, 30),
    Kind(13, "vector", callers.vector, 10),
    Kind(13, "calls", calls.calls, 40),
    Kind(13, "own_bindings", callers.own_bindings, 6),
    Kind(13, "combinations", callers.combinations, 12),
    Kind(14, "record", files.record, 80),
    Kind(14, "checkpoint", files.checkpoint, 40),
    Kind(14, "exported", files.exported, 10),
    Kind(15, "train", bindings.train, 60),
    Kind(15, "sweep", bindings.sweep, 40),
    Kind(15, "python", bindings.python, 30),
    Kind(15, "numbers", flags.numbers, 30),
    Kind(16, "mutated", gin_text.mutated, 60),
    Kind(16, "values", gin_text.values_of_parameters, 40),
    Kind(16, "recursion", gin_text.recursion, 30),
    Kind(16, "modules", gin_text.modules, 20),
    Kind(16, "huge", gin_text.huge, 16),
    Kind(16, "paths", flags.paths, 30),
    Kind(16, "command_lines", flags.command_lines, 20),
    Kind(17, "train", environments.train, 60),
    Kind(17, "evaluate", environments.evaluate, 24),
    Kind(17, "python", environments.python, 50),
    Kind(18, "training", signals.training, 24),
    Kind(18, "reading", signals.reading, 10),
    Kind(18, "links", signals.links, 12),
    Kind(18, "markup", signals.markup, 10),
    Kind(18, "shadows", signals.shadows, 3),
    Kind(18, "while_training", signals.while_training, 10),
    Kind(18, "driver", signals.driver, 2),
)
ITEMS = tuple(sorted({kind.item for kind in KINDS}))


def trial(name: str, seed: str) -> Trial:
    """Returns the trial `item/kind/number`, the same for the same seed."""
    item, kind_name, _ = name.split("/")
    kind = next(kind for kind in KINDS if (str(kind.item), kind.name) == (item, kind_name))
    return kind.draw(random.Random(f"{seed}/{name}"))


def trials(items: Sequence[int], seed: str, factor: float = 1.0) -> Iterator[tuple[str, Trial]]:
    """Yields the names of all trials of some items, and the trials."""
    for kind in KINDS:
        if kind.item in items:
            for number in range(round(kind.count * factor)):
                name = f"{kind.item}/{kind.name}/{number}"
                yield name, trial(name, seed)
