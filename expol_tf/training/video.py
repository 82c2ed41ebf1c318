"""Videos of a policy, without a display."""

from __future__ import annotations

import functools
import importlib.util
import math
import os
import subprocess
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import gymnasium
import imageio.v2 as imageio
import numpy as np
from absl import logging

from expol_tf.checked import checked
from expol_tf.cli import home_path
from expol_tf.environments import VectorEnvironment, load_vector
from expol_tf.errors import ConfigurationError, DependencyError, TaskError
from expol_tf.factories import shown_factory, takes
from expol_tf.interruption import raise_if_stopped
from expol_tf.number_types import Count, SeedNumber, Steps
from expol_tf.training.evaluation import MAX_STEPS

_SUFFIXES = (".gif", ".mp4")
_RENDERERS = ("OpenGL.", "glfw.", "mujoco.", "pygame.", "gymnasium.envs.")
_GL_BACKENDS = ("egl", "osmesa")
# Without a graphics card a picture takes up to 0.1 s, and MuJoCo's tasks have up to 125 steps a second.
_MAX_FRAMES_PER_S = 30
_DEFAULT_STEPS_PER_S = 30.0


@checked
def record_video(
    act: Callable[[np.ndarray], Any],
    task: Any,
    path: str | os.PathLike[str],
    episodes: Count = 1,
    seed: SeedNumber | None = None,
    wrappers: Sequence[Callable] = (),
    make_kwargs: Mapping[str, Any] | None = None,
    max_steps: Steps = MAX_STEPS,
) -> int:
    """Records whole episodes and returns the number of frames.

    A video that is broken off holds the frames until then.

    Args:
      act: Observations `[1, O]` → actions `[1, A]`, or a tuple that begins with them.
      task: The Gymnasium id, a function that makes an environment, or an environment made with
        `render_mode="rgb_array"`, which stays open; see `expol_tf.environments.load_vector`.
      path: The file; `.gif`, or `.mp4` where the package imageio-ffmpeg is installed.
      episodes: The number of episodes, one after the other.
      seed: The seed of the environment; None takes entropy from the system.
      wrappers: Functions env → env around the environment.
      make_kwargs: Arguments of `gymnasium.make`, or of the function.
      max_steps: An episode that reaches so many steps is cut off there; a warning says so.

    Raises:
      Stopped: If a signal asked for a stop between two steps.
      ConfigurationError: If the suffix is another, or the task has no pictures.
      TaskError: If the task raises, or returns something else than pictures.
      DependencyError: If no headless renderer or no encoder is installed; names the packages.
    """
    target = check_video_path(path)
    _require_render_mode(task)
    choose_renderer()
    steps_per_s = _DEFAULT_STEPS_PER_S

    def read_rate(made: gymnasium.Env) -> gymnasium.Env:
        nonlocal steps_per_s
        steps_per_s = _steps_per_s(made)
        return made

    if not isinstance(task, gymnasium.Env):
        make_kwargs = {**(make_kwargs or {}), "render_mode": "rgb_array"}
    env = load_vector(task, 1, seed, wrappers=(*wrappers, read_rate), make_kwargs=make_kwargs)
    try:
        every = max(1, math.ceil(steps_per_s / _MAX_FRAMES_PER_S))
        observation = env.reset()
        first = _picture(env)
        with _writer(target, steps_per_s / every) as writer:
            writer.append_data(first)
            num_frames, num_steps, begin = 1, 0, 0
            while episodes:
                raise_if_stopped()
                action = act(observation)
                step = env.step(np.asarray(action[0] if isinstance(action, tuple) else action))
                observation = step.observation
                num_steps += 1
                ended = bool(step.terminated[0] or step.truncated[0])
                if not ended and num_steps - begin == max_steps:
                    logging.warning(
                        "An episode of %s was cut off after %s steps.", env.task, f"{max_steps:,}"
                    )
                    observation, ended = env.reset(), True
                if ended:
                    episodes, begin = episodes - 1, num_steps
                if num_steps % every == 0:
                    writer.append_data(_picture(env))
                    num_frames += 1
        return num_frames
    finally:
        env.close()


@checked
def check_video_path(path: str | os.PathLike[str]) -> Path:
    """Returns the path; raises if its kind cannot be written here, before anything is computed."""
    target = home_path(path)
    if target.suffix.lower() not in _SUFFIXES:
        raise ConfigurationError(f"video_path must end in {' or '.join(_SUFFIXES)}; got {str(path)!r}.")
    if target.suffix.lower() == ".mp4" and importlib.util.find_spec("imageio_ffmpeg") is None:
        raise DependencyError(
            f"video_path={str(path)!r} needs an encoder: `pip install imageio-ffmpeg`, or give a .gif."
        )
    return target


@functools.cache
def choose_renderer() -> str | None:
    """Chooses MuJoCo's headless OpenGL, EGL or else OSMesa, and returns its name; None if neither works.

    A value of the environment variable MUJOCO_GL that the user has set stands. Each is tried in a process of
    its own, since PyOpenGL keeps to the first platform that it was imported for.
    """
    # Tasks drawn by pygame would look for a sound card and complain.
    os.environ.setdefault("SDL_AUDIODRIVER", "dummy")
    if os.environ.get("MUJOCO_GL"):
        return os.environ["MUJOCO_GL"]
    for backend in _GL_BACKENDS:
        if _works(backend):
            os.environ["MUJOCO_GL"] = backend
            return backend
    return None


def _require_render_mode(task: Any) -> None:
    """Refuses a task that cannot be asked for pictures."""
    if callable(task) and not takes(task, render_mode="rgb_array"):
        raise ConfigurationError(
            f'a video needs pictures, but {shown_factory(task)} does not take render_mode="rgb_array". Let '
            "it take render_mode=None and hand it to the environment, whose render() then returns pictures."
        )


def _steps_per_s(env: gymnasium.Env) -> float:
    """Returns how many steps of the task are a second, as its metadata says."""
    metadata = env.metadata
    rate = metadata.get("render_fps") if isinstance(metadata, Mapping) else None
    if rate is None:
        return _DEFAULT_STEPS_PER_S
    if not isinstance(rate, int | float | np.number) or not 0 < rate < math.inf:
        raise ConfigurationError(
            f'metadata["render_fps"] of {type(env.unwrapped).__name__} must be a positive number; '
            f"got {rate!r}."
        )
    return float(rate)


def _works(backend: str) -> bool:
    probe = f"from mujoco.{backend} import GLContext; context = GLContext(8, 8); context.make_current()"
    environment = {**os.environ, "MUJOCO_GL": backend, "PYOPENGL_PLATFORM": backend}
    command = [sys.executable, "-c", probe]
    try:
        done = subprocess.run(command, env=environment, capture_output=True, timeout=60, check=False)
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def _picture(env: VectorEnvironment) -> np.ndarray:
    try:
        return env.render()
    except TaskError as error:
        if error.raised is None or not _is_of_a_renderer(error.raised):
            raise
        raise DependencyError(
            f"{env.task} cannot be drawn without a display: {type(error.raised).__name__}: {error.raised}. "
            "MuJoCo needs EGL (Debian: apt install libegl1 libgl1-mesa-dri) or OSMesa (apt install "
            "libosmesa6)."
        ) from error


def _is_of_a_renderer(error: BaseException) -> bool:
    """Whether a renderer raised it: each fails in its own way when a system library is missing."""
    frames = traceback.walk_tb(error.__traceback__)
    return any(f"{frame.f_globals.get('__name__')}.".startswith(_RENDERERS) for frame, _ in frames)


def _writer(path: Path, frames_per_s: float) -> Any:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    except OSError as error:
        raise ConfigurationError(
            f"video_path must be a file that can be written; got {path}: {error.strerror}."
        ) from error
    if path.suffix.lower() == ".gif":
        return imageio.get_writer(path, duration=1000.0 / frames_per_s, loop=0)  # milliseconds a frame
    return imageio.get_writer(path, fps=frames_per_s)
