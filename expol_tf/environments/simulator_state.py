"""Saves and restores everything that decides the future of a Gymnasium environment, without pickle.

The state of an environment is that of all its layers: the wrappers, and the environment itself. A layer is
known if it has its own `get_state() -> dict of arrays` and `set_state(dict)`, if it is one of Gymnasium's
wrappers that are listed here and in `wrapper_state`, or if it is one of Gymnasium's MuJoCo or continuous
classic-control tasks. The environment's `np_random` is saved as well, so a task's own `get_state` can leave
it out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium import wrappers

from expol_tf.environments.faults import shown, task_error
from expol_tf.environments.wrapper_chain import layers
from expol_tf.environments.wrapper_state import LAYER_STATES, REMEDY
from expol_tf.errors import CheckpointError, TaskError
from expol_tf.saved_states import generator_state, require_saved, set_generator_state

# The attributes that are the whole state of Gymnasium's wrappers. A subclass may keep more, so it is unknown.
_ATTRIBUTES: dict[type, tuple[str, ...]] = {
    wrappers.TimeLimit: ("_elapsed_steps",),
    wrappers.OrderEnforcing: (),
    wrappers.PassiveEnvChecker: (),
    wrappers.RescaleAction: (),
    wrappers.FlattenObservation: (),
    wrappers.DtypeObservation: (),
    wrappers.RescaleObservation: (),
    wrappers.ReshapeObservation: (),
    wrappers.FilterObservation: (),
    wrappers.ClipAction: (),
    wrappers.ClipReward: (),
    wrappers.RepeatAction: (),
    wrappers.TimeAwareObservation: ("timesteps",),
}
_CLASSIC_CONTROL = {
    "gymnasium.envs.classic_control.pendulum.PendulumEnv": ("state", "last_u"),
    "gymnasium.envs.classic_control.continuous_mountain_car.Continuous_MountainCarEnv": ("state",),
}
# Those that are None in a state that can be saved, which then lacks them.
_MAY_BE_NONE = frozenset({"last_u"})
_MUJOCO_TASKS = "gymnasium.envs.mujoco."

# mj_step leaves these one substep behind the state, and some tasks compute rewards and observations from them
# before the next mj_step recomputes them. So the integration state alone restores HalfCheetah exactly, but
# not Ant.
_DERIVED_FIELDS = (
    *("xpos", "xquat", "xmat", "xipos", "ximat", "geom_xpos", "geom_xmat", "site_xpos", "site_xmat"),
    *("subtree_com", "cinert", "cvel", "subtree_linvel", "subtree_angmom", "ten_length", "ten_velocity"),
    *("actuator_length", "actuator_velocity", "actuator_force", "qfrc_actuator", "qfrc_passive", "qfrc_bias"),
    *("qfrc_constraint", "qacc", "cacc", "cfrc_int", "cfrc_ext", "sensordata"),
)


def can_save(env: gymnasium.Env) -> bool:
    """Returns whether every layer of `env` is known, so that `get_state` holds all of its state."""
    return not unknown_layers(env)


def unknown_layers(env: gymnasium.Env) -> list[gymnasium.Env]:
    """Returns the layers of `env` whose state cannot be saved."""
    return [layer for layer in layers(env) if not _is_known(layer)]


def get_state(env: gymnasium.Env) -> dict[str, np.ndarray]:
    """Returns the state of all layers of `env`, as arrays that `np.savez` stores without pickle.

    Raises:
      TaskError: If a layer's own `get_state` raises, or returns something else than such arrays.
    """
    _require_generator(env)
    state = {"np_random": generator_state(env.unwrapped.np_random)}
    for depth, layer in enumerate(layers(env)):
        values = _get_layer(layer)
        _require_arrays(values, f"{type(layer).__name__}.get_state()")
        for name, value in values.items():
            state[f"{depth}.{type(layer).__name__}.{name}"] = np.array(value)
    return state


def set_state(env: gymnasium.Env, state: dict[str, np.ndarray]) -> None:
    """Restores what `get_state` returned into `env`, which has the same layers and has been reset.

    Raises:
      CheckpointError: If it is the state of another environment.
      TaskError: If a layer's own `set_state` raises.
    """
    _require_generator(env)
    require_saved(state, {"np_random": np.array("")}, type(env.unwrapped).__name__, REMEDY)
    set_generator_state(env.unwrapped.np_random, state["np_random"])
    for depth, layer in enumerate(layers(env)):
        prefix = f"{depth}.{type(layer).__name__}."
        _set_layer(layer, {name[len(prefix) :]: state[name] for name in state if name.startswith(prefix)})


def _require_generator(env: gymnasium.Env) -> None:
    name = type(env.unwrapped).__name__
    try:
        generator: Any = env.unwrapped.np_random
    except BaseException as error:
        raise task_error(error, name, "np_random") from None
    if not isinstance(generator, np.random.Generator):
        raise TaskError(
            f"np_random of {name} must be a numpy.random.Generator for its state to be saved; got "
            f"{shown(generator)}. Call super().reset(seed=seed) in reset(), which makes it."
        )


def _require_arrays(state: Any, call: str) -> None:
    rule = "must return a dict of arrays that need no pickle"
    if not isinstance(state, Mapping):
        raise TaskError(f"{call} {rule}; got {shown(state)}.")
    for name, value in state.items():
        # "#" marks states that differ in shape, see `stack`.
        if not isinstance(name, str) or "#" in name:
            raise TaskError(f'{call} {rule}, by names that are strings without "#"; got the name {name!r}.')
        try:
            plain = not np.asarray(value).dtype.hasobject
        except Exception:  # Ragged lists, and whatever an object's own conversion raises.
            plain = False
        if not plain or isinstance(value, np.ma.MaskedArray):
            raise TaskError(f"{call} {rule}; its {name!r} is {shown(value)}.")


def stack(states: Sequence[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Returns N states as one dict of arrays `[N, ...]`.

    If some states lack an array, or its shapes differ, it is stored as `name#i` for each state i.
    """
    stacked = {}
    for name in dict.fromkeys(name for state in states for name in state):
        values = {i: state[name] for i, state in enumerate(states) if name in state}
        if len(values) == len(states) and len({value.shape for value in values.values()}) == 1:
            stacked[name] = np.stack(list(values.values()))
        else:
            stacked.update({f"{name}#{i}": value for i, value in values.items()})
    return stacked


def unstack(stacked: dict[str, np.ndarray], num_states: int, task: str) -> list[dict[str, np.ndarray]]:
    """Returns the states that `stack` was given.

    Args:
      stacked: What `stack` returned, with an array "observation" `[N, ...]` added.
      num_states: The number N of states that is expected.
      task: The task's name, for the message.

    Raises:
      CheckpointError: If there are not as many states as `num_states`.
    """
    require_saved(stacked, {}, task, REMEDY)
    for name, value in stacked.items():
        if not isinstance(value, np.ndarray | np.generic):
            raise CheckpointError(
                f"The saved state of {task} must be arrays by name, as get_state returned it; got "
                f"{shown(value)} for {name!r}. {REMEDY}"
            )
    states: list[dict[str, np.ndarray]] = [{} for _ in range(num_states)]
    observation = stacked.get("observation")
    if observation is None or not observation.ndim:
        got = "none" if observation is None else shown(observation)
        raise CheckpointError(
            f"The saved state of {task} needs 'observation', a row for each sub-environment; got {got}. "
            "Restore what get_state returned."
        )
    saved = len(observation)
    if saved != num_states:
        raise CheckpointError(
            f"The saved state of {task} has {saved} sub-environments, but num_envs is {num_states}. "
            f"Resume with num_envs={saved}."
        )
    # Scalars, such as the number of steps, belong to no single sub-environment.
    for name, value in stacked.items():
        entry, _, index = name.partition("#")
        if index:
            if not (index.isdecimal() and int(index) < num_states):
                raise CheckpointError(
                    f"The saved state of {task} has {name!r}, where the number after # must be that of one "
                    f"of {num_states} sub-environments. {REMEDY}"
                )
            states[int(index)][entry] = value
        elif value.ndim:
            if len(value) != num_states:
                raise CheckpointError(
                    f"The saved state of {task} needs {name!r} with a row for each of {num_states} "
                    f"sub-environments; got {shown(value)}. {REMEDY}"
                )
            for i, state in enumerate(states):
                state[entry] = value[i]
    return states


def _is_known(layer: gymnasium.Env) -> bool:
    known = _saves_itself(layer) or _is_mujoco(layer) or type(layer) in LAYER_STATES
    return known or _attributes(layer) is not None


def _saves_itself(layer: gymnasium.Env) -> bool:
    # The class is asked, because the attributes of a wrapper may be those of what it wraps.
    return all(callable(getattr(type(layer), name, None)) for name in ("get_state", "set_state"))


def _is_mujoco(layer: gymnasium.Env) -> bool:
    # A subclass defined elsewhere may keep more than the simulator does.
    return type(layer).__module__.startswith(_MUJOCO_TASKS)


def _attributes(layer: gymnasium.Env) -> tuple[str, ...] | None:
    name = f"{type(layer).__module__}.{type(layer).__qualname__}"
    return _CLASSIC_CONTROL.get(name, _ATTRIBUTES.get(type(layer)))


def _get_layer(layer: Any) -> dict[str, Any]:
    if _saves_itself(layer):
        try:
            return layer.get_state()
        except BaseException as error:
            raise task_error(error, "", f"{type(layer).__name__}.get_state()") from None
    if _is_mujoco(layer):
        return {"simulator": mujoco_state(layer.model, layer.data)}
    if type(layer) in LAYER_STATES:
        return LAYER_STATES[type(layer)].get(layer)
    values = {name: getattr(layer, name) for name in _attributes(layer) or ()}
    return {name: value for name, value in values.items() if value is not None}


def _set_layer(layer: Any, state: dict[str, np.ndarray]) -> None:
    if _saves_itself(layer):
        try:
            layer.set_state(state)
        except BaseException as error:
            raise task_error(error, "", f"{type(layer).__name__}.set_state()") from None
        return
    name = type(layer).__name__
    if _is_mujoco(layer):
        require_saved(state, {"simulator": mujoco_state(layer.model, layer.data)}, name, REMEDY)
        set_mujoco_state(layer.model, layer.data, state["simulator"])
        return
    if type(layer) in LAYER_STATES:
        LAYER_STATES[type(layer)].set(layer, state)
        return
    present = {attribute: getattr(layer, attribute) for attribute in _attributes(layer) or ()}
    # What is None has no shape to compare with: it is a number.
    like = {attribute: np.array(0.0 if value is None else value) for attribute, value in present.items()}
    require_saved(state, like, name, REMEDY, optional=_MAY_BE_NONE)
    for attribute in present:
        value = state.get(attribute)
        setattr(layer, attribute, None if value is None else value.copy() if value.ndim else value.item())


def mujoco_state(model: Any, data: Any) -> np.ndarray:
    """Returns the integration state and the derived fields of MuJoCo data as one float64 vector.

    With it the `get_state` of your own MuJoCo task is one line.

    Args:
      model: The simulated `mujoco.MjModel`.
      data: The `mujoco.MjData` to read.
    """
    import mujoco

    spec = mujoco.mjtState.mjSTATE_INTEGRATION
    integration = np.empty(mujoco.mj_stateSize(model, spec))
    mujoco.mj_getState(model, data, integration, spec)
    return np.concatenate([integration, *(getattr(data, field).ravel() for field in _DERIVED_FIELDS)])


def set_mujoco_state(model: Any, data: Any, state: np.ndarray) -> None:
    """Restores what `mujoco_state` returned.

    Args:
      model: The simulated `mujoco.MjModel`.
      data: The `mujoco.MjData` to write into, made for the same model.
      state: The vector that `mujoco_state` returned.

    Raises:
      CheckpointError: If it is no vector of numbers, or has another length than this model and MuJoCo
        version need.
    """
    import mujoco

    spec = mujoco.mjtState.mjSTATE_INTEGRATION
    start = mujoco.mj_stateSize(model, spec)
    fields = [getattr(data, field) for field in _DERIVED_FIELDS]
    expected = start + sum(field.size for field in fields)
    if not isinstance(state, np.ndarray) or state.shape != (expected,) or state.dtype.kind != "f":
        raise CheckpointError(
            f"The saved simulator state must be an array of {expected} floating numbers for this model and "
            f"MuJoCo {mujoco.__version__}; got {shown(state)}. {REMEDY}"
        )
    mujoco.mj_setState(model, data, np.ascontiguousarray(state[:start]), spec)
    for field in fields:
        field.flat = state[start : start + field.size]
        start += field.size
