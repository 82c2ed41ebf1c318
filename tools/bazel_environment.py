"""Writes `.bazel/`: what Bazel has to know about this machine. Run by bazelw, never by hand.

The directory is git-ignored and holds

* `python/`, a repository with the toolchain of the virtual environment's interpreter;
* `generated.bazelrc`, imported by `.bazelrc`: flags for the Bazel that was found;
* for Debian's Bazel, `rules_cc/` and `remote_coverage_tools/`. Bazel downloads the rules of its built-in C++,
  Java and coverage toolchains even where nothing is built with them. Debian packages four of these
  repositories in a form that its Bazel understands, and the other two need next to nothing in them; with all
  six overridden, Bazel works offline.
"""

from __future__ import annotations

import pathlib
import re
import sys
from collections.abc import Mapping, Sequence

DEBIAN_REPOSITORIES = {
    "bazel_skylib": "/usr/share/bazel/tools/skylib",
    "platforms": "/usr/share/bazel/tools/platforms",
    "rules_java": "/usr/share/bazel/rules/java",
    "rules_proto": "/usr/share/bazel/rules/proto",
}

CC_RULES = (
    "cc_binary",
    "cc_import",
    "cc_library",
    "cc_proto_library",
    "cc_test",
    "cc_toolchain",
    "cc_toolchain_suite",
    "objc_import",
    "objc_library",
)


def python_repository(interpreter: pathlib.Path) -> dict[str, str]:
    """Returns the files of the repository `expol_python`, whose toolchain is `interpreter`."""
    build = f"""\
load("@bazel_tools//tools/python:toolchain.bzl", "py_runtime_pair")

package(default_visibility = ["//visibility:public"])

# The packages installed in the virtual environment; bazelw keeps it up to date.
exports_files(["packages.txt"])

py_runtime(
    name = "runtime",
    interpreter_path = "{interpreter}",
    python_version = "PY3",
)

py_runtime_pair(
    name = "runtime_pair",
    py3_runtime = ":runtime",
)

toolchain(
    name = "toolchain",
    toolchain = ":runtime_pair",
    toolchain_type = "@bazel_tools//tools/python:toolchain_type",
)
"""
    return {"WORKSPACE": 'workspace(name = "expol_python")\n', "BUILD": build}


def rules_cc_repository() -> dict[str, str]:
    """Returns the files of a `rules_cc` whose rules are the ones built into Bazel."""
    definitions = "".join(f"{rule} = native.{rule}\n" for rule in CC_RULES)
    return {
        "WORKSPACE": 'workspace(name = "rules_cc")\n',
        "BUILD": "",
        "cc/BUILD": 'exports_files(["defs.bzl"])\n',
        "cc/defs.bzl": f'"""The C++ rules built into Bazel."""\n\n{definitions}',
    }


def coverage_repository() -> dict[str, str]:
    """Returns the files of a `remote_coverage_tools` without tools: every test target names them."""
    groups = "".join(
        f'filegroup(\n    name = "{name}",\n    visibility = ["//visibility:public"],\n)\n'
        for name in ("coverage_report_generator", "lcov_merger")
    )
    return {"WORKSPACE": 'workspace(name = "remote_coverage_tools")\n', "BUILD": groups}


def bazelrc(directory: pathlib.Path, interpreter: pathlib.Path, bazel_version: str) -> str:
    """Returns the flags for a Bazel that calls itself `bazel_version` ("no_version" is Debian's 4.2.3)."""
    lines = [
        "# Written by tools/bazel_environment.py.",
        # Bazel 4 starts a Python test with whatever `python` is, and Debian has none.
        f"test --test_env=PATH={interpreter.parent}:/usr/local/bin:/usr/bin:/bin",
    ]
    major = re.match(r"\d+", bazel_version)
    if bazel_version == "no_version":
        repositories: dict[str, str | pathlib.Path] = dict(DEBIAN_REPOSITORIES)
        for name in ("rules_cc", "remote_coverage_tools"):
            repositories[name] = directory / name
        lines += [f"build --override_repository={name}={path}" for name, path in sorted(repositories.items())]
    elif major and int(major[0]) >= 7:
        # From 7 on Bazel looks for a MODULE.bazel unless told that this is a WORKSPACE project.
        lines.append("common --noenable_bzlmod")
    return "\n".join(lines) + "\n"


def write_files(directory: pathlib.Path, files: Mapping[str, str]) -> None:
    """Writes `files` (path relative to `directory` → text), those that differ from what is there."""
    for name, text in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def main(arguments: Sequence[str]) -> None:
    """Writes everything. Args: the directory to write, the interpreter, Bazel's version."""
    if len(arguments) != 3:
        raise SystemExit("usage: bazel_environment.py DIRECTORY INTERPRETER BAZEL_VERSION")
    root, interpreter, bazel_version = pathlib.Path(arguments[0]), pathlib.Path(arguments[1]), arguments[2]
    write_files(root / "python", python_repository(interpreter))
    if bazel_version == "no_version":
        write_files(root / "rules_cc", rules_cc_repository())
        write_files(root / "remote_coverage_tools", coverage_repository())
    write_files(root, {"generated.bazelrc": bazelrc(root, interpreter, bazel_version)})


if __name__ == "__main__":
    main(sys.argv[1:])
