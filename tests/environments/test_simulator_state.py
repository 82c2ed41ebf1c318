"""A restored environment goes on bit for bit as if it had never stopped."""

from __future__ import annotations

import functools

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

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


class NestedCountingTask(SavableCountingTask):
    """Observes a dict that holds a tuple, with arrays of several dtypes."""

    def __init__(self, end_probability=0.15):
        super().__init__(end_probability)
        whole = spaces.Box(0, 1000, (1,), np.int32)
        self.observation_space = spaces.Dict(
            {"draws": spaces.Tuple((spaces.Box(-9, 9, (2,), np.float64), whole)), "count": whole}
        )

    def _observe(self, action):
        first, second, draw = super()._observe(action)
        count = np.array([self.count], np.int32)
        return {"draws": (np.array([second, draw]), 2 * count), "count": count}


FLATTEN, STACK = gymnasium.wrappers.FlattenObservation, gymnasium.wrappers.FrameStackObservation
WRAPPERS = {
    "RecordEpisodeStatistics": (gymnasium.wrappers.RecordEpisodeStatistics,),
    "FrameStackObservation": (functools.partial(STACK, stack_size=3), FLATTEN),
    "FrameStackObservation of zeros": (functools.partial(STACK, stack_size=3, padding_type="zero"), FLATTEN),
    "TimeAwareObservation": (gymnasium.wrappers.TimeAwareObservation,),
    "TimeAwareObservation in [0, 1]": (
        functools.partial(gymnasium.wrappers.TimeAwareObservation, normalize_time=True),
    ),
    "DelayObservation": (functools.partial(gymnasium.wrappers.DelayObservation, delay=3),),
    "DelayObservation by none": (functools.partial(gymnasium.wrappers.DelayObservation, delay=0),),
    "StickyAction": (
        functools.partial(
            gymnasium.wrappers.StickyAction, repeat_action_probability=0.4, repeat_action_duration=(1, 4)
        ),
    ),
    "RepeatAction": (functools.partial(gymnasium.wrappers.RepeatAction, num_repeats=2),),
    "ClipReward": (functools.partial(gymnasium.wrappers.ClipReward, min_reward=-1, max_reward=1),),
    "ReshapeObservation": (functools.partial(gymnasium.wrappers.ReshapeObservation, shape=(3, 1)), FLATTEN),
}


@pytest.mark.parametrize("num_before", [0, 2, 37])
@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_client_07_common_wrappers_resume_bit_for_bit(wrapper, num_before, tmp_path):
    rows = check_resumption(
        lambda seed: load_vector(make_with_both_ends, 3, seed, wrappers=WRAPPERS[wrapper]),
        tmp_path / "state.npz",
        num_steps=40,
        num_before=num_before,
    )
    assert not np.array_equal(rows[0], rows[1])


@pytest.mark.parametrize("name", ["FrameStackObservation", "DelayObservation"])
def test_client_07_queues_of_nested_observations_resume_bit_for_bit(name, tmp_path):
    wrappers = (*WRAPPERS[name][:1], FLATTEN)
    check_resumption(
        lambda seed: load_vector(NestedCountingTask, 3, seed, wrappers=wrappers),
        tmp_path / "state.npz",
        num_steps=40,
    )


def test_client_07_episode_statistics_go_on():
    """What the wrapper counts is the episode's own, over all of its parts."""
    saved, restored = (
        load_vector(make_with_both_ends, 2, 3, wrappers=WRAPPERS["RecordEpisodeStatistics"]) for _ in range(2)
    )
    saved.reset()
    actions = random_actions(saved.action_spec, 60, 2)
    for action in actions[:33]:
        saved.step(action)
    restored.set_state(saved.get_state())
    for action in actions[33:]:
        saved.step(action), restored.step(action)
    for one, other in zip(saved._envs, restored._envs, strict=True):
        assert one.episode_count == other.episode_count > 3
        assert one.return_queue == other.return_queue and one.length_queue == other.length_queue
        assert len(one.time_queue) == len(other.time_queue)
        assert (one.episode_returns, one.episode_lengths) == (other.episode_returns, other.episode_lengths)
        # The clock goes on, and does not begin at another process's zero.
        assert abs(one.episode_start_time - other.episode_start_time) < 5.0


@pytest.mark.parametrize(
    ("wrapper", "entry", "value"),
    [
        ("RecordEpisodeStatistics", "return_queue", np.zeros((1, 3, 3))),
        ("RecordEpisodeStatistics", "episode_count", np.array([0.5])),
        ("RecordEpisodeStatistics", "elapsed_time", None),
        ("FrameStackObservation", "obs_queue.0", np.zeros((1, 2, 3))),
        ("FrameStackObservation", "obs_queue.length", np.array(["a"])),
        ("DelayObservation", "observation_queue.0", None),
        ("TimeAwareObservation", "timesteps", np.zeros((1, 4), int)),
        ("StickyAction", "last_action", np.zeros((1, 7))),
        ("StickyAction", "num_repeats", None),
    ],
)
def test_client_07_a_wrapper_s_state_of_another_kind_is_refused(wrapper, entry, value):
    environment = load_vector(make_with_both_ends, 1, 0, wrappers=WRAPPERS[wrapper])
    environment.reset()
    environment.step(np.zeros((1, 2), np.float32))
    state = environment.get_state()
    (name,) = (name for name in state if name.endswith(f"{wrapper}.{entry}"))
    changed = {key: each for key, each in state.items() if key != name}
    changed |= {} if value is None else {name: value}
    with pytest.raises(CheckpointError, match=f"{wrapper} needs {entry!r}"):
        environment.set_state(changed)
    environment.set_state(state)


@pytest.mark.parametrize(
    "base", [gymnasium.wrappers.TimeAwareObservation, gymnasium.wrappers.DelayObservation]
)
def test_client_07_a_subclass_of_a_known_wrapper_is_not_taken_for_it(base):
    class Own(base):
        """May keep anything."""

    arguments = {"delay": 1} if base is gymnasium.wrappers.DelayObservation else {}
    assert can_save(base(make_with_both_ends(), **arguments))
    assert not can_save(Own(make_with_both_ends(), **arguments))


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
