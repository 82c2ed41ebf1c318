"""Whole runs: what they write, how they end and how they go on."""

import csv
import functools
import inspect
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import textwrap
import time

import gymnasium
import numpy as np
import pytest

import expol_tf
from expol_tf.agents import Acting, TrpoAgent
from expol_tf.configuration import configuration_from_call
from expol_tf.errors import (
    CheckpointError,
    ConfigurationError,
    NonFiniteError,
    RunDirectoryError,
    UnknownEnvironmentError,
)
from expol_tf.networks import FlowActorNetwork, GaussianActorNetwork
from expol_tf.training import (
    Course,
    Experiment,
    KeepBestPolicy,
    Learner,
    OnPolicyRunner,
    Records,
    StopAtReturn,
    Task,
    run_experiment,
)
from tests.training.forged import forge

TIMINGS = ("wall_time_s", "env_steps_per_s")

# Small enough to need no XLA: a compilation would take longer than the run.
small = dict(
    task="InvertedPendulum-v5",
    agent=functools.partial(TrpoAgent, acting=Acting(jit_compile=False)),
    actor_network=functools.partial(GaussianActorNetwork, hidden_units=(16,)),
    runner=functools.partial(OnPolicyRunner, iteration_steps=256),
    num_envs=4,
    num_env_steps=2048,
    checkpoint_interval=512,
    eval_interval=1024,
    eval_episodes=2,
)

# The same in a process of its own, which tests can kill.
PROGRAM = textwrap.dedent(
    """
    import functools, sys
    import expol_tf
    from expol_tf.agents import Acting, TrpoAgent
    from expol_tf.networks import GaussianActorNetwork
    from expol_tf.training import OnPolicyRunner
    result = expol_tf.train(
        sys.argv[1],
        "InvertedPendulum-v5",
        agent=functools.partial(TrpoAgent, acting=Acting(jit_compile=False)),
        actor_network=functools.partial(GaussianActorNetwork, hidden_units=(16,)),
        runner=functools.partial(OnPolicyRunner, iteration_steps=256),
        num_envs=4, num_env_steps=int(sys.argv[2]),
        checkpoint_interval=512, eval_interval=1024, eval_episodes=2,
    )
    sys.exit(0 if result.interrupted_by is None else 128 + result.interrupted_by)
    """
)


def start(root, num_env_steps=2048):
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(root), str(num_env_steps)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )


def rows(path, without=TIMINGS):
    with open(path, newline="") as file:
        return [{key: row[key] for key in row if key not in without} for row in csv.DictReader(file)]


def wait_for_rows(root, count, process, seconds=120):
    """Returns once metrics.csv has so many rows; fails if the process ends before."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if (root / "metrics.csv").exists() and len((root / "metrics.csv").read_text().splitlines()) > count:
            return
        if process.poll() is not None:
            break
        time.sleep(0.01)
    pytest.fail(f"no {count} rows:\n{process.communicate()[0] if process.poll() is not None else 'timeout'}")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished run of 2,048 steps, uninterrupted."""
    root = tmp_path_factory.mktemp("runs") / "finished"
    result = expol_tf.train(root, **small)
    assert result.interrupted_by is None and result.env_step == 2048
    return root


@pytest.fixture
def copied(finished, tmp_path):
    """A copy of the finished run, which a test may spoil."""
    return pathlib.Path(shutil.copytree(finished, tmp_path / "copied"))


def test_a_run_leaves_every_file(finished):
    for name in ("config.gin", "environment.json", "metrics.csv", "evaluation.csv", "learning_curve.png"):
        assert (finished / name).stat().st_size > 0, name
    assert (finished / "policy" / "saved_model.pb").exists()
    assert len(list((finished / "checkpoints").glob("checkpoint-*"))) == 3
    assert any((finished / "tensorboard").iterdir())
    assert json.loads((finished / "environment.json").read_text())["versions"]


def test_rows_count_real_steps(finished):
    metrics = rows(finished / "metrics.csv", without=())
    assert [int(row["env_step"]) for row in metrics] == list(range(256, 2049, 256))
    assert [int(row["iteration"]) for row in metrics] == list(range(1, 9))
    assert all(float(row["kl"]) <= 0.015 for row in metrics)
    episodes = [int(row["episodes"]) for row in metrics]
    assert episodes == sorted(episodes) and episodes[-1] > 0
    evaluations = rows(finished / "evaluation.csv")
    assert [int(row["env_step"]) for row in evaluations] == [1024, 2048]
    assert all(int(row["episodes"]) == 2 for row in evaluations)


def test_the_policy_of_a_run_acts_on_plain_arrays(finished):
    policy = expol_tf.load_policy(finished)
    one = policy.act(np.zeros(4), deterministic=True)
    batch = policy.act(np.zeros((3, 4)), deterministic=True)
    assert one.shape == (1,) and batch.shape == (3, 1)
    np.testing.assert_allclose(batch[1], one, rtol=1e-5)


def test_the_same_seed_in_another_process_gives_the_same_run(finished, tmp_path):
    process = start(tmp_path / "again")
    output = process.communicate(timeout=300)[0]
    assert process.returncode == 0, output
    assert rows(tmp_path / "again" / "metrics.csv") == rows(finished / "metrics.csv")
    assert rows(tmp_path / "again" / "evaluation.csv") == rows(finished / "evaluation.csv")


def test_the_objects_of_an_experiment_give_the_run_that_keywords_give(finished, tmp_path):
    experiment = Experiment(
        Learner(small["agent"], small["actor_network"], runner=small["runner"]),
        Task(small["task"], num_envs=4),
        Course(num_env_steps=2048),
        Records(tmp_path, eval_interval=1024, eval_episodes=2, checkpoint_interval=512),
    )
    assert experiment == Experiment.of(**small, root_dir=tmp_path)
    result = run_experiment(experiment, configuration_from_call("train", experiment.keywords))
    assert result.env_step == 2048 and result.root_dir == tmp_path
    assert rows(tmp_path / "metrics.csv") == rows(finished / "metrics.csv")
    for name in ("config.gin", "configuration.json", "fingerprint.json", "evaluation.csv"):
        assert (tmp_path / name).read_bytes() == (finished / name).read_bytes(), name


def test_the_objects_have_the_defaults_of_the_keywords():
    signature = inspect.signature(expol_tf.train).parameters
    defaults = Experiment(Learner(), Task("Hopper-v5"), Course(), Records("runs/hopper")).keywords
    assert defaults.keys() == signature.keys()
    for name in defaults.keys() - {"root_dir", "task"}:
        assert defaults[name] == signature[name].default, name


def test_another_seed_gives_another_run(finished, tmp_path):
    expol_tf.train(tmp_path / "run", seed=1, **{**small, "num_env_steps": 256})
    assert rows(tmp_path / "run" / "metrics.csv")[0] != rows(finished / "metrics.csv")[0]


@pytest.mark.parametrize(
    "kills", [(3,), pytest.param((0, 1, 1, 2, 3, 3, 4, 5, 6, 7), marks=pytest.mark.slow)], ids=len
)
def test_killed_runs_go_on_as_if_they_had_not_been(finished, tmp_path, kills):
    root = tmp_path / "killed"
    for count in kills:
        process = start(root)
        wait_for_rows(root, count, process)
        process.kill()
        process.communicate()
    process = start(root)
    output = process.communicate(timeout=300)[0]
    assert process.returncode == 0, output
    assert "resumed at env_step" in output
    assert rows(root / "metrics.csv") == rows(finished / "metrics.csv")
    assert rows(root / "evaluation.csv") == rows(finished / "evaluation.csv")


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)], ids=lambda n: n.name
)
def test_a_signal_saves_and_the_run_goes_on(finished, tmp_path, number, capsys):
    root = tmp_path / "interrupted"
    process = start(root)
    wait_for_rows(root, 2, process)
    process.send_signal(number)
    output = process.communicate(timeout=120)[0]
    assert process.returncode == 128 + number, output
    done = len(rows(root / "metrics.csv"))
    assert 2 <= done < 8
    assert "stopping after the present" in output
    assert expol_tf.train(root, **small).interrupted_by is None
    assert f"resumed at env_step {done * 256}" in capsys.readouterr().out
    assert rows(root / "metrics.csv") == rows(finished / "metrics.csv")
    assert rows(root / "evaluation.csv") == rows(finished / "evaluation.csv")


def test_a_damaged_checkpoint_is_set_aside(finished, copied):
    newest = sorted((copied / "checkpoints").glob("checkpoint-*"))[-1]
    (newest / "arrays.npz").write_bytes((newest / "arrays.npz").read_bytes()[:100])
    result = expol_tf.train(copied, **small)
    assert result.env_step == 2048
    assert list((copied / "checkpoints").glob("*.damaged"))
    assert rows(copied / "metrics.csv") == rows(finished / "metrics.csv")


def test_a_run_whose_checkpoints_are_all_damaged_keeps_its_rows(finished, copied):
    for path in (copied / "checkpoints").glob("checkpoint-*"):
        (path / "manifest.json").write_text("{")
    with pytest.raises(CheckpointError, match="damaged"):
        expol_tf.train(copied, **small)
    assert (copied / "metrics.csv").read_bytes() == (finished / "metrics.csv").read_bytes()


def test_fault_14_a_run_goes_on_without_a_checkpoints_entry_and_without_rows(finished, copied, capsys):
    newest, table = sorted((copied / "checkpoints").iterdir())[-1], copied / "metrics.csv"
    forge(newest, lambda manifest, arrays: arrays.pop("environment/num_steps"))
    lines = table.read_text().splitlines(keepends=True)
    table.write_text("".join([lines[0], *lines[3:5]]))
    expol_tf.train(copied, **small)
    printed = capsys.readouterr().out
    # Rows after the checkpoint are written again.
    assert "note: metrics.csv has 2 of the 6 rows that the checkpoint of env_step 1,536 knows of; " in printed
    assert (
        "missing are those at env_step 256 to 512, 1,280 to 1,536. The run goes on without them." in printed
    )
    whole = rows(finished / "metrics.csv")
    assert rows(table) == [*whole[2:4], *whole[6:]]
    assert rows(copied / "evaluation.csv") == rows(finished / "evaluation.csv")
    expol_tf.train(copied, **small)
    assert "rows" not in capsys.readouterr().out


def _without_observation_size(manifest, arrays):
    name = "environment/observation"
    arrays[name] = np.zeros([4, 9], np.float32)
    manifest["arrays"][name] = "<f4 [4, 9]"


def _without_simulator(manifest, arrays):
    (name,) = [name for name in arrays if name.endswith(".simulator")]
    arrays[name] = arrays[name][:, :-1].copy()
    del manifest["arrays"]


def _without_rows(manifest, arrays):
    del arrays["rows/metrics.csv"], manifest["arrays"]["rows/metrics.csv"]


def _without_columns(manifest, arrays):
    manifest["values"]["tables"]["metrics.csv"]["columns"].remove("kl")


def _without_unseen(manifest, arrays):
    manifest["values"]["unseen"] = {}


@pytest.mark.parametrize(
    "damage",
    [_without_observation_size, _without_simulator, _without_rows, _without_columns, _without_unseen],
)
def test_fault_14_an_older_checkpoint_is_taken_for_one_that_this_run_cannot_have(
    finished, copied, capsys, damage
):
    newest = sorted((copied / "checkpoints").iterdir())[-1]
    forge(newest, damage)
    expol_tf.train(copied, **small)
    assert "resumed at env_step 1536" in capsys.readouterr().out
    assert list((copied / "checkpoints").glob(f"{newest.name}.damaged"))
    assert rows(copied / "metrics.csv") == rows(finished / "metrics.csv")


def test_fault_14_a_run_that_has_lost_its_checkpoints_keeps_its_rows(finished, copied):
    shutil.rmtree(copied / "checkpoints")
    with pytest.raises(CheckpointError, match="one checkpoint at least must be there"):
        expol_tf.train(copied, **small)
    assert rows(copied / "metrics.csv") == rows(finished / "metrics.csv")


def test_a_run_killed_before_its_export_is_exported_later(copied):
    (copied / "learning_curve.png").unlink()
    shutil.rmtree(copied / "policy")
    expol_tf.train(copied, **small)
    assert (copied / "policy" / "saved_model.pb").exists() and (copied / "learning_curve.png").exists()


def test_a_run_keeps_its_seed_and_its_configuration(finished, copied, capsys):
    expol_tf.train(copied, **{**small, "num_env_steps": 256}, seed=7)
    assert "its own seed 0, not 7" in capsys.readouterr().out
    assert (copied / "config.gin").read_bytes() == (finished / "config.gin").read_bytes()


def test_an_environment_object_cannot_be_evaluated(tmp_path):
    env = gymnasium.make("InvertedPendulum-v5")
    options = {**small, "task": env, "num_envs": 1, "num_env_steps": 256}
    with pytest.raises(ConfigurationError, match="eval_interval=0"):
        expol_tf.train(tmp_path / "run", **options)
    assert expol_tf.train(tmp_path / "run", **{**options, "eval_interval": 0}).env_step == 256


class Closing(gymnasium.Wrapper):
    """Counts how often it was closed."""

    closed = 0

    def close(self):
        self.closed += 1
        super().close()


def test_fault_12_train_leaves_a_caller_s_environment_open(tmp_path):
    env, wrapped = Closing(gymnasium.make("InvertedPendulum-v5")), []

    def wrap(inner):
        wrapped.append(Closing(inner))
        return wrapped[-1]

    options = {**small, "task": env, "num_envs": 1, "num_env_steps": 256, "eval_interval": 0}
    expol_tf.train(tmp_path / "run", **options, wrappers=(wrap,))
    assert env.closed == 0 and [wrapper.closed for wrapper in wrapped] == [1]
    env.reset(), env.step(env.action_space.sample())
    env.close()
    assert env.closed == 1


def test_parameters_that_became_nan_are_not_saved(tmp_path):
    root = tmp_path / "run"

    def spoil(event):
        if event.env_step == 768:
            event.agent.value_network.trainable_variables[0].assign(
                event.agent.value_network.trainable_variables[0] * np.nan
            )

    with pytest.raises(NonFiniteError):
        expol_tf.train(root, **small, observers=[spoil])
    assert [path.name for path in (root / "checkpoints").glob("checkpoint-*")] == ["checkpoint-000000000512"]


def test_a_finished_run_says_so(finished, capsys):
    before = (finished / "metrics.csv").read_bytes()
    result = expol_tf.train(finished, **small)
    assert result.env_step == 2048
    assert "finished" in capsys.readouterr().out
    assert (finished / "metrics.csv").read_bytes() == before


def test_a_longer_run_extends_a_finished_one(finished, tmp_path):
    root = tmp_path / "extended"
    expol_tf.train(root, **{**small, "num_env_steps": 768})
    result = expol_tf.train(root, **small)
    assert result.env_step == 2048
    assert rows(root / "metrics.csv") == rows(finished / "metrics.csv")
    # The shorter run's last evaluation stays; it changes nothing of the others.
    own, *others = rows(root / "evaluation.csv")
    assert int(own["env_step"]) == 768
    assert others == rows(finished / "evaluation.csv")


def test_the_directory_of_another_experiment_is_refused(finished):
    before = (finished / "config.gin").read_bytes()
    with pytest.raises(RunDirectoryError, match="(?s)num_envs.*4.*8"):
        expol_tf.train(finished, **{**small, "num_envs": 8})
    assert (finished / "config.gin").read_bytes() == before


def test_an_unknown_environment_leaves_the_directory_free(tmp_path):
    root = tmp_path / "run"
    with pytest.raises(UnknownEnvironmentError, match="InvertedPendulum"):
        expol_tf.train(root, **{**small, "task": "InvertedPendulun-v5"})
    assert expol_tf.train(root, **{**small, "num_env_steps": 256}).env_step == 256


class BrokenPendulum(gymnasium.Wrapper):
    """Gives a NaN observation at its 250th step."""

    def __init__(self, env):
        super().__init__(env)
        self.steps = 0

    def step(self, action):
        observation, reward, terminated, truncated, info = self.env.step(action)
        self.steps += 1
        if self.steps == 250:
            observation = observation * np.nan
        return observation, reward, terminated, truncated, info


def test_a_nan_observation_names_the_environment_and_keeps_the_checkpoint(tmp_path):
    root = tmp_path / "run"
    with pytest.raises(NonFiniteError, match="(?s)InvertedPendulum-v5.*step"):
        expol_tf.train(root, **{**small, "wrappers": (BrokenPendulum,)})
    assert [path.name for path in sorted((root / "checkpoints").glob("checkpoint-*"))] == [
        "checkpoint-000000000512"
    ]


def test_observers_see_rows_and_can_stop(tmp_path):
    events = []
    root = tmp_path / "run"
    result = expol_tf.train(
        root, **small, observers=(events.append, KeepBestPolicy(), StopAtReturn(target=-1.0))
    )
    assert result.env_step == 1024, "the first evaluation, at 1,024 steps, is above the target"
    assert [event.env_step for event in events] == [256, 512, 768, 1024]
    assert events[0].metrics["iteration"] == 1 and events[0].evaluation is None
    assert events[-1].evaluation["env_step"] == 1024
    assert (root / "best_policy" / "saved_model.pb").exists()
    assert json.loads((root / "best_policy.json").read_text())["env_step"] == 1024


def test_fewer_rows_are_logged_if_asked_for(tmp_path):
    root = tmp_path / "run"
    expol_tf.train(root, **{**small, "num_env_steps": 1024}, log_interval=2)
    assert [int(row["env_step"]) for row in rows(root / "metrics.csv")] == [512, 1024]


@pytest.mark.parametrize(
    "network",
    [
        functools.partial(GaussianActorNetwork, hidden_units=(32,)),
        functools.partial(FlowActorNetwork, hidden_units=(32,), num_transformations=1),
    ],
    ids=["gaussian", "flow"],
)
def test_training_learns_to_balance(tmp_path, network):
    """20,000 steps take the pole from 6 steps upright (a random policy's) to over 60 on average."""
    result = expol_tf.train(
        tmp_path / "run",
        "InvertedPendulum-v5",
        agent=functools.partial(TrpoAgent, acting=Acting(jit_compile=False)),
        actor_network=network,
        runner=functools.partial(OnPolicyRunner, iteration_steps=512),
        num_envs=8,
        num_env_steps=20_480,
        eval_interval=0,
        seed=3,
    )
    assert result.final_return > 60
