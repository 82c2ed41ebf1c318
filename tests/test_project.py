"""The project can be installed, finds its gin files everywhere, and its build does what it promises."""

from __future__ import annotations

import ast
import hashlib
import os
import pathlib
import re
import runpy
import shutil
import subprocess
import sys
import zipfile

import gin
import pytest
import setuptools
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import expol_tf
from expol_tf.configuration.resources import gin_root
from tools import bazel_environment

ROOT = pathlib.Path(expol_tf.__file__).absolute().parents[1]
# Import name → name of the distribution, where they differ.
DISTRIBUTIONS = {"absl": "absl-py", "gin": "gin-config", "google": "protobuf", "reverb": "dm-reverb"}


@pytest.fixture(name="setup_arguments")
def fixture_setup_arguments(monkeypatch):
    """What setup.py passes to setuptools."""
    captured: dict = {}
    monkeypatch.setattr(setuptools, "setup", captured.update)
    monkeypatch.chdir(ROOT)
    runpy.run_path(str(ROOT / "setup.py"))
    return captured


def run(*command, **arguments):
    return subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, check=False, **arguments
    )


def copy_of_project(directory):
    """The files that `pip install .` reads, as they are in a checkout (a runfiles tree has links)."""
    for name in ("setup.py", "pyproject.toml", "MANIFEST.in", "README.md", "LICENSE", "requirements.txt"):
        shutil.copy(ROOT / name, directory)
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "expol_tf", directory / "expol_tf", ignore=ignored)
    shutil.copytree(ROOT / "gin", directory / "gin", ignore=ignored)


def needed_modules(source):
    """The top-level modules that `source` imports, other than where it goes on without them."""
    tree = ast.parse(source)
    optional = {
        node
        for attempt in ast.walk(tree)
        if isinstance(attempt, ast.Try) and any("ImportError" in ast.dump(each) for each in attempt.handlers)
        and not any(isinstance(each, ast.Raise) for handler in attempt.handlers for each in ast.walk(handler))
        for statement in attempt.body
        for node in ast.walk(statement)
    }  # fmt: skip
    for node in ast.walk(tree):
        if isinstance(node, ast.Import) and node not in optional:
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level and node not in optional:
            yield node.module.split(".")[0]


def test_needed_modules_are_those_that_must_be_there():
    source = """
import one.part
from two import thing
from . import own
def late():
  try:
    import three
  except ImportError as error:
    raise RuntimeError("install three") from error
try:
  import four
except ImportError:
  pass
"""
    assert set(needed_modules(source)) == {"one", "two", "three"}


def test_gin_is_gin_config():
    module = pathlib.Path(gin.__file__)
    assert module.name == "__init__.py" and ROOT not in module.resolve().parents or ".venv" in module.parts
    assert callable(gin.parse_config_files_and_bindings)
    assert not list((ROOT / "gin").rglob("*.py"))


def test_gin_root_holds_the_experiments():
    assert gin_root() == ROOT / "gin"
    assert (gin_root() / "nfp_trpo.gin").is_file()


def test_gin_root_of_an_installed_package_is_inside_it(tmp_path):
    (tmp_path / "expol_tf" / "gin_files").mkdir(parents=True)
    (tmp_path / "gin").mkdir()
    (tmp_path / "gin" / "__init__.py").touch()
    assert gin_root(tmp_path / "expol_tf") == tmp_path / "expol_tf" / "gin_files"


def test_gin_root_is_never_gin_config(tmp_path):
    (tmp_path / "gin").mkdir()
    (tmp_path / "gin" / "__init__.py").touch()
    with pytest.raises(FileNotFoundError, match="install expol-tf again"):
        gin_root(tmp_path / "expol_tf")


def test_version_and_python_are_declared(setup_arguments):
    assert setup_arguments["version"] == expol_tf.__version__
    assert setup_arguments["python_requires"] == ">=3.11,<3.12"


def test_the_changes_of_this_version_are_told():
    assert f"\n## {expol_tf.__version__}\n" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_console_scripts_exist(setup_arguments):
    scripts = setup_arguments["entry_points"]["console_scripts"]
    assert scripts
    for script in scripts:
        module, function = script.split("=")[1].strip().split(":")
        source = (ROOT / module.replace(".", "/")).with_suffix(".py").read_text(encoding="utf-8")
        names = {node.name for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)}
        assert function in names, f"{script}: {module} has no function {function}"


def test_imported_distributions_are_declared(setup_arguments):
    extras = setup_arguments["extras_require"]
    declared = {
        canonicalize_name(Requirement(line).name)
        for line in [*setup_arguments["install_requires"], *sum(extras.values(), [])]
    }
    modules = [*(ROOT / "expol_tf").rglob("*.py"), *(ROOT / "binaries").rglob("*.py")]
    imported = {name for path in modules for name in needed_modules(path.read_text(encoding="utf-8"))}
    imported -= {"expol_tf", *sys.stdlib_module_names}
    assert "tensorflow" in imported
    missing = {name for name in imported if canonicalize_name(DISTRIBUTIONS.get(name, name)) not in declared}
    assert not missing, f"imported but not in setup.py: {missing}"


def test_pins_are_inside_the_declared_ranges(setup_arguments):
    pins = dict(re.findall(r"^([\w.-]+)==(\S+)$", (ROOT / "requirements.txt").read_text(), re.MULTILINE))
    pins = {canonicalize_name(name): version for name, version in pins.items()}
    extras = setup_arguments["extras_require"]
    for line in [*setup_arguments["install_requires"], *extras["envpool"], *extras["reverb"], *extras["dev"]]:
        requirement = Requirement(line)
        version = pins[canonicalize_name(requirement.name)]
        assert version in requirement.specifier, f"{line} does not admit the pinned {version}"


def test_wheel_carries_the_gin_tree_inside_the_package(tmp_path):
    source, output = tmp_path / "source", tmp_path / "output"
    source.mkdir()
    copy_of_project(source)
    # Without isolation, so that nothing is downloaded: the pinned setuptools and wheel build it.
    built = run(
        sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index",
        f"--wheel-dir={output}", source,
    )  # fmt: skip
    assert built.returncode == 0, built.stderr
    (wheel,) = output.glob("expol_tf-*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    expected = {path.relative_to(ROOT / "gin").as_posix() for path in (ROOT / "gin").rglob("*.gin")}
    assert "nfp_trpo.gin" in expected
    assert {f"expol_tf/gin_files/{name}" for name in expected} <= names
    modules = {path.relative_to(ROOT).as_posix() for path in (ROOT / "expol_tf").rglob("*.py")}
    assert modules | {"expol_tf/py.typed"} <= names
    metadata = f"expol_tf-{expol_tf.__version__}.dist-info"
    assert {name.split("/")[0] for name in names} == {"expol_tf", metadata}


@pytest.mark.parametrize(
    ("source", "options", "fails"),
    [
        ("def test_one():\n  assert True", (), False),
        ("def test_one():\n  assert False", (), True),
        ("def check_one():\n  assert True", (), True),
        ("import missing_module\ndef test_one():\n  assert True", (), True),
        ("import pytest\n@pytest.mark.slow\ndef test_one():\n  assert False", (), False),
        ("import pytest\n@pytest.mark.slow\ndef test_one():\n  assert False", ("--slow",), True),
    ],
    ids=["passes", "fails", "nothing collected", "broken", "slow left out", "slow run"],
)
def test_main_of_bazel_tests(tmp_path, source, options, fails):
    (tmp_path / "test_it.py").write_text(source)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    unset = ("XML_OUTPUT_FILE", "TEST_TMPDIR", "TESTBRIDGE_TEST_ONLY", "PYTEST_ADDOPTS")
    environment = {name: value for name, value in os.environ.items() if name not in unset}
    main = ROOT / "tools" / "pytest_main.py"
    done = run(sys.executable, main, "test_it.py", *options, cwd=tmp_path, env=environment)
    assert (done.returncode != 0) == fails, done.stdout + done.stderr


def test_debian_bazel_gets_every_repository_locally(tmp_path):
    bazel_environment.main([str(tmp_path), "/somewhere/bin/python", "no_version"])
    flags = (tmp_path / "generated.bazelrc").read_text()
    for name in [*bazel_environment.DEBIAN_REPOSITORIES, "rules_cc", "remote_coverage_tools"]:
        assert f"--override_repository={name}=/" in flags
    for name in ("rules_cc", "remote_coverage_tools", "python"):
        assert (tmp_path / name / "WORKSPACE").is_file() and (tmp_path / name / "BUILD").is_file()
    assert 'interpreter_path = "/somewhere/bin/python"' in (tmp_path / "python" / "BUILD").read_text()


@pytest.mark.parametrize(("version", "bzlmod"), [("4.2.3", False), ("6.5.0", False), ("7.4.1", True)])
def test_other_bazels_keep_their_repositories(tmp_path, version, bzlmod):
    flags = bazel_environment.bazelrc(tmp_path, pathlib.Path("/somewhere/bin/python"), version)
    assert "override_repository" not in flags
    assert ("--noenable_bzlmod" in flags) == bzlmod


def test_bazel_ignores_the_virtual_environment():
    assert {".venv", ".bazel"} <= set((ROOT / ".bazelignore").read_text().split())


@pytest.fixture(name="prepared")
def fixture_prepared(tmp_path):
    """A checkout whose environment is there, and a `bazel` that prints how it was called."""
    (tmp_path / "tools").mkdir()
    (tmp_path / "requirements.txt").write_text("absl-py==2.5.1\n")
    shutil.copy(ROOT / "bazelw", tmp_path)
    shutil.copy(ROOT / "tools" / "bazel_environment.py", tmp_path / "tools")
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "bin" / "python").symlink_to(sys.executable)
    (tmp_path / ".venv" / "lib" / "python3.11" / "site-packages" / "one-1.0.dist-info").mkdir(parents=True)
    digest = hashlib.sha256(b"absl-py==2.5.1\n").hexdigest()
    (tmp_path / ".venv" / ".complete").write_text(f"{tmp_path} {digest}\n")
    programs = tmp_path / "programs"
    programs.mkdir()
    bazel = '#!/bin/sh\n[ "$1" = --version ] && { echo bazel 4.2.3; exit; }\npwd\nprintf "<%s>\\n" "$@"\n'
    (programs / "bazel").write_text(bazel)
    (programs / "bazel").chmod(0o755)
    return tmp_path, {**os.environ, "PATH": f"{programs}:/usr/bin:/bin"}


def test_bazelw_hands_its_arguments_to_bazel(prepared):
    root, environment = prepared
    first = run(root / "bazelw", "test", "a b", "--", "", cwd=root / "tools", env=environment)
    assert first.returncode == 0, first.stderr
    assert first.stdout.splitlines() == [str(root / "tools"), "<test>", "<a b>", "<-->", "<>"]
    assert "one-1.0.dist-info" in (root / ".bazel" / "python" / "packages.txt").read_text()
    second = run(root / "bazelw", "info", cwd="/", env=environment)
    # Nothing is left to do, and outside of the project it works on the project.
    assert second.stdout.splitlines() == [str(root), "<info>"] and second.stderr == ""


def test_bazelw_notices_a_package_installed_by_hand(prepared):
    root, environment = prepared
    (root / ".venv" / ".made_by_bazelw").touch()
    run(root / "bazelw", "info", cwd=root, env=environment)
    (root / ".venv" / "lib" / "python3.11" / "site-packages" / "two-2.0.dist-info").mkdir()
    run(root / "bazelw", "info", cwd=root, env=environment)
    assert "two-2.0.dist-info" in (root / ".bazel" / "python" / "packages.txt").read_text()


def test_bazelw_leaves_a_foreign_environment_alone(prepared):
    root, environment = prepared
    (root / ".venv" / ".complete").unlink()
    done = run(root / "bazelw", "info", cwd=root, env=environment)
    assert done.returncode != 0 and "was not made by bazelw" in done.stderr
    assert (root / ".venv" / "bin" / "python").exists()
