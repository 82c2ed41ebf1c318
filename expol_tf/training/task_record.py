"""The task of a run, as its record describes it, for programs that make environments of their own."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import gin

from expol_tf.configuration import (
    Binding,
    Configuration,
    Macro,
    Reference,
    applied,
    gin_syntax,
    held_again,
    resolve,
    unwritable_entries,
)
from expol_tf.errors import ConfigurationError
from expol_tf.runs import RunFiles

# What a record refers to is known once these are imported.
from expol_tf.training import devices as _devices  # noqa: F401
from expol_tf.training import experiment as _experiment  # noqa: F401

# What makes the environments. Whatever else a run has set is not looked at.
_NAMES = ("train.task", "train.wrappers", "train.make_kwargs", "train.eval_max_steps")


@dataclasses.dataclass(frozen=True)
class RecordedTask:
    """What a run was trained on.

    Attributes:
      task: A Gymnasium id, or a factory that is registered with gin.
      options: `wrappers` and `make_kwargs` for `load_vector`, as far as the run has set them.
      limit: `max_steps` for `evaluate_policy`; empty for runs of earlier versions, which have none.
    """

    task: Any
    options: Mapping[str, Any]
    limit: Mapping[str, int]

    @property
    def wrappers(self) -> Sequence[Callable]:
        """Functions env → env, in their order."""
        return self.options.get("wrappers") or ()

    @property
    def make_kwargs(self) -> Mapping[str, Any]:
        """Keyword arguments of the task's maker."""
        return self.options.get("make_kwargs") or {}


@contextlib.contextmanager
def recorded_task(files: RunFiles) -> Iterator[RecordedTask]:
    """Gives the task of a run; while the block runs, gin holds the settings of what makes it.

    Make the environments inside of the block. What gin held before, it holds again afterwards.

    Raises:
      ConfigurationError: If the environments cannot be made from the record: wrappers, arguments or the task
        itself were objects that only the program had that trained the run. Others would be other
        environments, so nothing is left out.
      RunDirectoryError: If the record cannot be read.
    """
    configuration = _task_configuration(files)
    with held_again(), applied(configuration):
        given = gin.get_bindings("expol_tf.train")
        options = {name: given[name] for name in ("wrappers", "make_kwargs") if name in given}
        limit = {"max_steps": given["eval_max_steps"]} if "eval_max_steps" in given else {}
        yield RecordedTask(given["task"], options, limit)


def _task_configuration(files: RunFiles) -> Configuration:
    text = files.read_config()
    lost = unwritable_entries(text)
    if "train.task" in lost:
        raise ConfigurationError(
            f"{files.config} names no task: the run was started from Python with an environment of its own "
            f"({lost['train.task']}). Evaluate it there, with expol_tf.load_policy."
        )
    for name in _NAMES:
        if name in lost:
            argument = name.partition(".")[2]
            raise ConfigurationError(
                f"{files.config} cannot say what {argument} of expol_tf.train were, which only the program "
                f"had that trained the run: {lost[name]}. Without them this would be another environment. "
                "Look at the run in that program, with expol_tf.load_policy. A record can name wrappers of "
                "an installed package, with plain arguments, and registered ones: a class in a module of its "
                "own, with @gin.configurable above it."
            )
    statements = _needed_statements(gin_syntax.read_files([str(files.config)]))
    values = [item.value for item in statements if isinstance(item, Binding)]
    used = {_last(name.rpartition("/")[2]) for name in gin_syntax.references(values)}
    for name in lost:
        if _last(name.rpartition(".")[0].rpartition("/")[2]) in used:
            raise ConfigurationError(
                f"{files.config} cannot say what {name} was, which gin held only in the program that trained "
                f"the run: {lost[name]}. Without it this would be another environment. Look at the run in "
                "that program, with expol_tf.load_policy, or bind it in a gin file."
            )
    if not any(isinstance(item, Binding) and _short(item) == "train.task" for item in statements):
        raise ConfigurationError(
            f"{files.config} names no task. Restore it from a copy, or start the run's own command again."
        )
    return resolve(statements)


def _needed_statements(statements: Sequence[Any]) -> list[Any]:
    """Returns the imports, and the bindings of task and devices with whatever these refer to.

    The exported policy needs nothing else, and the names of the rest may be those of another version.
    """
    bindings = [item for item in statements if isinstance(item, Binding)]
    pending = [
        binding
        for binding in bindings
        if _short(binding) in _NAMES or _last(binding.selector) == "configure_devices"
    ]
    needed: list[Binding] = []
    while pending:
        binding = pending.pop()
        if binding in needed:
            continue
        needed.append(binding)
        for leaf in gin_syntax.walk(binding.value):
            if isinstance(leaf, Macro):
                pending += [other for other in bindings if other.is_macro and other.selector == leaf.name]
            elif isinstance(leaf, Reference):
                name = _last(leaf.name.rpartition("/")[2])
                pending += [item for item in bindings if not item.is_macro and _last(item.selector) == name]
    return [item for item in statements if not isinstance(item, Binding) or item in needed]


def _short(binding: Binding) -> str:
    return binding.name.removeprefix("expol_tf.")


def _last(selector: str) -> str:
    return selector.rpartition(".")[2]
