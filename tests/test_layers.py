"""Imports go down the layers, never up or sideways, and third-party internals stay out."""

from __future__ import annotations

import ast
import importlib
import pathlib
from collections.abc import Iterator, Sequence

import pytest

import expol_tf
from tools import draw_architecture

PACKAGE = pathlib.Path(expol_tf.__file__).parent
ROOT = PACKAGE.parent

# A package may import those of lower levels only. The modules directly in expol_tf are below them all.
LEVELS = {
    "cli": 1,
    "random": 1,
    "bijectors": 2,
    "samplers": 2,
    "optimizers": 2,
    "configuration": 2,
    "runs": 2,
    "distributions": 3,
    "environments": 3,
    "reports": 3,
    "objectives": 4,
    "diagnostics": 4,
    "networks": 5,
    "agents": 6,
    "imitation": 7,
    "offline": 7,
    "training": 8,
    "testing": 8,
    # Sweeps train by the train command; the other commands stand above everything.
    "cli.commands.train": 9,
    "papers": 9,
    "sweeps": 10,
    "cli.commands": 11,
}
# Those whose __init__ is all that others see of them.
PUBLIC = {name for name in LEVELS if "." not in name}
KERAS_MODULES = {"keras", "tf_keras", "tensorflow.keras"}
ALIASES = {"tf": "tensorflow", "tfp": "tensorflow_probability"}


def sources(*directories: str) -> list[pathlib.Path]:
    return sorted(path for directory in directories for path in (ROOT / directory).rglob("*.py"))


def imported_names(source: str, package: str) -> Iterator[str]:
    """The dotted names that `source`, a module of `package`, imports in full; of `from a import b`, `a.b`."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")
            base = parents[: len(parents) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            yield from (f"{module}.{alias.name}" for alias in node.names)


def used_names(source: str) -> Iterator[str]:
    """The dotted names of attribute accesses in `source`, `tf` and `tfp` written out."""
    for node in ast.walk(ast.parse(source)):
        names: list[str] = []
        while isinstance(node, ast.Attribute):
            names.append(node.attr)
            node = node.value
        if names and isinstance(node, ast.Name):
            yield ".".join([ALIASES.get(node.id, node.id), *reversed(names)])


def under(name: str, module: str) -> bool:
    return name == module or name.startswith(f"{module}.")


def place(parts: Sequence[str]) -> str | None:
    """The longest name in LEVELS that the module `parts` of expol_tf lies under, None if there is none."""
    names = [".".join(parts[:length]) for length in range(len(parts), 0, -1)]
    return next((name for name in names if name in LEVELS), None)


def exported(package: str) -> list[str]:
    """The names that a package's __init__ exports."""
    return list(importlib.import_module(f"expol_tf.{package}").__all__)


def layer_violations(source: str, module: str) -> list[str]:
    """What a module (`expol_tf.networks.mlp`, `expol_tf.errors`) imports though it must not."""
    here = place(module.split(".")[1:])
    level = LEVELS[here] if here else 0
    wrong = []
    for name in imported_names(source, module.rpartition(".")[0]):
        parts = name.split(".")
        if parts[0] in ("binaries", "benchmarks", "tests", "tools"):
            wrong.append(f"{name}: a program or test")
        there = place(parts[1:]) if parts[0] == "expol_tf" else None
        if there is None or there == here:
            continue
        if LEVELS[there] >= level:
            wrong.append(f"{name}: not below {module}")
        elif there in PUBLIC and parts[2:] and (len(parts) > 3 or parts[2] not in exported(there)):
            wrong.append(f"{name}: import it from expol_tf.{there}, whose __init__ is the public surface")
    return wrong


def foreign_violations(source: str, package: str) -> list[str]:
    """TensorFlow's internals, and Keras reached otherwise than through expol_tf/keras_api.py."""
    names = set(imported_names(source, package)) | set(used_names(source))
    internal = [name for name in names if under(name, "tensorflow.python")]
    keras = [name for name in names if any(under(name, module) for module in KERAS_MODULES)]
    # `from expol_tf.keras_api import keras` binds the name that the code then uses.
    if any(under(name, "expol_tf.keras_api") for name in names):
        keras = [name for name in keras if not under(name, "keras")]
    return sorted(internal + keras)


def module_name(path: pathlib.Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


def test_every_package_has_a_level():
    packages = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert packages and packages <= set(LEVELS), f"give {packages - set(LEVELS)} a level in LEVELS"


def test_imports_go_down():
    # The package's own __init__ re-exports from every layer.
    modules = [path for path in sources("expol_tf") if path != PACKAGE / "__init__.py"]
    wrong = {
        str(path.relative_to(ROOT)): violations
        for path in modules
        if (violations := layer_violations(path.read_text(encoding="utf-8"), module_name(path)))
    }
    assert modules and not wrong, "\n".join(f"{path}: {each}" for path, each in wrong.items())


def test_no_internals_of_tensorflow_and_one_way_to_keras():
    modules = [path for path in sources("expol_tf", "binaries") if path != PACKAGE / "keras_api.py"]
    wrong = {
        str(path.relative_to(ROOT)): violations
        for path in modules
        if (violations := foreign_violations(path.read_text(encoding="utf-8"), module_name(path.parent)))
    }
    assert modules and not wrong, "\n".join(f"{path}: {each}" for path, each in wrong.items())


@pytest.mark.parametrize(
    ("source", "package"),
    [
        ("from expol_tf.agents import TrpoAgent", "expol_tf.networks"),
        ("import expol_tf.training", "expol_tf.agents"),
        ("from expol_tf import networks", "expol_tf.bijectors"),
        ("from ..networks import FlowActorNetwork", "expol_tf.distributions"),
        ("from expol_tf.objectives import gae", "expol_tf.optimizers"),
        ("from expol_tf.bijectors import Coupling", "expol_tf"),
        ("def late():\n  from expol_tf.training import train", "expol_tf.agents"),
        ("from expol_tf.networks.flow.part import Part", "expol_tf.agents"),
        ("import tools.pytest_main", "expol_tf.training"),
    ],
)
def test_a_wrong_import_is_found(source, package):
    assert layer_violations(source, f"{package}.module")


@pytest.mark.parametrize(
    ("source", "package"),
    [
        ("from expol_tf.networks import FlowActorNetwork", "expol_tf.agents"),
        ("from expol_tf.networks.mlp import mlp", "expol_tf.networks"),
        ("from . import mlp", "expol_tf.networks"),
        ("from expol_tf.errors import ExpolError\nimport tensorflow as tf", "expol_tf.bijectors"),
    ],
)
def test_a_right_import_is_not(source, package):
    assert not layer_violations(source, f"{package}.module")


@pytest.mark.parametrize(
    "source",
    [
        "from tensorflow.python.ops import math_ops",
        "import tensorflow as tf\ntf.python.ops",
        "import tensorflow as tf\ntf.keras.layers.Dense(3)",
        "from tensorflow import keras",
        "import keras",
        "from tf_keras import layers",
        "from tensorflow.keras.layers import Dense",
    ],
)
def test_a_foreign_internal_is_found(source):
    assert foreign_violations(source, "expol_tf.networks")


def test_keras_through_its_one_import_is_allowed():
    source = "from expol_tf.keras_api import keras\nkeras.layers.Dense(3)"
    assert not foreign_violations(source, "expol_tf.networks")


def libraries(build: pathlib.Path) -> Iterator[tuple[str, list[pathlib.Path], list[str]]]:
    """Name, sources and dependencies of each py_library of a BUILD file, which is Python to the parser."""
    for call in ast.walk(ast.parse(build.read_text(encoding="utf-8"))):
        if not (isinstance(call, ast.Call) and ast.unparse(call.func) == "py_library"):
            continue
        given = {keyword.arg: keyword.value for keyword in call.keywords}
        sources_given = given["srcs"]
        patterns = ast.literal_eval(
            sources_given.args[0] if isinstance(sources_given, ast.Call) else sources_given
        )
        files = [path for pattern in patterns for path in sorted(build.parent.glob(pattern))]
        yield ast.literal_eval(given["name"]), files, ast.literal_eval(given["deps"])


def label(module: Sequence[str]) -> str | None:
    """The Bazel target of a module of expol_tf, without that name; None for one that every target has."""
    if tuple(module[:2]) == ("cli", "commands"):
        return f"//expol_tf/cli/commands:{module[2]}" if len(module) > 2 else None
    return f"//expol_tf/{module[0]}" if (PACKAGE / module[0] / "__init__.py").exists() else None


def imported_targets(files: Sequence[pathlib.Path], own: str) -> set[str]:
    """The Bazel targets that source files need."""
    needed = {"//expol_tf:base"}
    for path in files:
        for name in imported_names(path.read_text(encoding="utf-8"), module_name(path.parent)):
            parts = name.split(".")
            target = label(parts[1:]) if parts[0] == "expol_tf" and len(parts) > 1 else None
            if target is not None and target != own:
                needed.add(target)
    return needed


BUILD_FILES = sorted(
    path for path in PACKAGE.rglob("BUILD") if path.parent != PACKAGE and "gin_files" not in path.parts
)


@pytest.mark.parametrize("build", BUILD_FILES, ids=lambda path: str(path.parent.relative_to(PACKAGE)))
def test_the_dependencies_of_a_target_are_its_imports(build: pathlib.Path):
    targets = list(libraries(build))
    assert targets
    for name, files, dependencies in targets:
        folder = "/".join(build.parent.relative_to(ROOT).parts)
        own = f"//{folder}:{name}" if folder.endswith("commands") else f"//{folder}"
        assert files and set(dependencies) == imported_targets(files, own), own


def test_every_package_has_a_target():
    packages = {path.parent for path in PACKAGE.glob("*/__init__.py")}
    assert packages <= {build.parent for build in BUILD_FILES}


def test_the_picture_of_the_architecture_is_what_the_imports_say():
    assert draw_architecture.picture() == draw_architecture.PICTURE.read_text(encoding="utf-8"), (
        "run `python tools/draw_architecture.py`"
    )


def test_every_package_can_be_had_by_its_name():
    names = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    for name in names:
        assert getattr(expol_tf, name) is importlib.import_module(f"expol_tf.{name}")
