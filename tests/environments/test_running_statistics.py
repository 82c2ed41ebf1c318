"""Wrappers that learn statistics of their own are refused, wherever environments are made."""

from __future__ import annotations

import functools
import pathlib
from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import wrappers
from gymnasium.wrappers.utils import RunningMeanStd

import expol_tf
from expol_tf.environments import SyncVectorEnvironment, check_task, load, load_vector
from expol_tf.errors import ConfigurationError
from expol_tf.training import Evaluator, record_video

NAMES = "(?s)running statistics.*observation_normalizer.*reward_normalizer of OnPolicyRunner"


class RunningMoments:
    """Statistics of the user's own, under another name."""

    def __init__(self) -> None:
        self.mean, self.var, self.count = 0.0, 1.0, 0

    def update(self, value: float) -> None:
        self.count += 1
        self.mean += (value - self.mean) / self.count


class HoldsStatistics(gymnasium.Wrapper):
    """As many users write it."""

    def __init__(self, env: gymnasium.Env, statistics: Any) -> None:
        super().__init__(env)
        self.rms = statistics


class IsStatistics(gymnasium.ObservationWrapper):
    def __init__(self, env: gymnasium.Env) -> None:
        super().__init__(env)
        self.running_mean, self.running_var, self.count = np.zeros(3), np.ones(3), 0

    def observation(self, observation: np.ndarray) -> np.ndarray:
        self.count += 1
        self.running_mean += (observation - self.running_mean) / self.count
        return observation - self.running_mean


class OwnNormalizeReward(wrappers.NormalizeReward):
    pass


def inside(env: gymnasium.Env) -> gymnasium.Env:
    return wrappers.ClipAction(wrappers.NormalizeObservation(env))


WRAPPERS: dict[str, Callable] = {
    "NormalizeObservation": wrappers.NormalizeObservation,
    "NormalizeReward": wrappers.NormalizeReward,
    "partial": functools.partial(wrappers.NormalizeReward, gamma=0.9),
    "subclass": OwnNormalizeReward,
    "inside of another": inside,
    "RunningMeanStd": lambda env: HoldsStatistics(env, RunningMeanStd(shape=(3,))),
    "in a dictionary": lambda env: HoldsStatistics(env, {"observation": RunningMeanStd(shape=(3,))}),
    "in a list": lambda env: HoldsStatistics(env, [RunningMoments()]),
    "of another class": lambda env: HoldsStatistics(env, RunningMoments()),
    "moments of its own": IsStatistics,
    "vector NormalizeObservation": wrappers.vector.NormalizeObservation,
    "vector NormalizeReward": wrappers.vector.NormalizeReward,
}


@pytest.mark.parametrize("name", WRAPPERS)
def test_fault_04_a_wrapper_with_running_statistics_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match=NAMES):
        load_vector("Pendulum-v1", 2, wrappers=[WRAPPERS[name]])


def normalized() -> gymnasium.Env:
    return wrappers.NormalizeObservation(gymnasium.make("Pendulum-v1"))


def train(root: pathlib.Path, **settings: Any) -> Any:
    return expol_tf.train(root / "run", **{"task": "Pendulum-v1", "num_env_steps": 1, **settings})


PATHS: dict[str, Callable[[pathlib.Path], Any]] = {
    "train": lambda root: train(root, wrappers=[wrappers.NormalizeReward]),
    "train, of a factory": lambda root: train(root, task=normalized),
    "train, of an environment": lambda root: train(root, task=normalized(), num_envs=1, eval_interval=0),
    "evaluation": lambda root: Evaluator("Pendulum-v1", 0, wrappers=[wrappers.NormalizeObservation]).evaluate(
        None, 0
    ),
    "load": lambda root: load(normalized),
    "load_vector": lambda root: load_vector(normalized()),
    "video": lambda root: record_video(
        lambda _: [[0.0]], "Pendulum-v1", root / "film.gif", wrappers=[wrappers.NormalizeReward]
    ),
    "vector environment": lambda root: SyncVectorEnvironment([normalized()]),
    "check_task": lambda root: check_task("Pendulum-v1", wrappers=[wrappers.vector.NormalizeReward]),
}


@pytest.mark.parametrize("name", PATHS)
def test_fault_04_it_is_refused_on_every_way_to_an_environment(name: str, tmp_path: pathlib.Path) -> None:
    with pytest.raises(ConfigurationError, match=NAMES):
        PATHS[name](tmp_path)


def frozen(env: gymnasium.Env) -> gymnasium.Env:
    env = wrappers.NormalizeObservation(env)
    env.obs_rms.mean, env.obs_rms.var = np.ones(3), np.full(3, 4.0)
    env.update_running_mean = False
    return env


class Bandit(gymnasium.Env):
    """A task that has such names for other things."""

    observation_space = action_space = gymnasium.spaces.Box(-1, 1, (1,))

    def __init__(self) -> None:
        self.mean, self.std, self.count = 0.5, 1.0, 0


def test_what_learns_nothing_passes() -> None:
    given = load_vector("Pendulum-v1", seed=0, wrappers=[frozen])
    plain = load_vector("Pendulum-v1", seed=0)
    np.testing.assert_allclose(given.reset(), (plain.reset() - 1) / 2, rtol=1e-5)
    load_vector(Bandit)
    load_vector(
        "Pendulum-v1", wrappers=[functools.partial(wrappers.RescaleAction, min_action=-1, max_action=1)]
    )


SHARED = RunningMoments()


class CallableMoments:
    """Learns when it is called."""

    def __init__(self) -> None:
        self.mean, self.var, self.count = np.zeros(3), 1.0, 0

    def __call__(self, value: np.ndarray) -> np.ndarray:
        self.count += 1
        self.mean += (value - self.mean) / self.count
        return value - self.mean


class Holder:
    """Holds another object."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner


class OfClass(gymnasium.Wrapper):
    rms = RunningMeanStd(shape=(3,))


class MadeAtFirstUse(gymnasium.ObservationWrapper):
    def observation(self, observation: np.ndarray) -> np.ndarray:
        if not hasattr(self, "rms"):
            self.rms = RunningMeanStd(shape=(3,))
        return observation


class MadeAtFirstStep(gymnasium.RewardWrapper):
    def reward(self, reward: Any) -> Any:
        self.rms = RunningMeanStd()
        return reward


class UsesAGlobal(gymnasium.ObservationWrapper):
    def observation(self, observation: np.ndarray) -> np.ndarray:
        SHARED.update(float(observation[0]))
        return observation


def with_closure(env: gymnasium.Env) -> gymnasium.Env:
    moments = RunningMoments()

    def observe(observation: np.ndarray) -> np.ndarray:
        moments.update(float(observation[0]))
        return observation

    return wrappers.TransformObservation(env, observe, None)


def with_method(env: gymnasium.Env) -> gymnasium.Env:
    return wrappers.TransformObservation(env, CallableMoments().__call__, None)


HIDDEN: dict[str, Callable] = {
    "class": OfClass,
    "first use": MadeAtFirstUse,
    "first step": MadeAtFirstStep,
    "global": UsesAGlobal,
    "closure": with_closure,
    "method": with_method,
    "called": lambda env: HoldsStatistics(env, CallableMoments()),
    "nested": lambda env: HoldsStatistics(env, {"all": {"observation": RunningMeanStd(shape=(3,))}}),
    "in an object": lambda env: HoldsStatistics(env, Holder(RunningMoments())),
}


@pytest.mark.parametrize("name", HIDDEN)
def test_fault_04_running_statistics_are_found_wherever_a_wrapper_holds_them(name: str) -> None:
    with pytest.raises(ConfigurationError, match=NAMES):
        env = load_vector("Pendulum-v1", 2, seed=0, wrappers=[HIDDEN[name]])
        env.reset()
        env.step(np.zeros((2, 1), np.float32))


def welford(*names: str) -> Callable[[gymnasium.Env], gymnasium.Env]:
    """The wrapper class of Welford's algorithm with these names of count, mean and squares."""
    count, mean, squares = names

    class Welford(gymnasium.ObservationWrapper):
        def __init__(self, env: gymnasium.Env) -> None:
            super().__init__(env)
            vars(self).update({count: 0, mean: np.zeros(3), squares: np.zeros(3)})

        def observation(self, observation: np.ndarray) -> np.ndarray:
            held = vars(self)
            held[count] += 1
            difference = observation - held[mean]
            held[mean] = held[mean] + difference / held[count]
            held[squares] += difference * (observation - held[mean])
            return observation - held[mean]

    return Welford


class MovingReward(gymnasium.RewardWrapper):
    scale = 1.0

    def reward(self, reward: Any) -> Any:
        self.scale = 0.99 * self.scale + 0.01 * abs(float(reward))
        return reward / self.scale


class Ordinary(gymnasium.Wrapper):
    """Holds numbers that change, as many wrappers do, and sets them when an episode begins."""

    def __init__(self, env: gymnasium.Env) -> None:
        super().__init__(env)
        self.episodes = self.all_steps = 0

    def reset(self, **options: Any) -> Any:
        observation, info = self.env.reset(**options)
        self.episodes += 1
        self.total, self.steps, self.last = 0.0, 0, observation
        return observation, info

    def step(self, action: Any) -> Any:
        observation, reward, *rest = self.env.step(action)
        self.total += float(reward)
        self.steps += 1
        self.all_steps += 1
        self.last = observation
        return observation, reward, *rest


def warnings_of(wrapper: Callable, caplog: pytest.LogCaptureFixture) -> str:
    env = load_vector("Pendulum-v1", 2, seed=0, wrappers=[wrapper], make_kwargs={"max_episode_steps": 5})
    env.reset()
    for _ in range(3 * 6):
        env.step(np.ones((2, 1), np.float32))
    return caplog.text


@pytest.mark.parametrize(
    "names",
    [
        ("n", "mean", "S"),
        ("k", "M", "S"),
        ("t", "mu", "sigma2"),
        ("count", "obs_mean", "obs_var"),
        ("count", "mean", "sum_sq"),
    ],
)
def test_fault_04_statistics_under_other_names_are_warned_of(
    names: tuple[str, ...], caplog: pytest.LogCaptureFixture
) -> None:
    text = warnings_of(welford(*names), caplog)
    assert text.count("no reset sets anew") == 1
    assert f"anew: {', '.join(sorted(names))}. If" in text and "observation_normalizer" in text


def test_fault_04_a_moving_average_of_rewards_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    assert "MovingReward has numbers" in warnings_of(MovingReward, caplog)


def test_wrappers_that_learn_nothing_are_not_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    assert "sets anew" not in warnings_of(Ordinary, caplog)
