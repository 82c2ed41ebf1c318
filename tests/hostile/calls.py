"""Arguments of `expol_tf.train` and calls of public functions that cannot be meant (item 13)."""

from __future__ import annotations

import functools
import random
from typing import Any

from tests.hostile import callers, programs
from tests.hostile.trial import Meant, Trial

_ARGUMENTS: dict[str, list[str]] = {
    "task": [
        "None", "3", "''", "'No-v0'", "Pendulum", "Pendulum()", "lambda: 3", "['Pendulum-v1']",
        "b'Pendulum-v1'", "dict", "lambda x: Pendulum()", "'Pendulum-v1\\n'", "np.str_('Pendulum-v1')",
    ],
    "agent": [
        "None", "DdpgAgent(1)", "'DdpgAgent'", "3", "dict", "lambda *a, **k: None", "lambda: 3",
        "CriticNetwork", "partial(DdpgAgent, nonsense=1)", "partial(DdpgAgent, acting=3)", "[DdpgAgent]",
        "object", "int", "Pendulum",
    ],
    "actor_network": [
        "3", "'x'", "CriticNetwork", "lambda *a: None", "lambda: 1",
        "partial(DeterministicActorNetwork, hidden=3)", "GaussianActorNetwork",
        "partial(DeterministicActorNetwork, hidden_units=np.int64(4))", "dict", "object()",
    ],
    "critic_network": [
        "3", "ValueNetwork", "DeterministicActorNetwork", "lambda *a: 1", "partial(CriticNetwork, 3, 4, 5)",
        "lambda *a: None",
    ],
    "value_network": ["ValueNetwork", "3", "CriticNetwork"],
    "observation_normalizer": [
        "3", "'x'", "ObservationNormalizer", "lambda spec: 3", "DdpgAgent", "''", "lambda: 1", "[]",
    ],
    "runner": [
        "3", "OnPolicyRunner", "lambda *a: None", "lambda: 3", "partial(OffPolicyRunner, steps=3)",
        "OffPolicyRunner(1, 2)", "dict",
        "partial(OffPolicyRunner, iteration_steps=np.int64(32), warm_up_steps=np.int32(32))",
    ],
    "num_envs": [
        "np.int64(2)", "np.float32(2)", "2.0", "np.array(2)", "[2]", "np.array([2])", "np.bool_(True)",
    ],
    "num_env_steps": [
        "np.int64(64)", "1e2", "np.float64(64)", "np.array(64)", "np.array([64])", "Fraction(64)",
        "Decimal(64)", "64j",
    ],
    "seed": [
        "np.int64(1)", "np.uint8(3)", "np.array(1)", "np.random.default_rng(0)", "2**40", "2**70",
        "np.array([1, 2])", "1.0",
    ],
    "eval_interval": ["np.int64(32)", "1e2", "np.array([1])", "Fraction(1, 2)", "'a'"],
    "eval_episodes": ["np.int64(1)", "1.0", "np.array([1])"],
    "wrappers": [
        "Pendulum", "[Pendulum]", "[lambda env: None]", "[3]", "np.array([1])", "'x'", "[gymnasium.Wrapper]",
        "[lambda: 3]", "{1: 2}", "[partial(gymnasium.wrappers.TimeLimit, max_episode_steps=0)]",
        "[gymnasium.wrappers.FlattenObservation, 3]", "[gymnasium.wrappers.NormalizeObservation]",
        "[gymnasium.wrappers.TimeLimit]", "(x for x in [])",
    ],
    "make_kwargs": [
        "{'no_such': 1}", "{'g': 'text'}", "{'render_mode': 'nothing'}", "{1: 2}", "[('g', 1.0)]",
        "{'max_episode_steps': 0}", "{'max_episode_steps': 'a'}", "{'': 1}", "{'id': 'x'}",
        "{'disable_env_checker': False}",
    ],
    "observers": [
        "3", "[3]", "[lambda: 1]", "lambda e: None", "[lambda e: 1 / 0]", "[lambda e: np.array([1, 2])]",
        "[dict]", "[lambda e: 'x']", "[print]",
    ],
    "root_dir": [
        "None", "3", "''", "b'run'", "['run']", "object()", "'a\\x00b'", "'x' * 5000", "'~nouser/x'", "Path",
        "'\\ud800'",
    ],
    "checkpoint_interval": ["np.int64(32)", "1e2", "'a'", "np.array([3])"],
}  # fmt: skip
# Those that may be meant; anything else is EITHER too where its effect is open.
_SURE = (
    "3", "'x'", "object()", "dict", "lambda: 3", "['Pendulum-v1']", "lambda *a: None", "[3]",
    "[lambda env: None]", "64j", "{'no_such': 1}", "np.array([2])", "np.array([1, 2])",
    "partial(DdpgAgent, nonsense=1)", "[lambda: 1]", "lambda: 1", "partial(OffPolicyRunner, steps=3)",
    'partial(OffPolicyRunner, iteration_steps="a")', "[gymnasium.wrappers.NormalizeObservation]",
)  # fmt: skip


def _train(given: dict[str, str]) -> None:
    import decimal
    import fractions
    import pathlib

    import gymnasium
    import numpy as np

    import expol_tf
    from expol_tf import agents, networks, training

    names: dict[str, Any] = {**vars(networks), **vars(gymnasium)}
    names |= {name: getattr(agents, name) for name in agents.__all__}
    names |= {name: getattr(networks, name) for name in networks.__all__}
    names |= {"OffPolicyRunner": training.OffPolicyRunner, "OnPolicyRunner": training.OnPolicyRunner}
    names |= dict(np=np, gymnasium=gymnasium, partial=functools.partial, Path=pathlib.Path)
    names |= dict(Fraction=fractions.Fraction, Decimal=decimal.Decimal)
    names["Pendulum"] = lambda **k: gymnasium.make("Pendulum-v1", **k).unwrapped
    names["Pendulum"] = _pendulum_class()
    drawn = {}
    for name, text in given.items():
        try:
            drawn[name] = eval(text, names)
        except Exception as error:  # The mistake is in the making of the argument: nothing of ours to see.
            print(f"{name} cannot be made: {error}")
            return
    arguments: dict[str, Any] = dict(
        root_dir="run",
        task="Pendulum-v1",
        agent=agents.DdpgAgent,
        actor_network=functools.partial(networks.DeterministicActorNetwork, hidden_units=(4,)),
        critic_network=functools.partial(networks.CriticNetwork, hidden_units=(4,)),
        runner=functools.partial(
            training.OffPolicyRunner, iteration_steps=32, warm_up_steps=64, batch_size=8
        ),
        num_envs=2,
        num_env_steps=64,
        eval_interval=0,
    )
    expol_tf.train(**(arguments | drawn))


def _pendulum_class() -> Any:
    from gymnasium.envs.classic_control import PendulumEnv

    return PendulumEnv


def train_arguments(rng: random.Random) -> Trial:
    """`expol_tf.train` with one odd argument."""
    name = rng.choice(list(_ARGUMENTS))
    text = rng.choice(_ARGUMENTS[name])
    act_ = programs.calling(functools.partial(_train, {name: text}))
    meant = Meant.NONSENSE if text in _SURE else Meant.EITHER
    if name == "agent" and "DdpgAgent(1)" in text or text == "OffPolicyRunner(1, 2)":
        meant = Meant.EITHER
    # An observer's own mistake is the user's to see, with its traceback.
    if name == "observers" and "1 / 0" in text:
        act_ = programs.calling(functools.partial(_train, {name: text}), ZeroDivisionError)
    if name == "observers" and text == "[lambda: 1]":
        act_ = programs.calling(functools.partial(_train, {name: text}), TypeError)
    if name == "observers" and "array" in text:
        act_ = programs.calling(functools.partial(_train, {name: text}), ValueError)
    return Trial(f"train({name}={text})", act_, meant, word="could not|cannot be made")


_CALLS = (
    "evaluate_policy(lambda o: 3, env, 2)", "evaluate_policy(lambda o: None, env, 2)",
    "evaluate_policy(3, env, 2)", "evaluate_policy(lambda o: np.zeros((3, 2)), env, 0)",
    "evaluate_policy(lambda o: np.zeros((3, 2)), env, 1.5)",
    "evaluate_policy(lambda o: np.zeros((3, 2)), env, 'a')",
    "evaluate_policy(lambda o: np.zeros((3, 2)), None, 2)",
    "evaluate_policy(lambda o: np.zeros((3, 7)), env, 2)",
    "evaluate_policy(lambda o: np.full((3, 2), np.nan), env, 2)",
    "record_video(lambda o: np.zeros((1, 1)), 'Pendulum-v1', 'x.txt')",
    "record_video(lambda o: np.zeros((1, 2)), 'expol/MultiGoal-v0', 'x.gif', -1)",
    "record_video(lambda o: np.zeros((1, 2)), 'expol/GaussianBandit-v0', 'x.gif')",
    "record_video(3, 'Pendulum-v1', 'x.gif')", "record_video(lambda o: None, 'Pendulum-v1', 'x.gif')",
    "record_video(lambda o: np.zeros((1, 1)), None, 'x.gif')",
    "record_video(lambda o: np.zeros((1, 1)), 'Pendulum-v1', 'x.gif', 'a')",
    "record_video(lambda o: np.zeros((1, 1)), 'Pendulum-v1', 3)",
    "record_video(lambda o: np.zeros((1, 1)), 'Pendulum-v1', 'x.gif', wrappers=3)", "load_policy(None)",
    "load_policy(3)", "load_policy('')", "load_policy('nowhere')", "load_policy('ddpg', 'a')",
    "load_policy('ddpg', -1)", "load_policy('ddpg', 1.5)", "load_policy(b'ddpg')",
    "load_policy('ddpg/critic')", "load_policy('x' * 5000)", "load_policy('ddpg/config.gin')",
    "write_report([], 'out')", "write_report('ddpg', 'out')", "write_report(['nowhere'], 'out')",
    "write_report([3], 'out')", "write_report(None, 'out')", "write_report(['ddpg'], None)",
    "write_report(['ddpg'], 'out', repetitions=0)", "write_report(['ddpg'], 'out', repetitions='a')",
    "write_report(['ddpg'], 'out', settings='x')", "write_report(['ddpg'], 'out', seed=-1)",
    "write_report(['ddpg'], 'out', min_env_steps='a')",
    "write_report(['ddpg'], 'out', peer_csvs=['ddpg/config.gin'])",
    "write_report(['ddpg'], 'out', peer_csvs=3)", "write_report(['ddpg'], 'ddpg/config.gin')",
    "find_runs(3)", "find_runs(['x'])", "find_runs([None])", "make_figure('x', 'out')",
    "make_figure(3, 'out')", "make_figure(None, 'out')", "make_figure('multigoal', 'out')",
    "make_figure('multigoal', 'out', root_dirs=[3])", "make_figure('multigoal', 'out', root_dirs='ddpg')",
    "make_figure('multigoal', 'out', root_dirs=['ddpg'], seed='a')",
    "make_figure('kl_ball', 'out', num_seeds=0)", "make_figure('kl_ball', 'out', num_seeds='a')",
    "make_figure('multigoal', 'out', root_dirs=['nowhere'])",
    "make_figure('multigoal', 'out', root_dirs=['ddpg'], iterations=3)", "load_vector(3)",
    "load_vector('MultiGoal')", "load_vector('expol/MultiGoal-v0', 'a')",
    "load_vector('expol/MultiGoal-v0', 0)", "load_vector('expol/MultiGoal-v0', 2, 'a')",
    "load_vector('expol/MultiGoal-v0', 2, -1)", "load_vector('expol/MultiGoal-v0', 2, 0, 'x')",
    "load_vector('expol/MultiGoal-v0', make_kwargs={'x': 1})", "load_vector('CartPole-v1')",
    "load_vector('CartPole-v1', wrappers=[3])", "load_vector(None)",
    "load_vector('expol/MultiGoal-v0').step(np.zeros((1, 2)))",
    "StopAtReturn('a')", "StopAtReturn(None)", "CheckpointStore(3)", "CheckpointStore('x', 0)",
    "CheckpointStore('x', 'a')", "CheckpointStore('x', 1.5)", "configure_devices(3)",
    "configure_devices('x')", "configure_devices('cpu', -1)", "configure_devices('cpu', 'a')",
    "configure_devices('cpu', 1.5)", "configure_devices(None)", "Evaluator('Pendulum-v1', 0, -1)",
    "Evaluator('Pendulum-v1', 0, 1, 0)", "Evaluator(None, 0)", "Evaluator('Pendulum-v1', 'a')",
    "Evaluator('Pendulum-v1', 0, 'a')", "check_video_path(3)", "check_video_path('x')",
    "check_video_path(None)", "UniformReplay(0, 1, 1)", "UniformReplay('a', 1, 1)",
    "UniformReplay(-3, 1, 1)", "CriticNetwork(3, 4)", "CriticNetwork(o, a, hidden_units=4)",
    "CriticNetwork(o, a, hidden_units=())", "CriticNetwork(o, a, num_critics=0)",
    "CriticNetwork(o, a, activation='no')", "CriticNetwork(None, a)", "GaussianActorNetwork(o, o)",
    "GaussianActorNetwork(o, None)", "GaussianActorNetwork(o, a, hidden_units=('4',))",
    "GaussianActorNetwork(o, a, log_std=3)", "FlowActorNetwork(o, a, num_transformations=0)",
    "FlowActorNetwork(o, a, num_transformations='a')", "ValueNetwork(o, hidden_units=(-1,))",
    "ValueNetwork('x')", "ObservationNormalizer(o, clip=-1)", "ObservationNormalizer(3)",
    "MixtureActorNetwork(o, a, num_components=0)", "read_peer_curves('ddpg/metrics.csv')",
    "read_peer_curves(['nowhere'])", "read_peer_curves(3)",
)  # fmt: skip
# Those that may be right after all.
_OPEN = (
    "num_transformations=0",
    "write_report('ddpg'", "load_policy('ddpg', -1)", "StopAtReturn",
    "load_policy('ddpg/critic')", "root_dirs='ddpg'", "find_runs", "hidden_units=()",
    "GaussianActorNetwork(o, o)", "CheckpointStore(3)",
    "record_video(lambda o: np.zeros((1, 2)), 'expol/", "hidden_units=4", "load_policy(b",
)  # fmt: skip


def _call(text: str) -> None:
    import numpy as np

    import expol_tf
    from expol_tf import networks, papers, reports, training
    from expol_tf.environments import load_vector

    env, time_step_spec, action_spec = callers.specs()
    names: dict[str, Any] = dict(
        np=np, env=env, o=time_step_spec.observation, a=action_spec, load_vector=load_vector
    )
    for package in (networks, training, reports, papers):
        names |= {name: getattr(package, name) for name in package.__all__}
    names["load_policy"] = expol_tf.load_policy
    eval(text, names)


def calls(rng: random.Random) -> Trial:
    """A call of some public function or class with an argument that is none."""
    text = rng.choice(_CALLS)
    if rng.random() < 0.4:  # Another wrong value in the same place.
        wrong = rng.choice(
            [
                "None",
                "-1",
                "'é'",
                "[]",
                "{}",
                "object()",
                "1.5",
                "np.zeros((2, 2))",
                "float('nan')",
                "b'x'",
                "True",
            ]
        )
        start = text.index("(") + 1
        parts = text[start:-1].split(", ")
        if all(part.count("(") == part.count(")") and part.count("[") == part.count("]") for part in parts):
            place = rng.randrange(len(parts))
            keyword, equals, _ = parts[place].rpartition("=")
            parts[place] = f"{keyword}{equals}{wrong}"
            text = f"{text[:start]}{', '.join(parts)})"
            act_ = programs.calling(functools.partial(_call, text))
            return Trial(text, programs.with_copies(["ddpg"], lambda: None, act_))
    act_ = programs.calling(functools.partial(_call, text))
    meant = Meant.EITHER if any(open_ in text for open_ in _OPEN) else Meant.NONSENSE
    return Trial(text, programs.with_copies(["ddpg"], lambda: None, act_), meant)
