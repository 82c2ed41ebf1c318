"""Every section of `docs/extending.md` is one file and one line, which train, only for less long."""

from __future__ import annotations

import csv
import os
import pathlib
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator

import gymnasium
import numpy as np
import pytest
import tensorflow as tf
from tf_agents.specs import tensor_spec

from expol_tf.cli import import_user_module
from expol_tf.cli.commands.figures import figures_main
from expol_tf.cli.commands.train import train_main
from expol_tf.distributions import capabilities
from expol_tf.environments import ArrayVectorEnvironment, load, load_vector
from expol_tf.papers import FIGURES
from expol_tf.testing import check_actor_network, check_environment

PAGE = pathlib.Path(__file__).absolute().parents[1] / "docs" / "extending.md"
TIMINGS = {"wall_time_s", "env_steps_per_s"}
EXAMPLES = {
    "An off-policy algorithm": "munchausen",
    "An on-policy update rule": "penalty",
    "A divergence": "pearson",
    "A policy": "student",
    "A task": "corridor",
    "A figure": "langevin",
}
OFF_POLICY = [
    "CriticNetwork.hidden_units = (8,)",
    "GaussianActorNetwork.hidden_units = (8,)",
    "OffPolicyRunner.warm_up_steps = 64",
    "OffPolicyRunner.iteration_steps = 64",
    "OffPolicyRunner.batch_size = 16",
    "NUM_ENV_STEPS = 192",
    "EVAL_INTERVAL = 0",
]
ON_POLICY = [
    "expol_tf.ValueNetwork.hidden_units = (8,)",
    "OnPolicyRunner.iteration_steps = 256",
    "Acting.jit_compile = False",
    "NUM_ENVS = 8",
    "NUM_ENV_STEPS = 768",
    "EVAL_INTERVAL = 0",
]


def sections() -> dict[str, tuple[list[str], list[str]]]:
    """Returns a section's Python files and its commands, by its title."""
    result = {}
    for section in re.split(r"^## ", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
        title, _, text = section.partition("\n")
        fences = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
        files = [body for language, body in fences if language]
        result[title] = files, [body for language, body in fences if not language]
    return result


def write_example(title: str, directory: pathlib.Path) -> list[str]:
    """Writes the one file of a section alone into the directory; returns the arguments of its one line."""
    files, commands = sections()[title]
    assert len(files) == 1, "one new file"
    name = re.match(r"# (\w+\.py)\n", files[0])
    assert name is not None and name[1] == f"{EXAMPLES[title]}.py"
    (directory / name[1]).write_text(files[0], encoding="utf-8")
    assert len(commands) == 1 and len(commands[0].splitlines()) == 1, "one line"
    program, *arguments = shlex.split(commands[0])
    assert program == ("expol-figures" if title == "A figure" else "expol-train")
    own = [argument for argument in arguments if EXAMPLES[title] in argument]
    assert len(own) == 1 and "\n" not in own[0]
    return arguments


def columns(path: pathlib.Path) -> dict[str, np.ndarray]:
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return {name: np.array([float(row[name] or "nan") for row in rows]) for name in rows[0]}


def small(arguments: list[str], bindings: list[str], task: str = "") -> list[str]:
    """Returns the arguments of a short run in the directory `run`, with small networks."""
    tasks = [f"--gin_file=gin/tasks/{task}.gin"] if task else []
    return [*arguments, *tasks, *(f"--gin_bindings={binding}" for binding in bindings), "--root_dir=run"]


@pytest.fixture
def user(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[pathlib.Path]:
    """The user's directory. What an example registers is gone after the test, but for its names in gin."""
    monkeypatch.setenv("BUILD_WORKING_DIRECTORY", str(tmp_path))
    figures, tasks = dict(FIGURES), set(gymnasium.registry)
    yield tmp_path
    FIGURES.clear()
    FIGURES.update(figures)
    for task in set(gymnasium.registry) - tasks:
        del gymnasium.registry[task]
    for name in EXAMPLES.values():
        sys.modules.pop(name, None)


def trained(
    title: str, user: pathlib.Path, bindings: list[str], task: str = ""
) -> tuple[dict[str, np.ndarray], str]:
    """Trains a section's example; returns its metrics and its configuration."""
    arguments = small(write_example(title, user), bindings, task)
    assert train_main(["expol-train", *arguments]) == 0
    recorded = (user / "run" / "config.gin").read_text(encoding="utf-8")
    assert (f"import {EXAMPLES[title]}\n" in recorded) == (title != "A task")
    return columns(user / "run" / "metrics.csv"), recorded


def in_a_new_process(directory: pathlib.Path, program: str, arguments: list[str]) -> str:
    """Runs Python in the user's directory, which is not on its path, as with an installed program.

    Returns what it wrote to standard error.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith("BUILD_W")}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
    done = subprocess.run(
        [sys.executable, "-P", "-c", program, *arguments],
        cwd=directory,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


def test_the_page_has_these_sections() -> None:
    assert {title: len(files) for title, (files, _) in sections().items()} == dict.fromkeys(EXAMPLES, 1)


TRAIN = """
import sys
from expol_tf.cli.commands.train import train_main
assert train_main(["expol-train", *sys.argv[1:]]) == 0
"""
# Again from what the first run recorded, and then one target by itself.
TRAIN_AGAIN = """
import sys
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from tf_agents.specs import tensor_spec
from expol_tf.agents import Transitions
from expol_tf.cli import import_user_module
from expol_tf.cli.commands.train import train_main

import_user_module("munchausen")
fit, fits = sys.modules["munchausen"].MunchausenFit, []
target = fit.target
fit.target = lambda self, *inputs: fits.append(self) or target(self, *inputs)
assert train_main(["expol-train", *sys.argv[1:]]) == 0

random = np.random.default_rng(0)
arrays = {name: random.normal(size=size).astype(np.float32) for name, size in dict(
    observation=(64, 3), next_observation=(64, 3), action=(64, 2), reward=64, value=64).items()}
arrays["action"] = np.clip([0.5, 1.0] + np.float32([0.5, 2.0]) * arrays["action"], [0.0, -1.0], [1.0, 3.0])
arrays["discount"] = (random.uniform(size=64) < 0.8).astype(np.float32)
tensors = {name: tf.constant(array, tf.float32) for name, array in arrays.items()}
value = tensors.pop("value")
policy = lambda s: tfp.distributions.MultivariateNormalDiag(s[:, :2], tf.fill(tf.shape(s[:, :2]), 0.5))
box = tensor_spec.BoundedTensorSpec([2], tf.float32, [0.0, -1.0], [1.0, 3.0])
y = fit(gamma=0.9, bonus_weight=0.7, lowest_bonus=-0.8).target(
    Transitions(**tensors), value, policy, tf.constant(0.3), box)
np.savez("target", y=y, gamma=fits[0].gamma, **arrays)
"""


def test_an_off_policy_algorithm(tmp_path: pathlib.Path) -> None:
    """In processes of its own: an agent's class, once defined, is among those that messages name."""
    line = write_example("An off-policy algorithm", tmp_path)
    in_a_new_process(tmp_path, TRAIN, small(line, OFF_POLICY, "hopper"))
    table = columns(tmp_path / "run" / "metrics.csv")
    assert np.isnan(table["critic_loss"][0])
    for name in ("critic_loss", "actor_loss", "q_mean", "entropy", "temperature"):
        assert np.all(np.isfinite(table[name][1:])), name
    # The settings of sac.gin and of the task's file hold for the class that derives from SAC's.
    recorded = (tmp_path / "run" / "config.gin").read_text(encoding="utf-8")
    assert "import munchausen\n" in recorded and "train.agent = @MunchausenSacAgent\n" in recorded
    assert "SacAgent.temperature = @LearnedTemperature()\n" in recorded and "GAMMA = 0.995\n" in recorded

    in_a_new_process(tmp_path, TRAIN_AGAIN, ["--gin_file=run/config.gin", "--root_dir=again"])
    again = columns(tmp_path / "again" / "metrics.csv")
    for name in table.keys() - TIMINGS:
        np.testing.assert_array_equal(again[name], table[name], err_msg=name)
    with np.load(tmp_path / "target.npz") as batch:
        assert batch["gamma"] == 0.995
        for i, action in enumerate(batch["action"]):
            # log N(a; s, ½²) of each component, and of the action in half-widths of the box: ½ and 2.
            errors = (action - batch["observation"][i, :2]) / 0.5
            log_prob = sum(-0.5 * e**2 - np.log(0.5) - 0.5 * np.log(2 * np.pi) for e in errors)
            log_prob += np.log(0.5) + np.log(2.0)
            bonus = 0.7 * max(0.3 * log_prob, -0.8)
            y = batch["reward"][i] + bonus + 0.9 * batch["discount"][i] * batch["value"][i]
            assert abs(batch["y"][i] - y) < 1e-5


@pytest.mark.parametrize(
    ("title", "setting", "message"),
    [
        ("An off-policy algorithm", "MunchausenSacAgent.bonus_wieght = 0.5", "mean 'bonus_weight'?"),
        ("An off-policy algorithm", "MunchausenSacAgent.bonus_weight = 'a'", "must be float; got 'a'."),
        ("An on-policy update rule", "PenaltyUpdate.desired_lk = 0.1", "mean 'desired_kl'?"),
        ("An on-policy update rule", "PenaltyUpdate.desired_kl = 'a'", "must be float; got 'a'."),
        ("A policy", "StudentActorNetwork.degrees_of_fredom = 2.0", "mean 'degrees_of_freedom'?"),
        ("A policy", "StudentActorNetwork.hidden_units = 'a'", "got 'a'."),
    ],
)
def test_a_wrong_setting_of_an_example_is_refused(
    title: str, setting: str, message: str, tmp_path: pathlib.Path
) -> None:
    arguments = small(write_example(title, tmp_path), [setting], "hopper")
    program = TRAIN.replace("== 0", "== 2")
    stderr = in_a_new_process(tmp_path, program, arguments)
    assert f"--gin_bindings:1: {setting.split('.')[0]}" in stderr and message in stderr
    assert not (tmp_path / "run").exists()


def test_an_on_policy_update_rule(user: pathlib.Path) -> None:
    bindings = [
        *ON_POLICY,
        "GaussianActorNetwork.hidden_units = (8,)",
        "penalty.PenaltyUpdate.desired_kl = 0.02",
        "MinibatchRegression.epochs = 2",
    ]
    table, _ = trained("An on-policy update rule", user, bindings, "inverted_pendulum")
    assert len(table["kl"]) == 3 and np.all(table["surrogate"] > 0) and np.all(table["kl"] > 0)
    # 1, adapted once a row by 2 or ½ wherever the divergence missed its aim.
    expected, penalty = [], 1.0
    for kl in table["kl"]:
        penalty *= 2.0 if kl > 1.5 * 0.02 else 0.5 if kl < 0.02 / 1.5 else 1.0
        expected.append(penalty)
    np.testing.assert_allclose(table["penalty"], expected)


def test_a_divergence(user: pathlib.Path) -> None:
    """In a process of its own, as off-policy experiments set TensorFlow's threads otherwise."""
    line = write_example("A divergence", user)
    bindings = [*OFF_POLICY, "DiscriminatorNetwork.hidden_units = (8,)"]
    in_a_new_process(user, TRAIN, small(line, bindings, "pendulum"))
    recorded = (user / "run" / "config.gin").read_text(encoding="utf-8")
    assert "import pearson\n" in recorded and "MatchingImprovement.matching = @pearson()\n" in recorded
    table = columns(user / "run" / "metrics.csv")
    for name in ("critic_loss", "actor_loss", "discriminator_loss"):
        assert np.all(np.isfinite(table[name][1:])), name
    # E_π t − E_p F*(t) of t = 2(r − 1), the best, on actions without a density: χ² = mean (r − 1)².
    assert import_user_module("pearson")
    matching = sys.modules["pearson"].pearson()
    ratio = np.float32([0.5, 1.0, 1.5])
    t = 2 * (ratio - 1)
    estimate = np.mean(ratio * t) - np.mean(t - matching.value(t, t))
    np.testing.assert_allclose(estimate, np.mean((ratio - 1) ** 2), rtol=1e-6)


def test_a_policy(user: pathlib.Path) -> None:
    own = "student.StudentActorNetwork.degrees_of_freedom = 5.0"
    bindings = [*ON_POLICY, own, "KfacRegression.updates = 3", "NUM_ENV_STEPS = 512"]
    table, recorded = trained("A policy", user, bindings, "inverted_pendulum")
    assert "GaussianActorNetwork" not in recorded
    assert len(table["kl"]) == 2 and np.all(np.isfinite(table["kl"])) and np.all(table["kl"] > 0)
    network = sys.modules["student"].StudentActorNetwork
    check_actor_network(network)
    # Tails far beyond a Gaussian's, at the same scale.
    observation = tensor_spec.TensorSpec([3], tf.float32)
    distribution, _ = network(observation, tensor_spec.BoundedTensorSpec([2], tf.float32, -1.0, 1.0))(
        tf.zeros([1, 3])
    )
    offered = capabilities(distribution)
    assert {"log_prob", "reparameterized_sample"} <= offered and "kl" not in offered
    samples = distribution.sample(20_000, seed=[1, 2]).numpy()
    assert np.mean(np.abs(samples) > 4.0) > 0.01


def test_a_task(user: pathlib.Path) -> None:
    bindings = [
        *ON_POLICY,
        "GaussianActorNetwork.hidden_units = (8,)",
        "MinibatchAdam.epochs = 2",
        "MinibatchRegression.epochs = 2",
    ]
    table, _ = trained("A task", user, bindings)
    assert np.all(np.isfinite(table["value_loss"])) and np.all(table["episode_length_mean"][1:] <= 50)
    name = "corridor:Corridor-v0"
    env = load_vector(name, num_envs=2, seed=0)
    assert isinstance(env, ArrayVectorEnvironment)
    env.close()
    check_environment(lambda seed: load(name, num_envs=2, seed=seed), num_steps=150)


def test_a_figure(user: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [*write_example("A figure", user), "--num_seeds=2", "--iterations=200"]
    assert figures_main(["expol-figures", *arguments]) == 0
    assert sorted(path.name for path in (user / "figures").iterdir()) == ["variance.csv", "variance.png"]
    table = columns(user / "figures" / "variance.csv")
    assert len(table["variance"]) == 8
    np.testing.assert_allclose(table["variance"], 1 / (1 - table["step_size"] / 2), rtol=0.15)
    assert "| 1 | " in capsys.readouterr().out
