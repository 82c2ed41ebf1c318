"""Which runs are compared with which, and what cannot be."""

from __future__ import annotations

import pytest

from expol_tf.errors import ConfigurationError
from expol_tf.reports.runs import find_runs
from expol_tf.reports.study import arrange
from tests.reports.synthetic import write_run


def study(root, **options):
    return arrange(find_runs([root]).runs, **options)


def noted(found, text):
    return any(text in note for note in found.notes)


def test_runs_are_grouped_by_task_and_experiment(tmp_path):
    for experiment in ("a", "b"):
        for task in ("Hopper-v4", "Swimmer-v4"):
            for seed in (1, 0):
                write_run(tmp_path / experiment / task / f"seed{seed}", task, seed)
    found = study(tmp_path)
    assert found.tasks == found.common_tasks == ("Hopper-v4", "Swimmer-v4")
    assert found.experiments == ("a", "b") and found.notes == () and found.parameters == {}
    assert [member.run.seed for member in found.groups["Hopper-v4", "b"]] == [0, 1]
    assert found.compared_at == {"Hopper-v4": 3000, "Swimmer-v4": 3000}


def write_settings(root, kls, seeds):
    for index, kl in enumerate(kls):
        for seed in seeds(index):
            settings = {} if kl is None else {"TrustRegion.max_kl": kl}
            write_run(root / "a" / "Hopper-v4" / f"{index}" / f"seed{seed}", seed=seed, settings=settings)


def test_settings_with_several_seeds_are_experiments(tmp_path):
    write_settings(tmp_path, [None, "0.1"], lambda index: (0, 1))
    found = study(tmp_path)
    # The default is not in the fingerprint, but in the configuration.
    assert found.experiments == ("a (max_kl=0.01)", "a (max_kl=0.1)") and found.parameters == {}
    assert [len(group) for group in found.groups.values()] == [2, 2]
    together = study(tmp_path, settings="together")
    assert together.experiments == ("a",) and together.parameters == {"a": ("TrustRegion.max_kl",)}


def test_draws_are_one_experiment(tmp_path):
    write_settings(tmp_path, ["0.1", "0.2", "0.3"], lambda index: (index % 2,))
    found = study(tmp_path)
    assert found.experiments == ("a",) and found.parameters == {"a": ("TrustRegion.max_kl",)}
    values = [member.parameters["TrustRegion.max_kl"] for member in found.groups["Hopper-v4", "a"]]
    assert sorted(values) == ["0.1", "0.2", "0.3"]
    assert noted(found, "The runs of a differ in TrustRegion.max_kl")
    assert len(study(tmp_path, settings="separate").experiments) == 3


def test_a_seed_counts_once(tmp_path):
    write_run(tmp_path / "one" / "a" / "Hopper-v4" / "seed0")
    write_run(tmp_path / "two" / "a" / "Hopper-v4" / "seed0")
    with pytest.raises(ConfigurationError, match="a on Hopper-v4 has seed 0 twice, in .*one.* and .*two"):
        study(tmp_path)


def test_different_lengths_are_compared_at_the_shortest(tmp_path):
    write_run(tmp_path / "a" / "Hopper-v4" / "seed0", seed=0, returns=[1.0] * 10)
    write_run(tmp_path / "a" / "Hopper-v4" / "seed1", seed=1, returns=[1.0] * 4, num_env_steps=10_000)
    found = study(tmp_path)
    assert found.compared_at == {"Hopper-v4": 4000}
    assert noted(found, "Unfinished: a on Hopper-v4, seed 1") and noted(found, "of 10,000")
    assert noted(found, "4,000 to 10,000 env steps: they are compared after 4,000, which a, seed 1")
    longer = study(tmp_path, min_env_steps=5000)
    assert longer.compared_at == {"Hopper-v4": 10_000}
    assert noted(longer, "Left out, as shorter than 5,000 env steps: a on Hopper-v4, seed 1")


def test_an_iteration_more_or_less_is_no_other_length(tmp_path):
    write_run(tmp_path / "a" / "Hopper-v4" / "seed0", env_steps=[1, 2, 100_352])
    write_run(tmp_path / "b" / "Hopper-v4" / "seed0", env_steps=[1, 2, 101_000])
    assert study(tmp_path).notes == ()


def test_runs_without_episodes_are_left_out_by_name(tmp_path):
    write_run(tmp_path / "a" / "Hopper-v4" / "seed0")
    write_run(tmp_path / "a" / "Hopper-v4" / "seed1", seed=1, returns=[float("nan")], episodes=[0])
    found = study(tmp_path)
    assert len(found.groups["Hopper-v4", "a"]) == 1
    assert noted(found, "no episode has ended: a on Hopper-v4, seed 1")


def test_failed_runs_are_named_with_their_reason(tmp_path):
    write_run(tmp_path / "b" / "Hopper-v4" / "seed0")
    write_run(tmp_path / "a" / "Hopper-v4" / "seed0", num_env_steps=9000)
    write_run(tmp_path / "a" / "Hopper-v4" / "seed1", seed=1, returns=[], env_steps=[], episodes=[])
    (tmp_path / "sweep.csv").write_text(
        "experiment,task,seed,directory,status,attempts,env_step,message\n"
        "b,Hopper-v4,0,b/Hopper-v4/seed0,finished,1,3000,\n"
        "a,Hopper-v4,0,a/Hopper-v4/seed0,failed,3,3000,out of memory\n"
        "a,Hopper-v4,1,a/Hopper-v4/seed1,failed,1,,exit status 2: NaN. Lower step sizes.\n"
    )
    found = study(tmp_path)
    # The sweep's order.
    assert found.experiments == ("b", "a")
    assert noted(found, "Failed: a on Hopper-v4, seed 0") and noted(found, "3,000 env steps: out of memory.")
    assert noted(found, "seed1), failed: exit status 2: NaN.")


def test_nothing_left_is_one_message(tmp_path):
    write_run(tmp_path / "a" / "Hopper-v4" / "seed0")
    with pytest.raises(
        ConfigurationError, match="none of the 1 runs can be reported.*smaller --min_env_steps"
    ):
        study(tmp_path, min_env_steps=4000)


def test_experiments_on_other_tasks_cannot_be_compared(tmp_path):
    write_run(tmp_path / "a" / "Hopper-v4" / "seed0")
    write_run(tmp_path / "b" / "Swimmer-v4" / "seed0", "Swimmer-v4")
    with pytest.raises(ConfigurationError, match="in common.*got a: Hopper-v4; b: Swimmer-v4"):
        study(tmp_path)


def test_common_tasks_are_enough(tmp_path):
    write_run(tmp_path / "a" / "Hopper-v4" / "seed0")
    write_run(tmp_path / "a" / "Swimmer-v4" / "seed0", "Swimmer-v4")
    write_run(tmp_path / "b" / "Swimmer-v4" / "seed0", "Swimmer-v4")
    found = study(tmp_path)
    assert found.tasks == ("Hopper-v4", "Swimmer-v4") and found.common_tasks == ("Swimmer-v4",)


def test_another_environment_under_the_same_id_is_another_task(tmp_path):
    noisy = {"train.wrappers": "(@NoisyObservation,)"}
    for experiment in ("a", "b"):
        write_run(tmp_path / experiment / "Hopper-v4" / "clean" / "seed0")
        write_run(tmp_path / experiment / "Hopper-v4" / "noisy" / "seed0", settings=noisy)
    found = study(tmp_path)
    assert found.tasks == ("Hopper-v4", "Hopper-v4 [(@NoisyObservation,)]")
    assert found.experiments == ("a", "b")


def test_an_unknown_way_of_settings_is_refused(tmp_path):
    write_run(tmp_path / "a")
    with pytest.raises(ConfigurationError, match="settings must be one of auto, separate, together"):
        study(tmp_path, settings="apart")


def test_fault_06_runs_without_an_update_are_named(tmp_path):
    for seed, environment in enumerate(({"trained": False}, {"trained": True}, {})):
        write_run(tmp_path / "a" / "Hopper-v4" / f"seed{seed}", seed=seed, environment=environment)
    (note,) = study(tmp_path).notes
    assert note.startswith("No update was made in these runs") and "a on Hopper-v4, seed 0" in note
    # Records of before do not say it.
    assert "seed 1" not in note and "seed 2" not in note
