"""A restored environment goes on bit for bit as if it had never stopped."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest

from expol_tf.environments import NoisyObservation, SyncVectorEnvironment, load_vector
from expol_tf.environments.registry import make_registered
from expol_tf.environments.simulator_state import (
    can_save,
    generator_state,
    set_generator_state,
    stack,
    unstack,
)
from expol_tf.errors import CapabilityError, CheckpointError, TaskError
from tests.environments.tasks import CountingTask, SavableCountingTask, make_with_both_ends, random_actions

# Pusher-v4 cannot be made with MuJoCo 3 and newer.
MUJOCO_TASKS = [
    f"{name}-v{version}"
    for name in (
        *("HalfCheetah", "Hopper", "Walker2d", "Swimmer", "Ant", "Humanoid", "HumanoidStandup"),
        *("Reacher", "Pusher", "InvertedPendulum", "InvertedDoublePendulum"),
    )
    for version in (4, 5)
    if (name, version) != ("Pusher", 4)
]
NUM_ENVS = 2


def stored(state, path):
    """Returns the state after a round through a file that holds no pickles."""
    np.savez(path, **state)
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file}


def record(environment, actions):
    """Returns everything that a run of these actions and one reset after it shows."""
    rows = []
    for action in actions:
        step = environment.step(action)
        rows.append(np.concatenate([np.ravel(array) for array in step]))
    rows.append(environment.reset().copy().ravel())
    return rows


def check_resumption(make, path, num_steps=200, num_before=37):
    """Compares a run that is never interrupted with one restored in a fresh environment of another seed."""
    whole, saved, restored = make(11), make(11), make(12)
    actions = random_actions(whole.action_spec, num_before + num_steps, whole.num_envs)
    for environment in (whole, saved):
        environment.reset()
        for action in actions[:num_before]:
            environment.step(action)
    assert saved.can_save_state
    state = stored(saved.get_state(), path)
    # What happens after saving must not change what was saved.
    saved.step(actions[0])
    restored.set_state(state)
    np.testing.assert_array_equal(restored.current_observation(), whole.current_observation())
    expected, got = record(whole, actions[num_before:]), record(restored, actions[num_before:])
    for t, (row, other) in enumerate(zip(expected, got, strict=True)):
        np.testing.assert_array_equal(row, other, err_msg=f"{t} steps after the restoration")
    return expected


@pytest.mark.parametrize("task", MUJOCO_TASKS)
def test_mujoco_tasks_resume_bit_for_bit(task, tmp_path):
    def make(seed):
        envs = [make_registered(task, {"max_episode_steps": 70}) for _ in range(NUM_ENVS)]
        return SyncVectorEnvironment(envs, seed, task)

    check_resumption(make, tmp_path / "state.npz")


@pytest.mark.parametrize("task", ["HalfCheetah-v4", "Hopper-v5", "Walker2d-v4", "Swimmer-v5"])
def test_batched_mujoco_tasks_resume_bit_for_bit(task, tmp_path):
    check_resumption(
        lambda seed: load_vector(task, 5, seed, make_kwargs={"max_episode_steps": 70}), tmp_path / "state.npz"
    )


@pytest.mark.parametrize("task", ["Pendulum-v1", "MountainCarContinuous-v0"])
def test_continuous_classic_control_resumes_bit_for_bit(task, tmp_path):
    check_resumption(
        lambda seed: load_vector(task, NUM_ENVS, seed, make_kwargs={"max_episode_steps": 70}),
        tmp_path / "state.npz",
    )


@pytest.mark.parametrize(
    "wrappers",
    [
        (NoisyObservation,),
        (gymnasium.wrappers.FlattenObservation, NoisyObservation),
        (lambda env: gymnasium.wrappers.TimeLimit(env, 5),),
    ],
)
def test_a_task_that_saves_itself_resumes_through_its_wrappers(wrappers, tmp_path):
    rows = check_resumption(
        lambda seed: load_vector(make_with_both_ends, 3, seed, wrappers=wrappers),
        tmp_path / "state.npz",
        num_steps=60,
    )
    assert not np.array_equal(rows[0], rows[1])


@pytest.mark.parametrize("num_before", [0, 1, 69, 70, 71])
def test_any_step_of_an_episode_can_be_saved(num_before, tmp_path):
    def make(seed):
        return SyncVectorEnvironment([gymnasium.make("Reacher-v5", max_episode_steps=70)], seed, "Reacher-v5")

    check_resumption(make, tmp_path / "state.npz", num_steps=75, num_before=num_before)


def test_layers_that_cannot_be_saved_are_named():
    environment = load_vector(CountingTask, num_envs=2)
    environment.reset()
    assert not environment.can_save_state
    for call in (environment.get_state, lambda: environment.set_state({})):
        with pytest.raises(CapabilityError, match="CountingTask has no get_state"):
            call()

    class Remembering(gymnasium.Wrapper):
        """Keeps something that nobody saves."""

    assert can_save(SavableCountingTask())
    assert not can_save(Remembering(SavableCountingTask()))


def test_a_subclass_of_a_mujoco_task_is_not_taken_for_it():
    class Heavier(gymnasium.envs.mujoco.hopper_v5.HopperEnv):
        """May keep anything."""

    assert not can_save(Heavier())


def test_states_of_other_environments_are_refused():
    for task in (make_with_both_ends, "Hopper-v5"):
        small, large = load_vector(task, 2, 0), load_vector(task, 3, 0)
        small.reset()
        with pytest.raises(CheckpointError, match="num_envs"):
            large.set_state(small.get_state())
    ant, hopper = (SyncVectorEnvironment([gymnasium.make(task)], 0) for task in ("Ant-v5", "Hopper-v5"))
    ant.reset()
    state = {name.replace("Ant", "Hopper"): value for name, value in ant.get_state().items()}
    with pytest.raises(CheckpointError, match=r"needs 'observation'.* \(1, 11\) .*got .* \(1, 105\)"):
        hopper.set_state(state)
    state["observation"] = np.zeros((1, 11), np.float32)
    with pytest.raises(CheckpointError, match="needs 'simulator'.*got .*Resume with the task"):
        hopper.set_state(state)


def test_states_that_need_pickle_are_refused():
    class Careless(SavableCountingTask):
        def get_state(self):
            return {"count": {"nested": 1}}

    environment = load_vector(Careless)
    # Said at the first reset, and not at the first checkpoint.
    with pytest.raises(TaskError, match="Careless.*'count'"):
        environment.reset()


@pytest.mark.parametrize("kind", [np.random.PCG64, np.random.MT19937, np.random.Philox, np.random.SFC64])
def test_generators_of_every_kind_are_saved(kind):
    generator, other = np.random.Generator(kind(1)), np.random.Generator(kind(2))
    generator.standard_normal(3)
    generator.integers(10, dtype=np.uint32)  # leaves half a word behind
    set_generator_state(other, generator_state(generator))
    np.testing.assert_array_equal(generator.integers(10, size=9), other.integers(10, size=9))
    np.testing.assert_array_equal(generator.standard_normal(9), other.standard_normal(9))


def test_states_of_different_shapes_are_stacked_and_unstacked():
    states = [{"a": np.arange(2), "b": np.zeros(1)}, {"a": np.arange(3), "b": np.ones(1)}, {"b": np.ones(1)}]
    stacked = stack(states)
    assert set(stacked) == {"a#0", "a#1", "b"}
    stacked["observation"] = np.zeros((3, 1))
    for state, copy in zip(states, unstack(stacked, 3, "task"), strict=True):
        assert set(copy) == {*state, "observation"}
        for name in state:
            np.testing.assert_array_equal(copy[name], state[name])


@pytest.mark.parametrize("value", [set(), [1.0, 2.0], None, "x"])
def test_fault_13_a_state_that_is_no_array_is_named(value) -> None:
    with pytest.raises(CheckpointError, match="state of Task must be arrays by name.*for 'count'"):
        unstack({"observation": np.zeros((2, 3)), "count": value}, 2, "Task")
