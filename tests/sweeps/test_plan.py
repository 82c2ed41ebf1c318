"""From sweeps to runs: products, names, files."""

from __future__ import annotations

import dataclasses
import itertools
import pathlib

import pytest

from expol_tf.configuration import resources as _resources
from expol_tf.errors import ConfigurationError
from expol_tf.sweeps import LogUniform, Sweep, check_runs, plan_sweep, read_sweep

ROOT = _resources.gin_root()
SWEEPS = sorted(path.name for path in (ROOT / "sweeps").glob("*.gin"))
V4 = ["gin/tasks/hopper.gin", "TASK = 'Hopper-v4'"]


def test_every_combination_is_a_run() -> None:
    sweep = Sweep(
        {"nfp": "gin/nfp_trpo.gin", "gaussian": ["gin/gaussian_trpo.gin", "NUM_ENVS = 4"]},
        tasks=[V4, "gin/tasks/reacher.gin"],
        seeds=(0, 3),
        bindings=["NUM_ENV_STEPS = 10"],
        grid={"TrustRegion.damping": [0.1, 0.01], "NUM_ENVS": [8]},
    )
    runs = plan_sweep(sweep)
    expected = itertools.product((0, 3), ("nfp", "gaussian"), ("Hopper-v4", "Reacher-v5"), ("0.1", "0.01"))
    assert [(run.seed, run.experiment, run.task, run.parameters["TrustRegion.damping"]) for run in runs] == [
        *expected
    ]
    run = next(run for run in runs if run.name == "gaussian/Hopper-v4/damping=0.01,NUM_ENVS=8/seed3")
    assert run.gin_files == (str(ROOT / "gaussian_trpo.gin"), str(ROOT / "tasks/hopper.gin"))
    # Later ones override: what the grid says holds.
    assert run.gin_bindings == (
        "NUM_ENVS = 4",
        "TASK = 'Hopper-v4'",
        "NUM_ENV_STEPS = 10",
        "TrustRegion.damping = 0.01",
        "NUM_ENVS = 8",
    )


def test_a_run_has_the_draw_of_its_seed() -> None:
    sweep = Sweep(
        ["gin/nfp_trpo.gin", "gin/gaussian_trpo.gin"],
        seeds=(0, 1),
        draws={"TrustRegion.max_kl": LogUniform(1e-3, 1e-2)},
    )
    runs = plan_sweep(sweep)
    values = {(run.experiment, run.seed): run.parameters["TrustRegion.max_kl"] for run in runs}
    assert values["nfp_trpo", 0] == values["gaussian_trpo", 0] != values["nfp_trpo", 1]
    assert float(values["nfp_trpo", 1]) == sweep.drawn(1)["TrustRegion.max_kl"]
    assert runs[0].name == f"nfp_trpo/Hopper-v5/max_kl={sweep.drawn(0)['TrustRegion.max_kl']:.4g}/seed0"
    assert plan_sweep(sweep) == runs


def test_names_are_short_and_fit_for_a_file_system() -> None:
    grid = {
        "AffineConditioner.units": [(3, 3)],
        "one/AffineConditioner.units": [(5,)],
        "train.task": ["expol/GaussianBandit-v0"],
    }
    (run,) = plan_sweep(Sweep({"my flow": "gin/nfp_trpo.gin"}, seeds=(0,), grid=grid))
    tag = "AffineConditioner.units=3-3,one-AffineConditioner.units=5,task=expol-GaussianBandit-v0"
    assert run.name == f"my-flow/expol-GaussianBandit-v0/{tag}/seed0"


def test_files_beside_the_sweep_file_come_first(tmp_path: pathlib.Path) -> None:
    (tmp_path / "nfp_trpo.gin").write_text("TASK = 'Mine-v0'")
    (run,) = plan_sweep(Sweep(["nfp_trpo.gin"]), tmp_path)
    assert run.gin_files == (str(tmp_path / "nfp_trpo.gin"),) and run.task == "Mine-v0"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"experiments": ["gin/npf_trpo.gin"]}, "does not exist. Did you mean 'gin/nfp_trpo.gin'?"),
        ({"experiments": "gin/nfp_trpo.gin"}, "Sweep.experiments must be a mapping"),
        ({"experiments": {"a": 3}}, "Sweep.experiments['a'] must be gin files and statements"),
        ({"experiments": ["NUM_ENVS = 3"]}, "has no gin file to be named after"),
        ({"experiments": {"a": ["NUM_ENVS = "]}}, "not valid gin syntax"),
        ({"experiments": {"logs": "gin/nfp_trpo.gin"}}, "the name 'logs' is not possible"),
        ({"experiments": {"..": "gin/nfp_trpo.gin"}}, "the name '..' is not possible"),
        ({"experiments": ["gin/nfp_trpo.gin"] * 2}, "two runs would be called nfp_trpo/Hopper-v5/seed0"),
        ({"grid": {"NUM_ENVS": [4, 4]}}, "two runs would be called nfp_trpo/Hopper-v5/NUM_ENVS=4/seed0"),
        ({"grid": {"SEED": [4, 5]}}, "SEED is set by Sweep.seeds"),
        ({"bindings": ["train.seed = 4"]}, "train.seed is set by Sweep.seeds"),
    ],
)
def test_a_mistake_is_named(arguments: dict, words: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        plan_sweep(Sweep(**{"experiments": ["gin/nfp_trpo.gin"], **arguments}))
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"grid": {"TrustRegoin.max_kl": [0.1]}}, "Did you mean 'TrustRegion'?"),
        # Each starts a process that imports TensorFlow.
        *(
            pytest.param(*case, marks=pytest.mark.slow)
            for case in (
                ({"bindings": ["TrustRegion.max_lk = 0.1"]}, "Did you mean 'max_kl'?"),
                ({"bindings": ["NUM_ENV = 4"]}, "the macro NUM_ENV is defined, but nothing uses it"),
                (
                    {"grid": {"TrustRegion.cg_iterations": [5, "ten"]}},
                    "TrustRegion.cg_iterations must be int",
                ),
            )
        ),
    ],
)
def test_what_only_the_library_knows_is_found_before_the_start(arguments: dict, words: str) -> None:
    experiments = {"gaussian": "gin/gaussian_trpo.gin", "nfp": "gin/nfp_trpo.gin"}
    with pytest.raises(ConfigurationError, match="nothing was started") as caught:
        check_runs(plan_sweep(Sweep(experiments, **arguments)))
    assert words in str(caught.value) and "the run gaussian/Hopper-v5" in str(caught.value)


def test_the_librarys_sweeps_can_be_configured() -> None:
    assert {"on_policy.gin", "on_policy_reduced.gin", "noisy_ppo.gin", "sensitivity.gin"} <= set(SWEEPS)
    # Seeds differ in nothing that is checked, and one draw is checked for all.
    sweeps = [dataclasses.replace(read_sweep(f"gin/sweeps/{name}"), seeds=(0,)) for name in SWEEPS]
    checked = check_runs([run for sweep in sweeps for run in plan_sweep(sweep)])
    by_name = {each.run.name: each for each in checked}
    assert by_name["nfp_trpo/Reacher-v4/max_kl=0.003876/seed0"].num_env_steps == 1_000_000
    hopper = by_name["nfp_acktr/Hopper-v4/seed0"].text
    # The discount is the task file's, the version the sweep's.
    assert "TASK = 'Hopper-v4'" in hopper and "GAMMA = 0.995" in hopper
    assert "train.wrappers = (@NoisyObservation,)" in by_name["nfp_ppo/Walker2d-v4/seed0"].text


@pytest.mark.parametrize("name", SWEEPS)
def test_a_sweep_begins_with_its_title(name: str) -> None:
    first, second = (ROOT / "sweeps" / name).read_text().splitlines()[:2]
    assert first.startswith("# ") and first.endswith(".") and second in ("#", "")


def test_fault_16_the_types_of_experiments_are_told_apart() -> None:
    rule = (
        r"Sweep.experiments must be a mapping or a sequence, each item of it str or a sequence of str; got 3"
    )
    with pytest.raises(ConfigurationError, match=rule):
        Sweep(3)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["logs", "sweep.csv", ".lock", ".sweep.lock", "sweep.csv-"])
def test_fault_18_names_of_the_sweeps_own_files(name: str) -> None:
    with pytest.raises(ConfigurationError, match=f"the name '{name}' is not possible here"):
        plan_sweep(Sweep({name: "gin/nfp_trpo.gin"}))
