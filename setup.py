"""Packages `expol_tf` together with the `gin/` tree, which is installed inside the package."""

from __future__ import annotations

import ast
import pathlib

import setuptools

ROOT = pathlib.Path(__file__).resolve().parent


def read_version() -> str:
    """Returns `__version__` of the package without importing it (its dependencies are not installed yet)."""
    module = ast.parse((ROOT / "expol_tf" / "__init__.py").read_text(encoding="utf-8"))
    for statement in module.body:
        if isinstance(statement, ast.Assign) and any(
            isinstance(target, ast.Name) and target.id == "__version__" for target in statement.targets
        ):
            return ast.literal_eval(statement.value)
    raise RuntimeError("expol_tf/__init__.py does not assign __version__.")


REVERB = ["dm-reverb==0.14.0"]
SWEEPS = ["ray>=2.9"]
# arch, which rliable needs, does not import beside pandas 3.
REPORTS = ["pandas>=2,<3", "rliable>=1.2"]
ENVPOOL = ["envpool>=1.0"]
OFFLINE = ["minari>=0.5"]

setuptools.setup(
    name="expol-tf",
    version=read_version(),
    description=(
        "Expressive policies for reinforcement learning on TensorFlow, TensorFlow Probability and TF-Agents"
    ),
    long_description=(ROOT / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    # EnvPool and SciPy need 3.11 or later; TensorFlow 2.15 has no wheels for 3.12.
    python_requires=">=3.11,<3.12",
    # A top-level package called `gin` would hide gin-config, so the tree gets a name inside ours.
    packages=[*setuptools.find_packages(include=["expol_tf", "expol_tf.*"]), "expol_tf.gin_files"],
    package_dir={"expol_tf.gin_files": "gin"},
    package_data={"expol_tf": ["py.typed"], "expol_tf.gin_files": ["*.gin", "**/*.gin"]},
    include_package_data=False,
    zip_safe=False,
    install_requires=[
        "absl-py>=1.4",
        "gin-config>=0.5,<0.6",
        "gymnasium>=1.0,<2",
        "imageio>=2.28",
        "matplotlib>=3.7",
        "mujoco>=3.1",
        "numpy>=1.26,<2",
        "protobuf>=4.21,<5",
        "rich>=13",
        "scipy>=1.10",
        "tensorboard>=2.15,<2.16",
        "tensorflow>=2.15.1,<2.16",
        "tensorflow-probability>=0.23,<0.24",
        "tf-agents>=0.19,<0.20",
    ],
    extras_require={
        "reverb": REVERB,
        "sweeps": SWEEPS,
        "reports": REPORTS,
        "distributed": [*SWEEPS, *REVERB],
        "envpool": ENVPOOL,
        "offline": OFFLINE,
        "all": [*SWEEPS, *REPORTS, *ENVPOOL, *OFFLINE, *REVERB],
        # 1.10.1 is the newest mypy that accepts the typing-extensions that TF-Agents asks for.
        "dev": ["pytest>=8", "ruff>=0.5", "mypy==1.10.1"],
    },
    entry_points={
        "console_scripts": [
            "expol-train = expol_tf.console:train",
            "expol-evaluate = expol_tf.console:evaluate",
            "expol-sweep = expol_tf.console:sweep",
            "expol-report = expol_tf.console:report",
            "expol-figures = expol_tf.console:figures",
        ],
        # Gymnasium before 1.0 looks here; later ones know the tasks once expol_tf.environments is imported.
        "gymnasium.envs": ["expol = expol_tf.gymnasium_plugin:register_tasks"],
    },
    classifiers=[
        "License :: OSI Approved :: Apache Software License",
        "Programming Language :: Python :: 3.11",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Typing :: Typed",
    ],
)
