"""The contract of an environment."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from tf_agents.environments import py_environment, utils
from tf_agents.trajectories import time_step as ts

from expol_tf.checked import checked
from expol_tf.environments import returned_values, task_error
from expol_tf.errors import TaskError
from expol_tf.number_types import Count, SeedNumber
from expol_tf.testing.assertions import ensure, ensure_finite

MakeEnvironment = Callable[[int], py_environment.PyEnvironment]


@checked
def check_environment(
    make_environment: MakeEnvironment, *, num_steps: Count = 100, seed: SeedNumber = 0
) -> None:
    """Checks a batched TF-Agents environment against the conventions that agents rely on.

    * It passes TF-Agents' `validate_py_environment`. Time steps have the shapes of the specs and real, finite
      numbers, and later steps do not change them. No call raises anything.
    * The step that ends an episode is LAST. The next one ignores its action and returns FIRST with reward 0
      and discount 1. Every other step is MID.
    * The discount is 0 at a LAST step that is terminal, and 1 elsewhere. Agents multiply by γ themselves.
    * Actions outside the box act as if they were clipped to it.
    * The same seed and actions give the same time steps bit for bit.
    * If the environment says that it can save its state (`can_save_state`), the state is made of plain
      arrays, and a restored environment goes on bit for bit as the saved one does.

    Example:

    ```python
    check_environment(lambda seed: expol_tf.environments.load(MyTask, num_envs=2, seed=seed))
    ```

    Args:
      make_environment: Function of an integer seed that makes the environment, which must be batched.
      num_steps: Number of steps to take. An episode must end within the first half of them.
      seed: Seed of the environment and of the actions.

    Raises:
      AssertionError: At the first broken rule.
    """

    def made(seed: int) -> py_environment.PyEnvironment:
        return _called(lambda: make_environment(seed), "make_environment", f"the function, with seed {seed},")

    environment = made(seed)
    ensure(
        isinstance(environment, py_environment.PyEnvironment) and environment.batched,
        f"make_environment must return a batched PyEnvironment; got {environment}.",
    )
    actions = _actions(environment, num_steps, seed)
    steps = _run(environment, actions)
    for before, after in zip([None, *steps], steps, strict=False):
        _check_step(before, after)
    ended = [step.is_last().any() for step in steps[: num_steps // 2]]
    ensure(
        any(ended),
        f"No episode ended within {num_steps // 2} steps: raise num_steps, or shorten the time limit.",
    )
    _ensure_same(
        _run(made(seed), actions),
        steps,
        "The same seed and actions must give the same time steps: draw all randomness from the "
        "environment's own generator, which `reset(seed=…)` seeds.",
    )
    _check_boundary_actions(made(seed), actions, steps)
    _check_clipping(made(seed), actions, steps)
    try:
        utils.validate_py_environment(made(seed), episodes=1)
    except ValueError as error:
        raise AssertionError(f"validate_py_environment: {error}") from error
    except Exception as error:
        raise AssertionError(str(task_error(error, _name(environment), "a call of its"))) from error
    _called(environment.close, _name(environment), "close()")
    # TF-Agents' base class has no such attribute.
    if getattr(environment, "can_save_state", False):
        # Saved just after the end of an episode, where most of the state is in use.
        moment = max(t for t, step in enumerate(steps[: num_steps // 2]) if step.is_last().any())
        _check_state(made, actions, moment, seed)


def _actions(environment: py_environment.PyEnvironment, num_steps: int, seed: int) -> np.ndarray:
    """Draws actions `[T, B, A]`, some of them outside the box."""
    spec = environment.action_spec()
    generator = np.random.default_rng(seed)
    draws = generator.uniform(-1.3, 1.3, [num_steps, environment.batch_size, *spec.shape])
    # The draws leave the box by up to 30 % of its half width, so that clipping matters.
    middle, half = (spec.maximum + spec.minimum) / 2, (spec.maximum - spec.minimum) / 2
    return (middle + half * draws).astype(spec.dtype)


def _run(environment: py_environment.PyEnvironment, actions: np.ndarray) -> list[ts.TimeStep]:
    """Returns copies of the T + 1 time steps, once it is known that later steps do not change them.

    Each has been held against the environment's specs.
    """
    steps = [_checked(_called(environment.reset, _name(environment), "reset()"), environment, "reset()")]
    kept = [_copied(steps[0])]
    for t, action in enumerate(actions):
        steps.append(_step(environment, action, t + 1))
        kept.append(_copied(steps[-1]))
    _ensure_same(
        steps, kept, "Time steps must not change after they were returned: return copies of buffers."
    )
    return kept


def _step(environment: py_environment.PyEnvironment, action: np.ndarray, t: int) -> ts.TimeStep:
    place = f"{_name(environment)}, step {t}"
    return _checked(_called(lambda: environment.step(action), place, "step()"), environment, "step()", place)


def _called(function: Callable[[], Any], place: str, call: str) -> Any:
    """Returns what a function returns; what it raises becomes the message that a run would end with."""
    try:
        return function()
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise AssertionError(str(task_error(error, place, call))) from error


def _checked(
    step: Any, environment: py_environment.PyEnvironment, call: str, place: str | None = None
) -> ts.TimeStep:
    """Returns a time step, once its fields are known to have the specs' shapes and to be real numbers."""
    place = place or _name(environment)
    ensure(
        isinstance(step, ts.TimeStep), f"{place}: {call} must return a TimeStep; got {type(step).__name__}."
    )
    batch = environment.batch_size
    spec = environment.observation_spec()
    shapes = {
        "step_type": (batch,), "reward": (batch,), "discount": (batch,), "observation": (batch, *spec.shape)
    }  # fmt: skip
    try:
        for name, shape in shapes.items():
            check = returned_values.rewards if name == "reward" else returned_values.array
            check(getattr(step, name), shape, f"the {name} that {call} returns")
    except TaskError as error:
        raise AssertionError(f"{place}: {error}") from error
    return step


def _name(environment: py_environment.PyEnvironment) -> str:
    return str(getattr(environment, "task", type(environment).__name__))


def _copied(step: ts.TimeStep) -> ts.TimeStep:
    return ts.TimeStep(*(np.array(field) for field in step))


def _ensure_same(actual: Sequence[ts.TimeStep], expected: Sequence[ts.TimeStep], message: str) -> None:
    for t, pair in enumerate(zip(actual, expected, strict=True)):
        for field, got, want in zip(ts.TimeStep._fields, *pair, strict=True):
            ensure(
                np.array_equal(got, want), f"{message} The {field} of step {t} is {got} instead of {want}."
            )


def _check_step(before: ts.TimeStep | None, after: ts.TimeStep) -> None:
    starting = np.full(after.step_type.shape, True) if before is None else before.is_last()
    ensure(
        np.array_equal(after.is_first(), starting),
        "FIRST must follow LAST and reset(), and nothing else: the step after an episode's end starts the "
        f"next one. After step types {None if before is None else before.step_type} came {after.step_type}.",
    )
    ensure(
        np.all(after.reward[starting] == 0) and np.all(after.discount[starting] == 1),
        f"FIRST must have reward 0 and discount 1; got {after.reward[starting]} and "
        f"{after.discount[starting]}.",
    )
    ensure(
        np.all(np.isin(after.discount, [0, 1])),
        f"The discount must be 0 (terminated) or 1: agents multiply by γ; got {after.discount}.",
    )
    ensure(
        np.all((after.discount == 1) | after.is_last()),
        f"Only a LAST step may have discount 0; got {after.discount} with step types {after.step_type}.",
    )
    ensure_finite(after.observation, "observations")
    ensure_finite(after.reward, "rewards")


def _check_boundary_actions(
    environment: py_environment.PyEnvironment, actions: np.ndarray, steps: Sequence[ts.TimeStep]
) -> None:
    spec = environment.action_spec()
    others = actions.copy()
    for t, step in enumerate(steps[:-1]):
        others[t][step.is_last()] = np.where(
            actions[t][step.is_last()] > spec.minimum, spec.minimum, spec.maximum
        )
    message = "The step that follows LAST starts an episode and must ignore its action."
    _ensure_same(_run(environment, others), steps, message)


def _check_clipping(
    environment: py_environment.PyEnvironment, actions: np.ndarray, steps: Sequence[ts.TimeStep]
) -> None:
    spec = environment.action_spec()
    clipped = np.clip(actions, spec.minimum, spec.maximum)
    _ensure_same(
        _run(environment, clipped), steps, "Actions must be clipped to the box before the task sees them."
    )


def _check_state(make_environment: MakeEnvironment, actions: np.ndarray, moment: int, seed: int) -> None:
    """Saves the state after `moment` steps and goes on from it in another environment."""
    saved = make_environment(seed)
    _run(saved, actions[:moment])
    state = _called(saved.get_state, _name(saved), "get_state()")
    file = io.BytesIO()
    try:
        np.savez(file, **state)
        file.seek(0)
        with np.load(file, allow_pickle=False) as arrays:
            state = dict(arrays)
    except (TypeError, ValueError) as error:
        raise AssertionError(
            f"get_state must return arrays that np.savez stores without pickle: {error}"
        ) from error
    # Another seed and a few steps, so that nothing is right by chance.
    restored = make_environment(seed + 1)
    _run(restored, actions[:3])
    _called(lambda: restored.set_state(state), _name(restored), "set_state()")
    expected, actual = (
        [_copied(_step(each, action, t + 1)) for t, action in enumerate(actions[moment:], moment)]
        for each in (saved, restored)
    )
    message = (
        "After set_state an environment must go on as the saved one does (generators, counters, buffers)."
    )
    _ensure_same(actual, expected, message)
    _ensure_same([restored.reset()], [saved.reset()], f"{message} Reset after it.")
