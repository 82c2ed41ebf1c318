"""Bindings that cannot be meant: numbers outside their range, values of another kind (item 15)."""

from __future__ import annotations

import dataclasses
import functools
import math
import random
from typing import Any

from tests.hostile import programs, values
from tests.hostile.trial import Meant, Trial
from tests.hostile.values import (
    COUNT,
    FINITE,
    FLAG,
    MAYBE_POSITIVE,
    NATURAL,
    NOT_NEGATIVE,
    POSITIVE,
    RATE,
    SIZES,
    UNIT,
    Domain,
    choice,
)

_ACTIVATION = choice("relu", "tanh")
_REDUCTION = choice("min", "mean")
_NAME = dataclasses.replace(
    choice("mine"), bad=lambda rng: values.pick(rng, "'a b'", "''", "'é'", "'a/b'", "3")
)
_EXPERIMENT: dict[str, Domain] = {
    "NUM_ENVS": dataclasses.replace(COUNT, nullable=True),
    "NUM_ENV_STEPS": COUNT,
    "SEED": NATURAL,
    "BACKEND": choice("sync"),
    "EVAL_INTERVAL": NATURAL,
    "EVAL_EPISODES": COUNT,
    "CHECKPOINT_INTERVAL": COUNT,
    "LOG_INTERVAL": COUNT,
    "TASK": choice("expol/MultiGoal-v0"),
    "GAMMA": UNIT,
    "CheckpointStore.max_to_keep": COUNT,
    "Evaluator.max_envs": COUNT,
    "Evaluator.deterministic": FLAG,
    "configure_devices.intra_op_threads": NATURAL,
    "configure_devices.device": choice("cpu"),
}
_OFF_POLICY: dict[str, Domain] = {
    "OffPolicyRunner.iteration_steps": COUNT,
    "OffPolicyRunner.warm_up_steps": NATURAL,
    "OffPolicyRunner.batch_size": COUNT,
    "OffPolicyRunner.replay_capacity": COUNT,
    "OffPolicyRunner.updates_per_step": POSITIVE,
    "CriticNetwork.hidden_units": SIZES,
    "CriticNetwork.num_critics": COUNT,
    "CriticNetwork.activation": _ACTIVATION,
    "TargetUpdate.tau": UNIT,
    "TargetUpdate.period": COUNT,
    "TargetUpdate.name": _NAME,
    "actor/Adam.name": _NAME,
    "actor/Adam.learning_rate": RATE,
    "critic/Adam.learning_rate": RATE,
    "CriticFit.gamma": UNIT,
}
PARAMETERS: dict[str, dict[str, Domain]] = {
    "ddpg": _EXPERIMENT
    | _OFF_POLICY
    | {
        "DeterministicActorNetwork.hidden_units": SIZES,
        "OrnsteinUhlenbeckNoise.theta": NOT_NEGATIVE,
        "OrnsteinUhlenbeckNoise.std": NOT_NEGATIVE,
        "DeterministicValue.reduction": _REDUCTION,
        "DeterministicImprovement.reduction": _REDUCTION,
    },
    "sac": _EXPERIMENT
    | _OFF_POLICY
    | {
        "GaussianActorNetwork.hidden_units": SIZES,
        "GaussianActorNetwork.activation": _ACTIVATION,
        "LearnedTemperature.initial_temperature": POSITIVE,
        "LearnedTemperature.target_entropy": Domain(FINITE.good, FINITE.bad, nullable=True),
        "temperature/Adam.learning_rate": RATE,
        "ExpectedValue.reduction": _REDUCTION,
    },
    "gaussian_ppo": _EXPERIMENT
    | {
        "OnPolicyRunner.iteration_steps": Domain(lambda rng: str(2 * rng.randint(1, 9)), COUNT.bad),
        "ClippedUpdate.clip_range": POSITIVE,
        "ClippedUpdate.max_kl": MAYBE_POSITIVE,
        "MinibatchAdam.epochs": COUNT,
        "MinibatchAdam.minibatch_size": COUNT,
        "MinibatchAdam.learning_rate": RATE,
        "MinibatchAdam.max_gradient_norm": MAYBE_POSITIVE,
        "MinibatchRegression.epochs": COUNT,
        "MinibatchRegression.minibatch_size": COUNT,
        "MinibatchRegression.learning_rate": RATE,
        "AdvantageEstimation.gae_lambda": UNIT,
        "AdvantageEstimation.scaling": choice("auto"),
        "PolicyObjective.entropy_samples": COUNT,
        "PolicyObjective.kl_estimator": choice("auto"),
        "PpoAgent.entropy_weight": FINITE,
        "ValueNetwork.hidden_units": SIZES,
        "ObservationNormalizer.clip": MAYBE_POSITIVE,
        "LogStd.initial": FINITE,
        "GaussianActorNetwork.squash": FLAG,
    },
}


def train(rng: random.Random) -> Trial:
    """One binding that cannot be meant in a run that is otherwise fine; now and then a good one."""
    name = rng.choice(list(PARAMETERS))
    parameter = rng.choice(list(PARAMETERS[name]))
    domain = PARAMETERS[name][parameter]
    valid = rng.random() < 0.06
    value = domain.good(rng) if valid else domain.nonsense(rng)
    arguments = programs.experiment(name, f"{parameter} = {value}")
    if valid and parameter in ("OffPolicyRunner.replay_capacity", "NUM_ENVS"):
        valid = False  # Must go together with other numbers.
        return Trial(f"{parameter} = {value} in {name}", programs.program("train", *arguments))
    return Trial(
        f"{parameter} = {value} in {name}",
        programs.program("train", *arguments),
        Meant.VALID if valid else Meant.NONSENSE,
    )


def sweep(rng: random.Random) -> Trial:
    """A sweep file with one thing that cannot be meant, listed by --dry_run."""
    name = rng.choice(list(PARAMETERS))
    parameter, domain = rng.choice(list(PARAMETERS[name].items()))
    other, other_domain = rng.choice(list(PARAMETERS[name].items()))
    lines = {
        "experiments": f'{{"a": "gin/{name}.gin"}}',
        "tasks": f'["{programs.TASK}"]',
        "seeds": "(0, 1)",
        "bindings": repr(list(programs.TINY[name])),
    }
    extra: list[str] = []
    kind = rng.randrange(8)
    bad = domain.nonsense(rng)
    if kind == 0:
        lines["bindings"] = repr([*programs.TINY[name], f"{parameter} = {bad}"])
    elif kind == 1:
        lines["grid"] = f"{{{parameter!r}: [{domain.good(rng)}, {bad}]}}"
    elif kind == 2:
        wrong = values.pick(rng, COUNT.bad(rng) if rng.random() < 0.5 else "'a'", "True", "None", "[1]", "-1")
        lines["seeds"] = values.pick(
            rng, f"[{wrong}, 1]" if wrong != "0" else "[-1]", "3", "()", "'01'", "(1, 1)"
        )
    elif kind == 3:
        name_of = values.pick(
            rng, "a\nSEED = 3\nb", "NUM_ENVS = 2\nX", "\n", "", " ", "a b", "#", "SEED", "train.seed"
        )
        lines["grid"] = f"{{{name_of!r}: [{other_domain.good(rng)}]}}"
    elif kind == 4:
        lines["draw_seed"] = values.pick(rng, "'a'", "-1", "None", "1.5", "[0]", "True", "1e999")
        lines["draws"] = "{'OffPolicyRunner.updates_per_step': @Uniform()}"
        extra = ["Uniform.low = 0.1", "Uniform.high = 0.2"]
    elif kind == 5:
        low, high = (
            values.pick(rng, "1", "0.5", "'a'", "None", "True"),
            values.pick(rng, "0.1", "1e999", "'b'", "[1]"),
        )
        lines["draws"] = f"{{{parameter!r}: @{rng.choice(['Uniform', 'LogUniform'])}()}}"
        kind_name = lines["draws"].split("@")[1][:-3]
        extra = [f"{kind_name}.low = {low}", f"{kind_name}.high = {high}"]
    elif kind == 6:
        key = rng.choice(["bindings", "tasks", "experiments"])
        lines[key] = values.pick(
            rng, "3", "None", "{'a': 3}", "[3]", "[[3]]", "'x'", "True", "{'': 'gin/sac.gin'}", "1e5"
        )
        if key in ("tasks", "bindings") and lines[key] in ("None",):
            lines[key] = "3"
    else:
        lines["grid"] = values.pick(
            rng, "[1]", "3", "{3: [1]}", "{'SEED': [1, 2]}", "{'NUM_ENVS': 3}", "{'NUM_ENVS': []}"
        )
    text = "\n".join([*(f"Sweep.{key} = {value}" for key, value in lines.items()), *extra]) + "\n"
    act = programs.program("sweep", "--sweep_file=x.gin", "--dry_run")
    return Trial(f"sweep --dry_run of\n{text}", programs.after_writing({"x.gin": text}, act), Meant.NONSENSE)


_NUMBERS: dict[str, list[Any]] = {
    "seed": [-1, 1.5, "1", None, True, math.nan, [0]],
    "num_env_steps": [0, -5, math.nan, math.inf, "10", None, True, [1], 0.5],
    "num_envs": [0, -1, 1.5, "2", True, math.nan],
    "eval_interval": [-1, math.nan, math.inf, "1", None, True, 1.5],
    "eval_episodes": [0, -2, math.nan, math.inf, "1", None, True, 1.5],
    "checkpoint_interval": [0, -3, math.nan, "1", None, True],
    "log_interval": [0, -3, math.nan, math.inf, "1", None, True, 1.5],
    "backend": ["x", None, 3, "", ["sync"]],
    "make_kwargs": [3, "x", [1], {1: 2}],
    "wrappers": [3, "x", [3], [None], {}],
}


def python(rng: random.Random) -> Trial:
    """One argument of `expol_tf.train`, or one setting of a part, that cannot be meant."""
    settings = _part_settings()
    if rng.random() < 0.5:
        name = rng.choice(list(_NUMBERS))
        value = rng.choice(_NUMBERS[name])
        if (
            isinstance(value, int | float)
            and value == value
            and not isinstance(value, bool)
            and rng.random() < 0.5
        ):
            value = value * rng.randint(1, 99) - (rng.randint(0, 3) if value < 0 else 0)
        shown = f"train({name}={value!r})"
        arguments = {name: value}
    else:
        (part, setting), wrong = rng.choice(list(settings.items()))
        value = rng.choice(wrong)
        shown = f"train(agent=…{part}({setting}={value!r}))"
        arguments = {"part": (part, setting, value)}
    return Trial(shown, programs.calling(functools.partial(_train, arguments)), Meant.NONSENSE)


def _part_settings() -> dict[tuple[str, str], list[Any]]:
    positive: list[Any] = [0, -1e-3, math.nan, math.inf, "1e-3", True, [1.0]]
    count: list[Any] = [0, -1, 1.5, math.nan, "2", None, True]
    return {
        ("TargetUpdate", "tau"): [0, -0.1, 1.5, math.nan, math.inf, "0.1", None, True],
        ("TargetUpdate", "period"): count,
        ("CriticFit", "gamma"): [-0.1, 1.01, math.nan, math.inf, "0.9", True],
        ("Adam", "learning_rate"): positive[1:],
        ("OffPolicyRunner", "batch_size"): count,
        ("OffPolicyRunner", "updates_per_step"): [*positive, None],
        ("OffPolicyRunner", "replay_capacity"): count,
        ("OffPolicyRunner", "warm_up_steps"): [-1, 1.5, math.nan, "2", None, True],
        ("OffPolicyRunner", "iteration_steps"): count,
        ("CriticNetwork", "num_critics"): count,
        ("CriticNetwork", "hidden_units"): [(0,), (-1,), (1.5,), "44", (None,), ("4",), (math.nan,), 4.5],
        ("OrnsteinUhlenbeckNoise", "std"): [-0.1, math.nan, math.inf, "1", None, True],
    }


def _train(arguments: dict[str, Any]) -> None:
    import expol_tf
    from expol_tf.agents import Acting, CriticFit, DdpgAgent, OrnsteinUhlenbeckNoise, TargetUpdate
    from expol_tf.networks import CriticNetwork, DeterministicActorNetwork
    from expol_tf.optimizers import Adam
    from expol_tf.training import OffPolicyRunner

    arguments = dict(arguments)
    part, setting, value = arguments.pop("part", ("", "", None))

    def of(name: str, **given: Any) -> dict[str, Any]:
        return given | ({setting: value} if part == name else {})

    runner = of("OffPolicyRunner", iteration_steps=32, warm_up_steps=32, batch_size=8, updates_per_step=0.1)
    agent = functools.partial(
        DdpgAgent,
        critic_fit=CriticFit(
            optimizer=Adam(**of("Adam", learning_rate=1e-3)),
            target_update=TargetUpdate(**of("TargetUpdate", tau=0.1)),
            **of("CriticFit"),
        ),
        acting=Acting(OrnsteinUhlenbeckNoise(**of("OrnsteinUhlenbeckNoise")), jit_compile=False),
    )
    given = dict(
        root_dir="run",
        task="expol/MultiGoal-v0",
        agent=agent,
        actor_network=functools.partial(DeterministicActorNetwork, hidden_units=(4,)),
        critic_network=functools.partial(CriticNetwork, **of("CriticNetwork", hidden_units=(4,))),
        runner=functools.partial(OffPolicyRunner, **runner),
        num_envs=2,
        num_env_steps=96,
        eval_episodes=1,
    )
    expol_tf.train(**(given | arguments))
