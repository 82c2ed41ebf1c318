"""Mistakes of callers from Python: shapes, types and kinds of arguments of the public entries (item 13)."""

from __future__ import annotations

import functools
import random
from collections.abc import Callable
from typing import Any

from tests.hostile import programs, values
from tests.hostile.trial import Meant, Trial

# What is done to an array, by whether the result can be meant. `x` is the array, `np` NumPy.
_SHAPES: dict[str, bool] = {
    "x[..., np.newaxis]": False,
    "x[np.newaxis]": False,
    "x[0]": False,
    "x[:-1]": False,
    "np.concatenate([x, x])": False,
    "x.sum()": False,
    "x[:0]": False,
    "np.repeat(x[..., np.newaxis], 3, -1)": False,
    "x.astype(str)": False,
    "x.astype(object)": True,  # Of real numbers.
    "x + 1j": False,
    "None": False,
    "'text'": False,
    "{'a': x}": False,
    "object()": False,
    "lambda: x": False,
    "[x.tolist(), 3]": False,
    "x.tolist()": True,
    "x.astype(np.float64)": True,
    "tf.constant(x)": True,
    "x.reshape(-1)[:1]": False,
    "np.float32(3)": False,
    "set()": False,
}
_OBSERVATIONS = {
    "(x[0], x[1])": True, "(x, {})": False, "np.ma.masked_array(x, x > 0)": False, "x * np.nan": False,
    "[None, None]": False, "True": False, "[[1, 2], [3]]": False, "x > 0": True, "b'12'": False,
}  # fmt: skip
_FIELDS = ("observation", "action", "reward", "discount", "next_observation", "valid", "seed")


def _shaped(expression: str, x: Any) -> Any:
    import numpy as np
    import tensorflow as tf

    return eval(expression, {"x": x, "np": np, "tf": tf})


def specs() -> Any:
    from expol_tf.environments import load_vector, time_step_spec

    env = load_vector("expol/MultiGoal-v0", 3, 0)
    return env, time_step_spec(env), env.action_spec


def _off_policy_agent(name: str = "DdpgAgent") -> Any:
    from expol_tf import agents, networks

    _, time_step_spec, action_spec = specs()
    observation_spec = time_step_spec.observation
    actor = networks.DeterministicActorNetwork(observation_spec, action_spec, hidden_units=(4,))
    if name == "SacAgent":
        log_std = networks.LogStd(state_dependent=True)
        actor = networks.GaussianActorNetwork(
            observation_spec, action_spec, hidden_units=(4,), squash=True, log_std=log_std
        )
    critic = networks.CriticNetwork(observation_spec, action_spec, hidden_units=(4,))
    return getattr(agents, name)(time_step_spec, action_spec, actor, critic)


def _on_policy_agent() -> Any:
    from expol_tf import agents, networks

    _, time_step_spec, action_spec = specs()
    observation_spec = time_step_spec.observation
    return agents.PpoAgent(
        time_step_spec,
        action_spec,
        networks.GaussianActorNetwork(observation_spec, action_spec, hidden_units=(4,)),
        networks.ValueNetwork(observation_spec, hidden_units=(4,)),
        acting=agents.Acting(jit_compile=False),
    )


def _update(name: str, field: str, expression: str) -> None:
    import numpy as np
    import tensorflow as tf

    from expol_tf.agents import Transitions

    agent = _off_policy_agent(name)
    given: dict[str, Any] = dict(
        observation=np.ones((5, 2), np.float32),
        action=np.zeros((5, 2), np.float32),
        reward=np.arange(5, dtype=np.float32),
        discount=np.ones(5, np.float32),
        next_observation=np.ones((5, 2), np.float32),
        valid=np.ones(5, bool),
    )
    seed: Any = np.array([1, 2], np.int32)
    if field == "seed":
        seed = _shaped(expression, seed)
    else:
        given[field] = _shaped(expression, given[field])
    try:
        metrics = agent.update(Transitions(**given), seed)
    except tf.errors.OpError as error:
        raise RuntimeError("an error of TensorFlow's") from error
    assert np.isfinite(float(metrics["critic_loss"]))


def update(rng: random.Random) -> Trial:
    """`ActorCriticAgent.update` with one field of another shape or kind."""
    name, field = rng.choice(["DdpgAgent", "DdpgAgent", "SacAgent"]), rng.choice(_FIELDS)
    expression, fine = rng.choice(list(_SHAPES.items()))
    # `valid` may be left out, and one number is one shape where only one is asked for.
    fine |= field == "valid" and expression == "None"
    act = programs.calling(functools.partial(_update, name, field, expression))
    return Trial(f"{name}.update with {field} = {expression}", act, Meant.EITHER if fine else Meant.NONSENSE)


def _train_on(kind: str, field: str, expression: str) -> None:
    import numpy as np
    import tensorflow as tf
    from tf_agents.trajectories import trajectory

    agent = _on_policy_agent() if kind == "on" else _off_policy_agent()
    frames = 6 if kind == "on" else 2
    shape = (3, frames)
    info: Any = ()
    if kind == "on":
        info = tf.nest.map_structure(
            lambda spec: np.zeros((*shape, *spec.shape), np.float32), agent.collect_policy.info_spec
        )
    given: dict[str, Any] = dict(
        step_type=np.ones(shape, np.int32),
        observation=np.ones((*shape, 2), np.float32),
        action=np.zeros((*shape, 2), np.float32),
        policy_info=info,
        next_step_type=np.ones(shape, np.int32),
        reward=np.ones(shape, np.float32),
        discount=np.ones(shape, np.float32),
    )
    if field == "policy_info":
        given[field] = {"x": info} if expression.startswith("x") else _shaped(expression, np.ones(3))
    elif field == "all":
        given = {
            name: value if name == "policy_info" else _shaped(expression, value)
            for name, value in given.items()
        }
    else:
        given[field] = _shaped(expression, given[field])
    agent.train(trajectory.Trajectory(**given))


def train_on(rng: random.Random) -> Trial:
    """`agent.train` on a trajectory with one field, or all, of another shape or kind."""
    kind = rng.choice(["on", "off"])
    field = rng.choice(
        ["observation", "action", "reward", "discount", "step_type", "next_step_type", "policy_info", "all"]
    )
    expression, fine = rng.choice(list(_SHAPES.items()))
    # More of everything, or another type of numbers, is another batch.
    fine |= field == "all" and expression in ("np.concatenate([x, x])", "x[:-1]")
    fine |= field == "policy_info" or "step_type" in field
    act = programs.calling(functools.partial(_train_on, kind, field, expression))
    what = f"{kind}-policy agent.train with {field} = {expression}"
    return Trial(what, act, Meant.EITHER if fine else Meant.NONSENSE)


def _act(base: str, expression: str, deterministic: Any) -> None:
    import numpy as np

    import expol_tf

    policy = expol_tf.load_policy(base)
    action = policy.act(_shaped(expression, np.ones((5, 2), np.float32)), deterministic=deterministic)
    assert np.isfinite(action).all()


def act(rng: random.Random) -> Trial:
    """`load_policy(…).act` on something that is no observation."""
    base = rng.choice(["ddpg", "gaussian_ppo"])
    expression, fine = rng.choice(list(_SHAPES.items()))
    fine |= expression in (
        "x[0]",
        "x[:-1]",
        "np.concatenate([x, x])",
        "x[:0]",
        "x.astype(object)",
        "x.astype(str)",
    )
    if rng.random() < 0.4:
        expression, fine = rng.choice(list(_OBSERVATIONS.items()))
    call = programs.calling(functools.partial(_act, base, expression, rng.random() < 0.5))
    meant = Meant.EITHER if fine else Meant.NONSENSE
    return Trial(
        f"load_policy({base!r}).act({expression})", programs.with_copies([base], lambda: None, call), meant
    )


def _vector(expression: str, what: str) -> None:
    import numpy as np

    from expol_tf.environments import load, load_vector

    if what == "step":
        env = load_vector("expol/MultiGoal-v0", 3, 0)
        env.reset()
        env.step(_shaped(expression, np.zeros((3, 2), np.float32)))
    elif what == "active":
        env = load_vector("expol/MultiGoal-v0", 3, 0)
        env.reset()
        env.step(np.zeros((3, 2), np.float32), _shaped(expression, np.ones(3, bool)))
    elif what == "state":
        env = load_vector("Pendulum-v1", 3, 0)
        env.reset()
        state = env.get_state()
        name = sorted(state)[len(expression) % len(state)]
        state[name] = _shaped(expression, state[name])
        env.set_state(state)
    else:
        environment = load("expol/MultiGoal-v0", 3, 0)
        environment.reset()
        environment.step(_shaped(expression, np.zeros((3, 2), np.float32)))


def vector(rng: random.Random) -> Trial:
    """`step` and `set_state` of environments with actions, masks and states of another shape or kind."""
    what = rng.choice(["step", "active", "state", "py_environment"])
    expression, fine = rng.choice(list(_SHAPES.items()))
    fine |= what == "active" and expression in ("None",)
    fine |= what == "state"
    fine |= expression in ("x.astype(object)", "x.astype(str)")  # Numbers all the same.
    act_ = programs.calling(functools.partial(_vector, expression, what))
    return Trial(f"{what} = {expression} of an environment", act_, Meant.EITHER if fine else Meant.NONSENSE)


def own_bindings(rng: random.Random) -> Trial:
    """A user's own gin bindings beside ours: allowed where their function is registered."""
    registered = rng.random() < 0.6
    decorator = (
        rng.choice(["@gin.configurable", "@gin.configurable('mine')", "@gin.configurable(module='lab')"])
        if registered
        else ""
    )
    name = {"@gin.configurable('mine')": "mine", "@gin.configurable(module='lab')": "lab.helper"}.get(
        decorator, "helper"
    )
    value = values.number(rng) if rng.random() < 0.7 else values.word(rng)
    source = f"import gin\n\n{decorator}\ndef helper(size=1, name='x'):\n    return size\n"
    parameter = rng.choice(["size", "size", "name", "siez"])
    arguments = [
        *programs.experiment("ddpg"),
        "--gin_bindings=import my_helpers",
        f"--gin_bindings={name}.{parameter} = {value}",
    ]
    act_ = programs.after_writing({"my_helpers.py": source}, programs.program("train", *arguments))
    nonsense = not registered or parameter == "siez"
    return Trial(
        f"{name}.{parameter} = {value} beside ours, {decorator or 'not registered'}",
        act_,
        Meant.NONSENSE if nonsense else Meant.EITHER,
    )


def combinations(rng: random.Random) -> Trial:
    """Reports and figures of runs that do not belong together, videos of tasks without pictures."""
    way = rng.randrange(5)
    noop: Callable[[], None] = lambda: None  # noqa: E731
    bases = rng.sample(["ddpg", "gaussian_ppo", "own"], rng.randint(1, 3))
    if way == 0:
        arguments = ["--output_dir=out", "--repetitions=20", *(f"--root_dir={base}" for base in bases)]
        return Trial(
            programs.shown("report", *arguments),
            programs.with_copies(bases, noop, programs.program("report", *arguments)),
        )
    if way == 1:
        figure = rng.choice(["run_entropy", "run_entropy", "no_such", "multigoal"])
        arguments = [f"--figure={figure}", "--output_dir=out", *(f"--root_dir={base}" for base in bases)]
        return Trial(
            programs.shown("figures", *arguments),
            programs.with_copies(bases, noop, programs.program("figures", *arguments)),
            limit_s=240.0,
        )
    if way == 2:
        base = bases[0]
        suffix = rng.choice([".gif", ".mp4", ".txt", "", ".GIF"])
        arguments = [f"--root_dir={base}", "--episodes=1", f"--video_path=v{suffix}"]
        return Trial(
            programs.shown("evaluate", *arguments),
            programs.with_copies([base], noop, programs.program("evaluate", *arguments)),
        )
    if way == 3:
        peers = rng.choice(
            [
                "a,b\n1,2\n",
                "",
                "env_step,episode_return\nx,y\n",
                "env_step,episode_return_mean,episodes\n1,nan,1\n",
                "\x00",
                "task\n",
            ]
        )
        arguments = ["--output_dir=out", "--repetitions=20", f"--root_dir={bases[0]}", "--peer_csv=peer.csv"]
        act_ = programs.with_copies(
            bases[:1],
            noop,
            programs.after_writing({"peer.csv": peers}, programs.program("report", *arguments)),
        )
        return Trial(f"{programs.shown('report', *arguments)} with {peers!r}", act_)
    row = rng.choice(
        [
            "ddpg,x,0,ddpg,finished",
            "ddpg,x,0,nowhere,failed",
            ",,,,",
            "a",
            "a,b,c,d,e,f,g",
            "x,y,z,../..,?",
            "\x00",
        ]
    )
    table = "experiment,task,seed,directory,status\n" + row + "\n"
    arguments = ["--output_dir=out", "--repetitions=20", "--root_dir=."]
    act_ = programs.with_copies(
        bases, noop, programs.after_writing({"sweep.csv": table}, programs.program("report", *arguments))
    )
    return Trial(f"{programs.shown('report', *arguments)} of {bases} with sweep.csv {row!r}", act_)
