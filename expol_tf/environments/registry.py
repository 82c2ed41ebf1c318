"""Makes a registered Gymnasium task. Errors name the remedy, and two known warnings are silenced."""

from __future__ import annotations

import contextlib
import functools
import sys
import warnings
from collections.abc import Iterator
from typing import Any

import gymnasium

from expol_tf.cli import import_user_module, nearest, nearest_module
from expol_tf.environments.faults import task_error
from expol_tf.environments.packages import package_versions, versions_remedy
from expol_tf.errors import (
    ConfigurationError,
    DependencyError,
    TaskError,
    UnknownEnvironmentError,
)
from expol_tf.gymnasium_plugin import register_tasks

# No id of Gymnasium's packages is near it, and a message shows the whole.
_LONGEST_NAME = 300


def make_registered(task: str, kwargs: dict[str, Any]) -> gymnasium.Env:
    """Returns `gymnasium.make(task, **kwargs)` without Gymnasium's passive checker.

    The checker changes no result. The library's own tasks are registered first, where need be.

    Args:
      task: A Gymnasium id. `module:id` imports the module first, which may lie in the user's directory.
      kwargs: Keyword arguments of `gymnasium.make`.

    Raises:
      UnknownEnvironmentError: If no such task is registered or it cannot be made here; names near ones.
      DependencyError: If it needs a package that is not installed.
      ConfigurationError: If it does not take these keyword arguments.
      TaskError: If it raises anything else.
    """
    register_tasks()
    _require_form(task)
    try:
        _import_module_of(task)
        with _without_known_noise(task):
            return gymnasium.make(task, disable_env_checker=True, **kwargs)
    except gymnasium.error.DependencyNotInstalled as error:
        versions = package_versions(error, _maker_of(task))
        said = str(error).rstrip(".")
        raise DependencyError(
            f"The task {task!r} needs a package that is not installed: {said}."
            f"{versions_remedy(versions) if versions else ''}"
        ) from error
    except (gymnasium.error.Error, ImportError) as error:
        raise UnknownEnvironmentError(_unknown(task, error)) from error
    except BaseException as error:
        raised = task_error(error, f"The task {task!r} cannot be made", "its constructor", _maker_of(task))
        if kwargs and isinstance(error, TypeError | AssertionError) and _stays_in_gymnasium(raised):
            raise ConfigurationError(
                f"The task {task!r} does not take make_kwargs={kwargs}: {error}"
            ) from error
        raise raised from None


def require_registered(task: str) -> None:
    """Raises an `UnknownEnvironmentError` unless Gymnasium knows the task, which is not made.

    Args:
      task: A Gymnasium id. `module:id` imports the module first.
    """
    register_tasks()
    _require_form(task)
    try:
        if not _import_module_of(task):
            raise ImportError(f"there is no module {task.partition(':')[0]!r}")
        name = task.rpartition(":")[2]
        # Without a version Gymnasium makes the latest one.
        if not any(known.rpartition("-v")[0] == name for known in gymnasium.registry):
            gymnasium.spec(name)
    except (gymnasium.error.Error, ImportError) as error:
        raise UnknownEnvironmentError(_unknown(task, error)) from error


def _require_form(task: str) -> None:
    """Raises an `UnknownEnvironmentError` for a text that is no id of Gymnasium's, which it would not say."""
    if task.count(":") > 1:
        rule, got = "must be an id or module:id, with one colon at most", repr(task[:_LONGEST_NAME])
    elif len(task) > _LONGEST_NAME:
        rule, got = f"must have at most {_LONGEST_NAME} characters", f"{len(task):,}: {task[:40]!r}…"
    else:
        return
    raise UnknownEnvironmentError(f"The name of a task {rule}; got {got}. An example is 'Hopper-v5'.")


def _import_module_of(task: str) -> bool:
    """Whether the module of `module:id` is there; imports it, as Gymnasium would not find the user's own."""
    module, colon, _ = task.partition(":")
    if not colon or import_user_module(module):
        return True
    if near := nearest_module(module):
        raise UnknownEnvironmentError(
            f"The task {task!r} cannot be made: there is no module {module!r}.{near}"
        )
    return False


def _unknown(task: str, error: Exception) -> str:
    """Returns what to say of a task that is not known, or that something is missing for."""
    versions = package_versions(error, _maker_of(task))
    remedy = versions_remedy(versions) if versions else near_names(task)
    if not remedy and isinstance(error, gymnasium.error.NamespaceNotFound) and ":" not in task:
        remedy = (
            f" The tasks of another package are known once it is imported: write 'package:{task}' with "
            "the name of its module (docs/third_party_tasks.md)."
        )
    text = str(error).strip().rstrip(".")
    return f"The task {task!r} cannot be made: {text}{'' if text.endswith(('?', '!')) else '.'}{remedy}"


def _maker_of(task: str) -> str | None:
    """Returns the module of the class or function that makes a task; None for one that is not registered."""
    try:
        maker: Any = gymnasium.spec(task.rpartition(":")[2]).entry_point
    except gymnasium.error.Error:
        return None
    while isinstance(maker, functools.partial):
        maker = maker.func
    return maker.partition(":")[0] if isinstance(maker, str) else getattr(maker, "__module__", None)


def _stays_in_gymnasium(error: BaseException) -> bool:
    """Whether no code of the environment's own was running, so that the arguments are to blame."""
    return isinstance(error, TaskError) and error.frames is None


def near_names(task: str) -> str:
    """Returns a sentence with the registered names most like `task`, or an empty string."""
    near = nearest(task, (name for name in gymnasium.registry if name != task), count=4)
    return f" Did you mean {', '.join(near)}?" if near else ""


@contextlib.contextmanager
def _without_known_noise(task: str) -> Iterator[None]:
    """Silences two messages that the user can do nothing about; every other one passes.

    One is Gymnasium's advice to use v5 instead of v4, but published results use v4. The other is MuJoCo's,
    about an attribute in Gymnasium's own model of the HalfCheetah; it comes once per sub-environment and also
    goes into a log file.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*is out of date. You should consider upgrading")
        if "HalfCheetah" not in task:
            yield
            return
        try:
            import mujoco
        except ImportError:
            # gymnasium.make reports this better.
            yield
            return
        before = mujoco.get_mju_user_warning()

        def heard(message: str) -> None:
            """Drops the known message and hands on every other one."""
            if "'settotalmass' is deprecated" in message:
                return
            if before is not None:
                before(message)
            else:
                print(f"WARNING: {message}", file=sys.stderr)

        mujoco.set_mju_user_warning(heard)
        try:
            yield
        finally:
            mujoco.set_mju_user_warning(before)
