"""An error of somebody else's environment names the task, its package and the versions that are installed."""

from __future__ import annotations

import functools
import importlib.metadata
import re
import sys
import textwrap

import gymnasium
import numpy as np
import pytest

from expol_tf.environments import load_vector
from expol_tf.environments.packages import package_versions
from expol_tf.errors import DependencyError, TaskError, UnknownEnvironmentError
from tests.environments.tasks import CountingTask

# What these packages raised with MuJoCo 4.0.0, and Meta-World with 3.17.0: its text may be missing, or say
# nothing of the cause.
FLEX = "AttributeError(\"'MjModel' object has no attribute 'flex_vertedge'\")"
RAISED = {
    "dm_control/cartpole-swingup-v0": FLEX,
    "FetchReach-v4": "AssertionError()",
    "FrankaKitchen-v1": "AssertionError()",
    "HandReach-v3": "AssertionError()",
    "Meta-World/MT1": "ValueError('could not broadcast input array from shape (11,) into shape (12,)')",
}


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Installs a package `name`, with a module of that name, as pip would."""
    added = []

    def install_package(name, version, source, needs=("gymnasium>=1",)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(textwrap.dedent(source))
        record = tmp_path / f"{name}-{version}.dist-info"
        record.mkdir()
        lines = [f"Name: {name}", f"Version: {version}", *(f"Requires-Dist: {each}" for each in needs)]
        (record / "METADATA").write_text("\n".join(["Metadata-Version: 2.1", *lines, ""]))
        (record / "top_level.txt").write_text(name)
        added.append(name)

    monkeypatch.syspath_prepend(tmp_path)
    before = set(gymnasium.registry)
    yield install_package
    for name in added:
        sys.modules.pop(name, None)
    for task in set(gymnasium.registry) - before:
        del gymnasium.registry[task]


def versions(*others):
    known = [f"{name} {importlib.metadata.version(name)}" for name in ("mujoco", "gymnasium")]
    return ", ".join([*others, *known])


def simulator(raised):
    """The source of a package under the one that registers the task, as dm_control is under shimmy."""
    return f"def build():\n    raise {raised}\n"


@pytest.mark.parametrize("task", RAISED)
def test_client_06_the_task_its_package_and_the_versions_are_named(task, install):
    name = re.sub(r"\W", "_", task).lower()
    install(f"sim_{name}", "0.7", simulator(RAISED[task]), needs=["mujoco>=3.17.0"])
    install(
        f"pack_{name}",
        "2.1",
        f"""
        import gymnasium, mujoco, sim_{name}

        def make(**kwargs):
            return sim_{name}.build()

        gymnasium.register({task!r}, make)
        """,
    )
    with pytest.raises(TaskError) as caught:
        load_vector(f"pack_{name}:{task}")
    message = str(caught.value).splitlines()[0]
    assert message.startswith(f"The task 'pack_{name}:{task}' cannot be made: its constructor raised ")
    assert f"Installed are {versions(f'pack_{name} 2.1', f'sim_{name} 0.7')}; " in message
    assert message.endswith("docs/third_party_tasks.md lists versions that work together.")
    assert "Mend it" not in message
    # What was raised, and where, is still there.
    assert "build" in caught.value.environment_traceback()


@pytest.mark.parametrize("raised", ["ImportError('cannot import name qpos')", FLEX])
def test_client_06_a_package_that_cannot_be_imported_is_named_with_its_version(raised, install):
    install("broken_tasks", "3.0", f"import mujoco\nraise {raised}\n")
    with pytest.raises(UnknownEnvironmentError, match="'broken_tasks:Task-v0' cannot be made") as caught:
        load_vector("broken_tasks:Task-v0")
    assert f"Installed are {versions('broken_tasks 3.0')}; docs/third_party_tasks.md" in str(caught.value)


def test_client_06_a_dependency_that_a_package_misses_is_told_with_its_version(install):
    install(
        "pack_lacking",
        "1.2.3",
        """
        import gymnasium

        class Lacking(gymnasium.Env):
            def __init__(self):
                raise gymnasium.error.DependencyNotInstalled("No module named flex")

        gymnasium.register("Lacking-v0", Lacking)
        """,
    )
    with pytest.raises(DependencyError) as caught:
        load_vector("pack_lacking:Lacking-v0")
    message = str(caught.value)
    assert (
        "needs a package that is not installed: No module named flex. Installed are pack_lacking 1.2.3"
        in message
    )


def test_client_06_sources_on_the_path_have_a_version_too(install, monkeypatch):
    install("pack_sources", "1.0", "def fail():\n    raise ValueError('x')\n")
    import pack_sources  # type: ignore[import-not-found]

    known = importlib.metadata.version

    def version(name):
        if name == "gymnasium":
            raise importlib.metadata.PackageNotFoundError(name)
        return known(name)

    monkeypatch.setattr(importlib.metadata, "version", version)
    with pytest.raises(ValueError, match="x") as caught:
        pack_sources.fail()
    assert package_versions(caught.value).endswith(f"gymnasium {gymnasium.__version__}")


@pytest.mark.parametrize("call", ["reset", "step"])
def test_client_06_an_error_after_the_making_names_the_package_too(call, install):
    install("late_tasks", "1.5", f"import mujoco\n\ndef fail(*args, **kwargs):\n    raise {FLEX}\n")
    import late_tasks  # type: ignore[import-not-found]

    class Late(CountingTask):
        pass

    setattr(Late, call, late_tasks.fail)
    with pytest.raises(TaskError, match=f"{call}.. raised Attr.*Installed are late_tasks 1.5, mujoco"):
        environment = load_vector(Late)
        environment.reset()
        environment.step(np.zeros((1, 2)))


@pytest.mark.parametrize("kind", ["a factory", "a partial", "a wrapper"])
def test_client_06_factories_and_wrappers_of_packages_are_named(kind, install):
    install("maker_tasks", "1.6", f"import mujoco\n\ndef make(env=None, x=1):\n    raise {FLEX}\n")
    import maker_tasks  # type: ignore[import-not-found]

    make = functools.partial(maker_tasks.make, x=2) if kind == "a partial" else maker_tasks.make
    arguments = {"task": CountingTask, "wrappers": [make]} if kind == "a wrapper" else {"task": make}
    with pytest.raises(TaskError, match="cannot be made: .*make.* raised .*are maker_tasks 1.6, mujoco"):
        load_vector(**arguments)


def test_client_06_code_of_one_s_own_has_no_package():
    def make():
        raise ValueError("stuck")

    with pytest.raises(TaskError, match="raised ValueError: stuck. Mend it."):
        load_vector(make)


def test_client_06_a_namespace_without_its_package_says_how_to_name_it():
    with pytest.raises(UnknownEnvironmentError) as caught:
        load_vector("no_such_control/cartpole-swingup-v0")
    message = str(caught.value)
    assert "write 'package:no_such_control/cartpole-swingup-v0'" in message and "?." not in message
