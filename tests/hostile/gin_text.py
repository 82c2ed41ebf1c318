"""gin text: mutated files, random values for any parameter, recursion, modules that raise (item 16)."""

from __future__ import annotations

import functools
import inspect
import random
import re
from collections.abc import Callable

from tests.hostile import programs, values
from tests.hostile.trial import Meant, Trial

_TEXTS = (
    "gin/gaussian_ppo.gin", "gin/sac.gin", "gin/ddpg_multi_goal.gin", "gin/algorithms/acktr.gin",
    "gin/sweeps/multi_goal.gin", "gin/sweeps/sensitivity.gin", "gin/algorithms/experiment.gin",
    "gin/policies/nfp.gin",
)  # fmt: skip
_PRINT = ("--gin_file=x.gin", "--print_config")


@functools.cache
def _library_text(name: str) -> str:
    from expol_tf.configuration import resources

    return (resources.gin_root().parent / name).read_text(encoding="utf-8")


def _tokens(text: str) -> list[str]:
    return re.findall(r"\w+|\s+|[^\w\s]", text)


_STRANGE = (
    "(", ")", "[", "]", "{", "}", "'", '"', '"""', "\\", "\n", "\t", "=", "@", "%", "/", ".", ",", ":", "#",
    ";", "\r", "\x00", "\x0c", "\ufeff", "é", "𝔸", "import", "include", "from", "as", "None", "()", "lambda",
    "\udcff", "-", "+", "**", "1e999", "0777", "True", "import os.path\n", "include 'x.gin'\n",
    "a/b/c.d = 1\n", "x = %x\n", "@@", "%%", "%%x", "import expol_tf.agents as a\n", "from os import path\n",
    "import __main__\n", "import x y\n", "::", "\u2028",
)  # fmt: skip


def _mutated(text: str, rng: random.Random) -> str | bytes:
    tokens = _tokens(text)
    for _ in range(rng.choice([1, 1, 2, 4, 12])):
        place, kind = rng.randrange(len(tokens)), rng.randrange(7)
        if kind == 0:
            del tokens[place : place + rng.randint(1, 3)]
        elif kind == 1:
            tokens.insert(place, rng.choice(tokens))
        elif kind == 2:
            tokens.insert(place, rng.choice(_STRANGE))
        elif kind == 3:
            tokens[place] = rng.choice(_STRANGE)
        elif kind == 4:
            other = rng.randrange(len(tokens))
            tokens[place], tokens[other] = tokens[other], tokens[place]
        elif kind == 5:
            tokens[place] = values.anything(rng)
        else:
            tokens[place] = tokens[place] * rng.choice([2, 300])
        if not tokens:
            tokens = ["x"]
    whole = "".join(tokens)
    if rng.random() < 0.15:
        return whole.encode(rng.choice(["utf-16", "utf-8-sig", "latin-1"]), "replace")
    if rng.random() < 0.1:
        return whole.replace("\n", rng.choice(["\r\n", "\r", "\n\n", "\x00\n", "\x0b"])).encode(
            "utf-8", "surrogateescape"
        )
    return whole


def mutated(rng: random.Random) -> Trial:
    """A file of the library's with changes at random places, as a configuration or a sweep."""
    name = rng.choice(_TEXTS)
    text = _mutated(_library_text(name), rng)
    if "sweeps" in name:
        arguments = ["--sweep_file=x.gin", "--dry_run"]
        act = programs.program("sweep", *arguments)
    else:
        task = [] if rng.random() < 0.5 else [f"--gin_file={programs.TASK}"]
        act = programs.program("train", *_PRINT, *task)
    return Trial(f"{name} as x.gin, mutated:\n{text!r}", programs.after_writing({"x.gin": text}, act))


_OFTEN = (
    "train.seed", "train.observers",
    "train.task", "train.agent", "train.wrappers", "train.make_kwargs", "SEED",
    "train.actor_network", "train.runner", "NUM_ENVS", "TASK",
    "train.observation_normalizer", "train.backend",
    "configure_devices.device", "Evaluator.seed", "Acting.seed", "Acting.exploration",
)  # fmt: skip


def values_of_parameters(rng: random.Random) -> Trial:
    """A random value for a random parameter of anything that can be configured, run."""
    import gin

    selectors = [name for name in gin.config._REGISTRY._selector_map if name.startswith("expol_tf.")]
    selector = rng.choice(sorted(selectors))
    known = gin.config._REGISTRY._selector_map[selector]
    try:
        names = list(inspect.signature(known.wrapped).parameters)
    except (TypeError, ValueError):
        names = []
    parameter = rng.choice(names or ["x"])
    algorithm = rng.choice(["ddpg", "gaussian_ppo"])
    if rng.random() < 0.4:
        name = rng.choice(_OFTEN)
    else:
        name = f"{rng.choice(['', '', 'a/'])}{selector.removeprefix('expol_tf.')}.{parameter}"
    value = values.anything(rng)
    # Runs of that length are no hangs of the library's.
    if "NUM_ENV_STEPS" in name or "num_env_steps" in name:
        value = values.word(rng)
    arguments = programs.experiment(algorithm, f"{name} = {value}")
    if rng.random() < 0.4:
        arguments.append("--print_config")
    return Trial(f"{name} = {value} in {algorithm} {arguments[-1]}", programs.program("train", *arguments))


_ODD_REFERENCES = (
    "CriticFit.optimizer = @CriticFit()", "Adam.learning_rate = @Adam()", "LogStd.initial = @LogStd()",
    "AdvantageEstimation.gamma = @AdvantageEstimation()",
    "MinibatchAdam.learning_rate = @a/b/MinibatchAdam()",
    "train.seed = %a.b", "train.seed = %gin.x", "train.seed = @gin.singleton()", "train.task = @gin.macro()",
    "train.seed = @gin.constant()", "x/gin.singleton.constructor = @train", "gin.macro.value = 3",
    "SEED/macro.value = 4", "train.seed = @x/gin.singleton()", "train.seed = @load()", "train.agent = @train",
    "train.seed = @Sweep()", "train.task = @configure_devices()", "train.make_kwargs = {'a': @train}",
)  # fmt: skip


def _recursion(rng: random.Random) -> tuple[dict[str, str | bytes], bool]:
    """Returns files of which x.gin refers to itself somehow, and whether that cannot be meant."""
    kind = rng.randrange(12)
    depth = rng.choice([3, 50, 900, 2000, 5000])
    if kind == 0:
        chain: dict[str, str | bytes] = {
            f"{i}.gin": f"include '{i + 1}.gin'\n" for i in range(min(depth, 2000))
        }
        chain["x.gin"] = "include '0.gin'\n"
        end = rng.choice(["include 'x.gin'\n", "include '0.gin'\n", "SEED = 1\n", "include 'nowhere.gin'\n"])
        return {**chain, f"{min(depth, 2000)}.gin": end}, "SEED" not in end
    if kind == 1:
        return {"x.gin": "include 'gin/gaussian_ppo.gin'\nSEED = @train()\n"}, True
    if kind == 2:
        name = rng.choice(
            ["observers", "wrappers", "make_kwargs", "agent", "task", "runner", "seed", "root_dir"]
        )
        value = rng.choice(
            ["@train()", "[@train()]", "(@train(),)", "{'a': @train()}", "@a/train()", "[[@train()]]"]
        )
        return {"x.gin": f"include 'gin/gaussian_ppo.gin'\ntrain.{name} = {value}\n"}, name != "observers"
    if kind == 3:
        length = rng.randint(1, 4)
        lines = [f"M{i} = %M{(i + 1) % length}" for i in range(length)]
        return {"x.gin": "include 'gin/gaussian_ppo.gin'\n" + "\n".join([*lines, "train.seed = %M0"])}, True
    if kind == 4:
        lines = [f"M{i} = %M{i + 1}" for i in range(depth)] + [f"M{depth} = 3", "train.seed = %M0"]
        return {"x.gin": "include 'gin/gaussian_ppo.gin'\n" + "\n".join(lines)}, False
    if kind == 5:
        opening, closing = rng.choice([("[", "]"), ("(", ",)"), ("{'a': ", "}")])
        value = f"{opening * depth}1{closing * depth}"
        return {"x.gin": f"include 'gin/gaussian_ppo.gin'\ntrain.make_kwargs = {value}\n"}, True
    if kind == 6:
        name = rng.choice(_ODD_REFERENCES)
        return {"x.gin": f"include 'gin/gaussian_ppo.gin'\n{name}\n"}, False
    if kind == 7:
        first = rng.choice(["include './x.gin'", "include '../here/x.gin'", "include 'y.gin'"])
        return {"x.gin": f"{first}\n", "y.gin": "include 'x.gin'\n"}, True
    if kind == 8:
        doubled = [f"M{i} = [%M{i + 1}, %M{i + 1}]" for i in range(rng.choice([5, 30, 60]))]
        last = f"M{len(doubled)} = 1"
        return {
            "x.gin": "include 'gin/gaussian_ppo.gin'\n"
            + "\n".join([*doubled, last, "train.make_kwargs = %M0"])
        }, True
    if kind == 9:
        return {"x.gin": "include 'gin/gaussian_ppo.gin'\n" + "a/" * depth + "train.seed = 3\n"}, False
    if kind == 10:
        return {"x.gin": f"include 'gin/gaussian_ppo.gin'\ntrain.seed = {'-' * depth}3\n"}, False
    return {"x.gin": f"include 'gin/gaussian_ppo.gin'\ntrain.seed = {'1' * depth}\n"}, False


def recursion(rng: random.Random) -> Trial:
    """Text that goes on for ever, or very deep."""
    files, nonsense = _recursion(rng)
    run = rng.random() < 0.6
    tail = [f"--gin_file={programs.TASK}"]
    tail += (
        ["--root_dir=run", *(f"--gin_bindings={text}" for text in programs.TINY["gaussian_ppo"])]
        if run
        else ["--print_config"]
    )
    act = programs.program("train", "--gin_file=x.gin", *tail)
    shown = str(files["x.gin"])
    shown = shown if len(shown) < 600 else f"{shown[:300]}…{shown[-200:]}"
    what = f"expol-train of {len(files)} files{' as a run' if run else ' --print_config'}; x.gin:\n{shown}"
    meant = Meant.NONSENSE if nonsense and run else Meant.EITHER
    return Trial(what, programs.after_writing(files, act), meant)


_MODULES = (
    "raise ValueError('no')", "1 / 0", "import no_such_module", "import sys; sys.exit(0)",
    "import sys; sys.exit('bye')", "def f(:", "raise KeyboardInterrupt",
    "import os; os.kill(os.getpid(), 0); raise SystemExit", "raise BaseException('b')", "\x00",
    "é = 1\nraise é", "import my_module",
    "import gin\n@gin.configurable\ndef train(): pass\n@gin.configurable\ndef train(): pass",
    "class E(Exception):\n    def __str__(self): raise RuntimeError\nraise E",
    "raise ExceptionGroup('g', [ValueError(1)])", "def f(): return f()\nf()",
    "import gin\ngin.configurable(3)", "import gin\ngin.bind_parameter('train.seed', 'x')",
    "import gin\ngin.constant('SEED', 3)\ngin.constant('SEED', 3)", "raise GeneratorExit",
    "raise StopIteration", "from os import nothing", "import gymnasium\ngymnasium.register('My-v0')",
    "import gymnasium\ngymnasium.make('My-v0')", "\tx = 1\n  y", "assert False, 'x' * 10000",
    "# -*- coding: nonsense -*-", "raise RuntimeError('\\ud800')",
    "import gin\ngin.clear_config()\nraise OSError(2, 'x')",
)  # fmt: skip


def modules(rng: random.Random) -> Trial:
    """A module of the user's that cannot be imported, from every place that may name one."""
    source = rng.choice(_MODULES)
    package = rng.random() < 0.2
    file = "my_module/__init__.py" if package else "my_module.py"
    files: dict[str, str | bytes] = {
        file: source + "\n",
        "x.gin": "import my_module\ninclude 'gin/ddpg.gin'\n",
    }
    way = rng.randrange(6)
    act: Callable[[], int | None]
    tiny = programs.experiment("ddpg")
    if way == 0:
        arguments = ["--gin_file=x.gin", f"--gin_file={programs.TASK}", *tiny[2:]]
        act = programs.program("train", *arguments)
    elif way == 1:
        name = "train"
        arguments = [*tiny, "--gin_bindings=TASK = 'my_module:My-v0'"]
        act = programs.program(name, *arguments)
    elif way == 2:
        arguments = [*tiny, "--gin_bindings=train.agent = @my_module.MyAgent"]
        act = programs.program("train", *arguments)
    elif way == 3:
        name, arguments = "figures", ["--figure=my_module:mine", "--output_dir=out"]
        act = programs.program(name, *arguments)
    elif way == 4:
        files["s.gin"] = 'Sweep.experiments = ["x.gin"]\n' + rng.choice(["", "import my_module\n"])
        arguments = ["--sweep_file=s.gin", "--dry_run"]
        act = programs.program("sweep", *arguments)
    else:
        arguments = ["--gin_bindings=import my_module", *tiny]
        act = programs.program("train", *arguments)
    # What registers something, or only looks wrong, may be imported well.
    meant = (
        Meant.NONSENSE
        if "gin." not in source and "register" not in source and "é" not in source
        else Meant.EITHER
    )
    if source == "import my_module":
        meant = Meant.EITHER
    elif way == 3 or "register" in source or "raise" in source or "exit" in source:
        meant = Meant.NONSENSE
    return Trial(f"{' '.join(arguments)} with {file}: {source!r}", programs.after_writing(files, act), meant)


_HUGE = (
    ("train", ["--gin_bindings=NUM_ENVS = {n}"]),
    ("train", ["--gin_bindings=OffPolicyRunner.replay_capacity = {n}"]),
    ("train", ["--gin_bindings=OffPolicyRunner.batch_size = {n}"]),
    ("train", ["--gin_bindings=DeterministicActorNetwork.hidden_units = ({n},)"]),
    ("train", ["--gin_bindings=CriticNetwork.hidden_units = ({n},)"]),
    ("train", ["--gin_bindings=CriticNetwork.num_critics = {n}"]),
    ("train", ["--gin_bindings=OffPolicyRunner.iteration_steps = {n}", "--gin_bindings=NUM_ENV_STEPS = 0.5"]),
    ("train", ["--device=cpu:{n}"]),
    ("train", ["--gin_bindings=configure_devices.inter_op_threads = {n}"]),
    ("sweep", ["Sweep.seeds = ({n}, -{n})"]),
    ("sweep", ["Sweep.grid = {grid}"]),
    ("sweep", ["Sweep.bindings = 3"]),
    ("sweep", ["Sweep.bindings = ['NUM_ENVS = {n}']"]),
)  # fmt: skip


def huge(rng: random.Random) -> Trial:
    """Numbers so large that nobody has the memory or the time."""
    name, texts = rng.choice(_HUGE)
    number = rng.choice([10**9, 10**12, 2**31, 2**63, 10**30, 10**6 if "cpu" in texts[0] else 10**10])
    grid = "{" + ", ".join(f"'P{i}': {list(range(100))}" for i in range(rng.randint(4, 6))) + "}"
    filled = [text.replace("{n}", str(number)).replace("{grid}", grid) for text in texts]
    if name == "sweep":
        base = f'Sweep.experiments = {{"a": "gin/ddpg.gin"}}\nSweep.tasks = ["{programs.TASK}"]\n'
        text = base + "\n".join(filled) + "\n"
        act = programs.after_writing(
            {"x.gin": text}, programs.program("sweep", "--sweep_file=x.gin", "--dry_run")
        )
        return Trial(f"sweep --dry_run of\n{text[:600]}", act, Meant.NONSENSE)
    arguments = [*programs.experiment("ddpg"), *filled]
    return Trial(f"expol-train ddpg {' '.join(filled)}", programs.program(name, *arguments), Meant.NONSENSE)
