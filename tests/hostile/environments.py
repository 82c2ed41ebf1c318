"""Environments that misbehave: modules of a user's, with one fault each (item 17)."""

from __future__ import annotations

import functools
import random
from typing import Any, NamedTuple

from tests.hostile import programs, values
from tests.hostile.trial import Meant, Trial

_MODULE = '''\
"""A task of a user's own."""

import sys

import gin
import gymnasium
import numpy as np


class TaskError(Exception):
    pass


class Unspeakable(Exception):
    def __str__(self):
        raise RuntimeError("no words")


class MyTask(gymnasium.Env):
    metadata = {{"render_modes": ["rgb_array"], "render_fps": 30}}
    made = 0

    def __init__(self, render_mode=None):
        self.render_mode = render_mode
        self.observation_space = gymnasium.spaces.Box(-10.0, 10.0, (3,), np.float32)
        self.action_space = gymnasium.spaces.Box(-1.0, 1.0, (2,), np.float32)
        self.steps = self.resets = self.t = 0
        MyTask.made += 1
{init}

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.t = 0
        self.resets += 1
        observation, info = self.np_random.normal(size=3).astype(np.float32), {{}}
{reset}
        return observation, info

    def step(self, action):
        self.t += 1
        self.steps += 1
        observation = self.np_random.normal(size=3).astype(np.float32)
        reward, terminated, truncated, info = float(-np.square(action).sum()), self.t >= 5, False, {{}}
{step}
        return observation, reward, terminated, truncated, info

    def render(self):
        return np.zeros((8, 8, 3), np.uint8)

    def close(self):
        pass
{close}


@gin.configurable
def make(render_mode=None):
{make}
    return MyTask(render_mode)


gymnasium.register("My-v0", entry_point=make{register})
'''


class Fault(NamedTuple):
    """A statement at a place of the module, under a condition.

    Attributes:
      place: init, reset, step, close, make or register.
      condition: When it comes about; empty for always.
      statement: What is done then.
      nonsense: Whether it cannot be meant.
    """

    place: str
    condition: str
    statement: str
    nonsense: bool = True


def module(fault: Fault | None) -> str:
    """Returns the source of the task with the fault."""
    slots = dict.fromkeys(("init", "reset", "step", "close", "make", "register"), "")
    if fault is not None and fault.place == "register":
        slots["register"] = fault.statement
    elif fault is not None:
        indent = "    " if fault.place == "make" else "        "
        lines = fault.statement.splitlines()
        if fault.condition:
            lines = [f"if {fault.condition}:", *(f"    {line}" for line in lines)]
        slots[fault.place] = "\n".join(f"{indent}{line}" for line in lines)
    return _MODULE.format(**slots)


GOOD_MODULE = module(None)

_RAISED = (
    "raise ValueError('the robot fell')", "raise TaskError('no text\\nsecond line')", "raise TaskError",
    "raise Unspeakable", "raise StopIteration", "raise KeyError('position')", "1 / 0", "raise MemoryError",
    "[][3]", "None.shape", "undefined_name", "assert False", "raise RecursionError('deep')",
    "raise ImportError('x')", "sys.exit(0)", "sys.exit(1)", "sys.exit('gone')", "sys.exit()",
    "raise GeneratorExit", "raise OSError(28, 'No space left')", "raise gymnasium.error.Error('mine')",
    "raise UnicodeDecodeError('utf-8', b'x', 0, 1, 'bad')",
    "raise ExceptionGroup('several', [ValueError(1), TypeError(2)])", "raise Exception('x' * 100_000)",
    "raise BaseException('base')", "raise TypeError('mine')", "raise AttributeError('mine')",
    "raise NotImplementedError", "raise BrokenPipeError", "raise TimeoutError('slow')", "raise EOFError",
    "raise ValueError('\\ud800')", "exec('def f(): return f()\\nf()')", "raise SystemError('c')",
)  # fmt: skip
_OBSERVATIONS = (
    "None", "'text'", "{'a': 1}", "observation + 1j", "observation[None]", "observation[:, None]",
    "observation[:2]", "np.zeros(4)", "np.zeros(0)", "1.0", "np.float32(1)", "np.full(3, np.nan)",
    "np.full(3, np.inf)", "np.ma.masked_array(observation, [1, 0, 0])", "np.array([1, 'a', None], object)",
    "b'abc'", "(x for x in observation)", "[[1], [2, 3]]", "object()", "np.array(['1', '2', '3'])",
    "np.zeros(1)", "observation[None, None]", "[1.0, None, 2.0]", "set(observation.tolist())", "lambda: 0",
    "{0: 1, 1: 2, 2: 3}", "range(4)", "'abc'", "np.array([1, 2, np.nan])", "np.zeros(3, 'datetime64[s]')",
    "np.zeros(3, [('x', 'f4')])", "np.float32('nan')", "10**400", "[10**400, 1, 2]",
)  # fmt: skip
_REWARDS = (
    "None", "'a lot'", "np.ones(2)", "[1.0, 2.0]", "float('nan')", "float('inf')", "-np.inf", "1j", "{}",
    "object()", "np.ones((1, 2))", "b'1'", "(1, 2)", "np.array('x')", "lambda: 1", "10**400",
    "np.datetime64('2020')", "[]", "'1'",
)  # fmt: skip
_ENDS = (
    "None", "'no'", "float('nan')", "np.array([True, False])", "[]", "{}", "object()", "'False'",
    "np.array(None)", "0.5", "2", "-1", "1j", "b''", "()", "np.ones((1, 1, 2))", "np.nan", "lambda: False",
    "''",
)  # fmt: skip
_RETURNS = (
    "return observation, reward, terminated, info",
    "return observation, reward, terminated, truncated, info, 1", "return observation", "return None",
    "return", "return ()", "return observation, reward", "return 'abcde'",
    "return {'observation': observation}", "return 5", "return [observation, reward, terminated]",
    "return (x for x in (observation, reward))", "return observation, (reward, terminated), truncated, info",
)  # fmt: skip
_RESETS = (
    "return observation", "return None", "return", "return observation, info, 1", "return ()", "return 'ab'",
    "return observation, observation, observation", "return info, observation", "return {'a': 1, 'b': 2}",
    "return 3",
)  # fmt: skip
_SPACES = (
    "self.observation_space = None", "self.action_space = None",
    "self.action_space = gymnasium.spaces.Discrete(3)",
    "self.observation_space = gymnasium.spaces.Box(-1, 1, (3, 2))", "self.action_space = 'box'",
    "del self.action_space", "self.observation_space = gymnasium.spaces.Dict(a=self.observation_space)",
    "self.action_space = gymnasium.spaces.Box(-np.inf, np.inf, (2,))", "self.observation_space = (3,)",
    "self.action_space = gymnasium.spaces.Box(1.0, 1.0, (2,))",
    "self.action_space = gymnasium.spaces.Box(-1, 1, (0,))",
    "self.observation_space = gymnasium.spaces.Box(-1, 1, (0,))", "self.action_space.low = None",
    "self.action_space = gymnasium.spaces.Box(-1, 1, ())", "self.observation_space = gymnasium.spaces.Box",
    "self.action_space = gymnasium.spaces.Box(-3, 3, (2,), np.int32)", "self.action_space.high[:] = np.nan",
    "self.action_space = gymnasium.spaces.MultiBinary(2)", "self.observation_space.shape = None",
)  # fmt: skip
_OTHER_SPACES = (
    "self.action_space = gymnasium.spaces.Box(-1, 1, (4,))",
    "self.observation_space = gymnasium.spaces.Box(-1, 1, (4,))",
    "self.action_space = gymnasium.spaces.Discrete(3)",
    "self.action_space = gymnasium.spaces.Box(-5, 5, (2,))", "self.action_space = None",
    "self.observation_space = None",
)  # fmt: skip
_MAKES = (
    "return None", "return MyTask", "return 3", "return 'My-v0'", "return [MyTask()]", "return object()",
    "return lambda: MyTask()", "return MyTask, {}", "return MyTask().action_space", "return np.zeros(3)",
)  # fmt: skip
_REGISTER = (
    ", max_episode_steps=0", ", max_episode_steps=-3", ", max_episode_steps=float('nan')",
    ", max_episode_steps='a'", ", max_episode_steps=1.5", ", max_episode_steps=[1]",
    ", kwargs={'no_such': 1}", ", max_episode_steps=-10**9",
)  # fmt: skip


def draw_fault(rng: random.Random, steps: int = 12, resets: int = 3) -> Fault:
    """Draws a fault that an environment comes upon within so many steps and resets."""
    kind = rng.randrange(10)
    late_step = values.pick(
        rng, "", "self.steps == 1", f"self.steps == {rng.randint(2, steps)}", "self.t == 2", "self.t >= 5"
    )
    late_reset = values.pick(
        rng, "", "self.resets == 1", f"self.resets == {resets}", f"self.resets == {rng.randint(1, resets)}"
    )
    if kind <= 1:
        place = rng.choice(["init", "reset", "step", "step", "step", "close", "make"])
        condition = {"step": late_step, "reset": late_reset}.get(place, "")
        if place in ("make", "init"):
            # In the second copy: its maker is called when one has been made, which a task counts at once.
            condition = rng.choice(["", f"MyTask.made >= {1 if place == 'make' else 2}"])
        return Fault(place, condition, rng.choice(_RAISED))
    if kind == 2:
        return Fault("reset", late_reset, f"observation = {rng.choice(_OBSERVATIONS)}")
    if kind == 3:
        return Fault("step", late_step, f"observation = {rng.choice(_OBSERVATIONS)}")
    if kind == 4:
        return Fault("step", late_step, f"reward = {rng.choice(_REWARDS)}")
    if kind == 5:
        return Fault("step", late_step, f"{rng.choice(['terminated', 'truncated'])} = {rng.choice(_ENDS)}")
    if kind == 6:
        return Fault("step", late_step, rng.choice(_RETURNS))
    if kind == 7:
        return Fault("reset", late_reset, rng.choice(_RESETS))
    if kind == 8:
        if rng.random() < 0.6:
            return Fault("init", "", rng.choice(_SPACES))
        # Another one in a later copy, or after the environment was made.
        place, condition = rng.choice(
            [("init", "MyTask.made >= 2"), ("reset", ""), ("step", "self.steps == 2")]
        )
        return Fault(place, condition, rng.choice(_OTHER_SPACES), nonsense=place == "init")
    if rng.random() < 0.5:
        return Fault("make", rng.choice(["", "MyTask.made >= 1"]), rng.choice(_MAKES))
    return Fault("register", "", rng.choice(_REGISTER), nonsense=False)


def _own_task(task: str, *more: str, algorithm: str = "ddpg") -> list[str]:
    bindings = ("import my_task", f"train.task = {task}", "GAMMA = 0.9", *more)
    return programs.experiment(algorithm, *bindings, task="")


def train(rng: random.Random) -> Trial:
    """A run of `expol-train` on such an environment; now and then a good one."""
    fault = None if rng.random() < 0.04 else draw_fault(rng)
    registered = fault is not None and fault.place == "register" or rng.random() < 0.3
    algorithm = rng.choice(["ddpg", "ddpg", "ddpg", "gaussian_ppo"])
    # Where the maker is called by gin or by Gymnasium makes a difference to what its errors go through.
    if registered:
        task = "'my_task:My-v0'"
    else:
        task = "@my_task.make"
    act = programs.program("train", *_own_task(task, algorithm=algorithm))
    return _trial(f"expol-train {algorithm} with TASK {task}", fault, act)


def evaluate(rng: random.Random) -> Trial:
    """`expol-evaluate` of a good run whose environment misbehaves now."""
    # Each environment makes one episode, of five steps.
    fault = draw_fault(rng, steps=4, resets=1)
    if fault.place == "register":  # The run's task is the function.
        fault = Fault("step", "", f"observation = {rng.choice(_OBSERVATIONS)}")
    arguments = ["--root_dir=own", f"--episodes={rng.randint(2, 5)}"]
    if rng.random() < 0.3:
        arguments.append("--video_path=v.gif")
    act = programs.with_copies(["own"], lambda: None, programs.program("evaluate", *arguments))
    return _trial(programs.shown("evaluate", *arguments), fault, act)


def python(rng: random.Random) -> Trial:
    """The same environments through Python: `train`, `load_vector`, `load`, `check_environment`."""
    fault = draw_fault(rng)
    way = rng.choice([_train, _load_vector, _load_vector, _load, _load, _check])
    also = (AssertionError,) if way is _check else ()
    if way is _check and fault.place == "close":  # It only looks at steps.
        fault = fault._replace(nonsense=False)
    task = "my_task:My-v0" if fault.place == "register" or rng.random() < 0.2 else ""
    act = programs.calling(functools.partial(way, task), *also)
    return _trial(f"{way.__name__.strip('_')} of {task or 'my_task.make'} from Python", fault, act)


def _trial(what: str, fault: Fault | None, act: Any) -> Trial:
    meant = Meant.VALID if fault is None else Meant.NONSENSE if fault.nonsense else Meant.EITHER
    shown = (
        "a good environment"
        if fault is None
        else f"{fault.place}: {fault.condition or 'always'}: {fault.statement}"
    )
    act = programs.after_writing({"my_task.py": module(fault)}, act)
    # Where only closing fails the run itself is good: a word is enough.
    word = r"close" if fault is not None and fault.place == "close" else ""
    return Trial(f"{what}; {shown}", act, meant, word)


def _task(name: str) -> Any:
    import os
    import sys

    sys.path.insert(0, os.getcwd())
    if name:
        return name
    import my_task  # type: ignore[import-not-found]

    return my_task.make


def _train(task: str) -> None:
    import expol_tf
    from expol_tf.agents import DdpgAgent
    from expol_tf.networks import CriticNetwork, DeterministicActorNetwork
    from expol_tf.training import OffPolicyRunner

    expol_tf.train(
        "run",
        _task(task),
        agent=DdpgAgent,
        actor_network=functools.partial(DeterministicActorNetwork, hidden_units=(4,)),
        critic_network=functools.partial(CriticNetwork, hidden_units=(4,)),
        runner=functools.partial(OffPolicyRunner, iteration_steps=32, warm_up_steps=32, batch_size=8),
        num_envs=2,
        num_env_steps=64,
        eval_episodes=1,
    )


def _load_vector(task: str) -> None:
    from expol_tf.environments import load_vector

    _step(load_vector(_task(task), 2, 0))


def _load(task: str) -> None:
    from expol_tf.environments import load

    _step(load(_task(task), 2, 0))


def _step(env: Any) -> None:
    import numpy as np

    try:
        env.reset()
        for _ in range(30):
            env.step(np.zeros((2, 2), np.float32))
    finally:
        env.close()


def _check(task: str) -> None:
    from expol_tf.environments import load
    from expol_tf.testing import check_environment

    made = _task(task)
    check_environment(lambda seed: load(made, 2, seed))
