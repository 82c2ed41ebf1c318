"""The library's own gin files, each resolved against the real configurables."""

from __future__ import annotations

import gymnasium
import pytest

from expol_tf import _resources
from expol_tf.training import command_line, configuration, gin_syntax
from expol_tf.training.configuration import EXPERIMENT_MACROS
from expol_tf.training.gin_syntax import Binding

ROOT = _resources.gin_root()
EXPERIMENTS = sorted(path.name for path in ROOT.glob("*.gin"))
TASKS = sorted(path.name for path in ROOT.glob("tasks/*.gin"))


@pytest.fixture(scope="module", autouse=True)
def library() -> None:
    command_line.import_library()


def test_the_named_experiments_are_there() -> None:
    assert {"nfp_trpo.gin", "gaussian_trpo.gin", "gmm_trpo.gin"} <= set(EXPERIMENTS)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_resolves_and_defines_the_macros(name: str) -> None:
    statements = gin_syntax.read_files([f"gin/{name}"])
    bindings = [statement for statement in statements if isinstance(statement, Binding)]
    assert set(EXPERIMENT_MACROS) <= {binding.name for binding in bindings if binding.is_macro}
    result = configuration.resolve(statements)
    assert result.value("train.task") == "Hopper-v5"
    assert result.value("train.num_env_steps") == 1_000_000
    assert result.value("train.eval_episodes") == 10
    again = configuration.resolve(gin_syntax.read_bindings([result.text]))
    assert again.text == result.text
    assert again.fingerprint() == result.fingerprint()


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_begins_with_its_title(name: str) -> None:
    first, second = (ROOT / name).read_text().splitlines()[:2]
    assert first.startswith("# ") and first.endswith(".") and second == "#"


@pytest.mark.parametrize("name", TASKS)
def test_every_task_file_says_what_the_task_is(name: str) -> None:
    title = (ROOT / "tasks" / name).read_text().splitlines()[0]
    statement, gamma = gin_syntax.read_files([f"gin/tasks/{name}"])
    assert isinstance(statement, Binding) and statement.name == "TASK"
    # Set in every task file, or one task's discount would stay when another task's file overrides it.
    assert isinstance(gamma, Binding) and gamma.name == "GAMMA"
    env = gymnasium.make(statement.value)
    observations, actions = env.observation_space.shape[0], env.action_space.shape[0]
    high = env.action_space.high[0]
    sizes = f"{_count(observations, 'observation')}, {_count(actions, 'action')}"
    assert f"{sizes} in [{-high:g}, {high:g}]" in title
    # A task without a time limit has episodes of one step.
    assert env.spec is not None and _count(env.spec.max_episode_steps or 1, "step") in title


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


@pytest.mark.parametrize("task", TASKS)
def test_every_task_file_changes_only_the_task_and_its_discount(task: str) -> None:
    def fingerprint(*names: str) -> dict[str, str]:
        return configuration.resolve(gin_syntax.read_files(names)).fingerprint()

    base = fingerprint("gin/nfp_trpo.gin")
    changed = fingerprint("gin/nfp_trpo.gin", f"gin/tasks/{task}")
    differing = {name for name in base | changed if base.get(name) != changed.get(name)}
    assert differing <= {"train.task", "AdvantageEstimation.gamma"}
