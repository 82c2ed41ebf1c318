from __future__ import annotations

import importlib.util
import os
import pathlib
import subprocess
import sys
import textwrap
from collections.abc import Iterator

import gymnasium
import imageio.v3 as imageio
import numpy as np
import pytest
from gymnasium import spaces

from expol_tf.errors import ConfigurationError, DependencyError, TaskError
from expol_tf.training import video


class Flag(gymnasium.Env):
    """Draws the number of the step as a grey value; episodes of ten steps."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 60}
    observation_space = spaces.Box(-1.0, 1.0, (1,), np.float32)
    action_space = spaces.Box(-1.0, 1.0, (1,), np.float32)

    def __init__(self, render_mode: str | None = None, is_broken: bool = False) -> None:
        self.render_mode = render_mode
        self._is_broken = is_broken

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> tuple[np.ndarray, dict]:
        super().reset(seed=seed)
        self.steps = 0
        return np.zeros(1, np.float32), {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict]:
        self.steps += 1
        return np.zeros(1, np.float32), 0.0, False, self.steps == 10, {}

    def render(self) -> np.ndarray:
        if self._is_broken:
            renderer = {"__name__": "OpenGL.error"}
            exec(
                "def check(): raise AttributeError(\"'NoneType' object has no attribute 'glGetError'\")",
                renderer,
            )
            renderer["check"]()
        return np.full((16, 16, 3), 20 * self.steps, np.uint8)


@pytest.fixture(autouse=True)
def renderer(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Keeps the choice of a renderer, which is for the whole process, inside one test."""
    monkeypatch.setenv("MUJOCO_GL", "chosen_by_the_test")
    monkeypatch.setenv("SDL_AUDIODRIVER", "dummy")
    video.choose_renderer.cache_clear()
    yield
    video.choose_renderer.cache_clear()


def still(observation: np.ndarray) -> np.ndarray:
    return np.zeros([len(observation), 1])


def test_a_gif_of_whole_episodes(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "videos" / "flag.gif"
    frames = video.record_video(still, Flag, path, episodes=2)
    # 60 steps a second are thinned out to 30 pictures; the picture after an episode's end is the next one's.
    grey = imageio.imread(path)[:, 0, 0, 0].tolist()
    assert grey == [0, 40, 80, 120, 160, 0, 40, 80, 120, 160, 0][:frames]
    assert frames == 11


def test_fault_12_a_caller_s_environment_stays_open(tmp_path: pathlib.Path) -> None:
    class Open(Flag):
        def close(self) -> None:
            raise AssertionError("closed")

    assert video.record_video(still, Open(render_mode="rgb_array"), tmp_path / "flag.gif") == 6


def test_other_suffixes_are_refused_before_anything_runs(tmp_path: pathlib.Path) -> None:
    with pytest.raises(ConfigurationError, match=r"video_path must end in .gif or .mp4"):
        video.record_video(still, "no such task", tmp_path / "flag.avi")


def test_mp4_needs_an_encoder(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(DependencyError, match="pip install imageio-ffmpeg"):
        video.check_video_path(tmp_path / "flag.mp4")


def test_a_renderer_that_fails_names_the_packages(tmp_path: pathlib.Path) -> None:
    with pytest.raises(DependencyError, match="glGetError.*libegl1 .*libosmesa6"):
        video.record_video(still, lambda **kwargs: Flag(is_broken=True, **kwargs), tmp_path / "flag.gif")


def test_the_users_renderer_stands() -> None:
    assert video.choose_renderer() == "chosen_by_the_test"


@pytest.mark.parametrize(
    ("working", "chosen"), [({"egl", "osmesa"}, "egl"), ({"osmesa"}, "osmesa"), (set(), None)]
)
def test_egl_comes_before_osmesa(working: set, chosen: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MUJOCO_GL")
    monkeypatch.setattr(video, "_works", working.__contains__)
    assert video.choose_renderer() == chosen
    assert os.environ.get("MUJOCO_GL") == chosen


DRAWS = """
    import sys
    import numpy as np
    from expol_tf.errors import DependencyError
    from expol_tf.training import video

    def still(observation):
        return np.zeros([len(observation), 1])

    arguments = {"make_kwargs": {"max_episode_steps": 3, "width": 32, "height": 32}}
    try:
        print(video.record_video(still, "InvertedPendulum-v5", sys.argv[1], **arguments))
    except DependencyError as error:
        print(error)
"""


def test_a_mujoco_task_is_drawn_or_the_packages_are_named(tmp_path: pathlib.Path) -> None:
    """In a process of its own: which renderer works there depends on what was imported before."""
    path = tmp_path / "pendulum.gif"
    environment = {
        name: value for name, value in os.environ.items() if not name.endswith(("_GL", "_PLATFORM"))
    }
    environment["PYTHONPATH"] = os.pathsep.join(sys.path)
    command = [sys.executable, "-c", textwrap.dedent(DRAWS), str(path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    if not any(map(video._works, ("egl", "osmesa"))):
        assert "libegl1" in done.stdout
        return
    pictures = imageio.imread(path)
    assert pictures.shape[:3] == (int(done.stdout), 32, 32)
    assert pictures.std() > 0, "the pictures are empty"


class Unasked(Flag):
    """Takes no render mode."""

    def __init__(self) -> None:
        super().__init__()


def test_fault_13_video_without_render_mode(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "flag.gif"
    with pytest.raises(ConfigurationError, match='Unasked does not take render_mode="rgb_array"'):
        video.record_video(still, Unasked, path)
    with pytest.raises(ConfigurationError, match="was made with render_mode=None and gives no pictures"):
        video.record_video(still, lambda render_mode=None: Flag(), path)
    gymnasium.register("Unasked-v0", Unasked)
    try:
        with pytest.raises(ConfigurationError, match="'Unasked-v0' does not take .*render_mode"):
            video.record_video(still, "Unasked-v0", path)
    finally:
        del gymnasium.registry["Unasked-v0"]
    assert not path.exists()


@pytest.mark.parametrize(
    ("picture", "words"),
    [
        (None, r"render\(\) must return a picture.*got None"),
        (np.zeros((16, 16)), r"render\(\) must return a picture.*\(16, 16\)"),
        (ValueError("no paint"), r"render\(\) raised ValueError: no paint"),
    ],
)
def test_fault_17_what_render_does(picture: object, words: str, tmp_path: pathlib.Path) -> None:
    class Painted(Flag):
        def render(self) -> object:
            if isinstance(picture, Exception):
                raise picture
            return picture

    with pytest.raises(TaskError, match=f"^Painted, sub-environment 0: {words}"):
        video.record_video(still, Painted, tmp_path / "flag.gif")


@pytest.mark.parametrize("rate", ["fast", 0, -1, float("nan"), [30]])
def test_fault_17_a_rate_that_cannot_be(rate: object, tmp_path: pathlib.Path) -> None:
    class Rated(Flag):
        metadata = {"render_modes": ["rgb_array"], "render_fps": rate}

    with pytest.raises(ConfigurationError, match="render_fps.* of Rated must be a positive number; got"):
        video.record_video(still, Rated, tmp_path / "flag.gif")
