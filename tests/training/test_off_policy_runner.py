"""The off-policy runner against a slow one: what it stores, and when it acts, updates and starts anew."""

from __future__ import annotations

import fractions
import math
from typing import Any

import numpy as np
import pytest

from expol_tf.environments import load_vector
from expol_tf.errors import ConfigurationError, NonFiniteError
from expol_tf.training import OffPolicyRunner
from expol_tf.training.runners import off_policy_runner
from tests.damaged_states import refuse_damaged
from tests.training.stand_in import ACTION, INITIAL_STATE, OBSERVATION, Counting, Forgetful, StandInAgent

BATCH = 4


def make_runner(
    num_envs: int = 1, stateful: bool = False, task: Any = Counting, metrics: Any = None, **settings: Any
) -> tuple[OffPolicyRunner, StandInAgent]:
    agent = StandInAgent(stateful, BATCH, **(metrics or {}))
    settings = dict(replay_capacity=1000, batch_size=BATCH, seed=0) | settings
    return OffPolicyRunner(load_vector(task, num_envs, seed=0), agent, **settings), agent  # type: ignore[arg-type]


def slow_run(
    num_envs: int,
    stateful: bool,
    updates_per_step: str,
    warm_up: int,
    warm_up_actions: np.ndarray,
    steps: int,
) -> tuple[np.ndarray, int]:
    """Returns the rows of so many steps of all environments, one by one, and the number of updates."""
    envs = [Counting() for _ in range(num_envs)]
    observations = [env.reset()[0] for env in envs]
    states = [INITIAL_STATE if stateful else 0.0] * num_envs
    rows, updates, env_steps = [], 0, 0
    for _ in range(steps):
        warming_up = env_steps < warm_up
        for i, env in enumerate(envs):
            if warming_up:
                action = warm_up_actions[env_steps + i]
            else:
                action = np.array([0.001 * updates + 0.1 * observations[i][0] + states[i]])
                action = action.clip(-2.0, 1.0)
                states[i] += 0.01 * stateful
            after, reward, terminated, truncated, _ = env.step(action)
            rows.append(np.concatenate([observations[i], action, [reward, float(not terminated)], after]))
            observations[i] = after
            if terminated or truncated:
                observations[i] = env.reset()[0]
                states[i] = INITIAL_STATE if stateful else 0.0
        env_steps += num_envs
        if not warming_up:
            after_warm_up = env_steps - math.ceil(warm_up / num_envs) * num_envs
            updates = math.floor(after_warm_up * fractions.Fraction(updates_per_step))
    return np.array(rows), updates


@pytest.mark.parametrize(
    ("num_envs", "stateful", "updates_per_step", "warm_up", "iteration_steps"),
    [
        (1, False, "1.0", 7, 10),
        (1, True, "0.5", 0, 8),
        (1, False, "0.3", 4, 10),
        (3, True, "0.5", 10, 12),
        (3, False, "1.0", 9, 15),
        (2, True, "2.5", 5, 7),
    ],
)
def test_transitions_and_updates_are_those_of_the_slow_runner(
    num_envs: int, stateful: bool, updates_per_step: str, warm_up: int, iteration_steps: int
) -> None:
    runner, agent = make_runner(
        num_envs,
        stateful,
        updates_per_step=float(updates_per_step),
        warm_up_steps=warm_up,
        iteration_steps=iteration_steps,
    )
    vector_steps = math.ceil(iteration_steps / num_envs)
    assert runner.iteration_steps == vector_steps * num_envs
    updates_before, ended = 0, 0
    for i in range(1, 5):
        iteration = runner.iterate()
        rows = runner.replay.get_state()["rows"]
        actions = rows[:, OBSERVATION : OBSERVATION + ACTION]
        expected, updates = slow_run(num_envs, stateful, updates_per_step, warm_up, actions, i * vector_steps)
        np.testing.assert_allclose(rows, expected, atol=1e-6)
        assert int(agent.updates) == updates
        # Each update counts one more than the last: the mean tells which were averaged.
        if updates == updates_before:
            assert iteration.metrics == {}
        else:
            assert iteration.metrics == {"count": (updates_before + 1 + updates) / 2}
        updates_before = updates
        ended += len(iteration.episode_returns)
        # Terminations and truncations both end an episode; only the former have discount 0.
        np.testing.assert_array_equal(
            rows[:, -3] == 0, (rows[:, -2] == 3 + rows[:, -1] % 3) & (rows[:, -1] % 2 == 0)
        )
        assert ended == np.sum(rows[:, -2] == 3 + rows[:, -1] % 3)
        assert iteration.env_steps == runner.iteration_steps
        assert all(length in (3, 4, 5) for length in iteration.episode_lengths)


def test_returns_are_those_of_the_actions_taken() -> None:
    runner, _ = make_runner(warm_up_steps=100, iteration_steps=12)
    iteration = runner.iterate()
    rewards = runner.replay.get_state()["rows"][:, OBSERVATION + ACTION]
    expected = [rewards[:3].sum(), rewards[3:7].sum(), rewards[7:].sum()]
    assert iteration.episode_lengths == [3, 4, 5]
    np.testing.assert_allclose(iteration.episode_returns, expected, rtol=1e-5)


def test_warm_up_is_uniform_in_the_box() -> None:
    runner, _ = make_runner(4, warm_up_steps=4000, iteration_steps=4000, replay_capacity=4000)
    runner.iterate()
    actions = runner.replay.get_state()["rows"][:, OBSERVATION]
    counts, _ = np.histogram(actions, bins=10, range=(-2.0, 1.0))
    # Chi-squared with 9 degrees of freedom exceeds 27.9 once in a thousand; the seed is fixed.
    assert counts.sum() == 4000 and ((counts - 400) ** 2 / 400).sum() < 27.9


def test_samples_are_fresh_and_follow_the_seed() -> None:
    def batches(**settings: Any) -> list[tuple]:
        runner, agent = make_runner(warm_up_steps=20, iteration_steps=1, **settings)
        found = []
        for _ in range(24):
            runner.iterate()
            found.append((*agent.rewards.numpy(), *agent.seed.numpy()))
        return found[20:]

    first = batches()
    assert len({each[:BATCH] for each in first}) == len({each[BATCH:] for each in first}) == 4
    assert batches() == first
    assert batches(seed=1) != first
    assert batches(seed=None) != batches(seed=None)


@pytest.mark.parametrize("stateful", [False, True])
@pytest.mark.parametrize("saved_after", [1, 3], ids=["in warm-up", "later"])
def test_a_restored_runner_goes_on_bit_for_bit(stateful: bool, saved_after: int) -> None:
    settings = dict(updates_per_step=0.3, warm_up_steps=11, iteration_steps=8, replay_capacity=30)
    runner, agent = make_runner(2, stateful, **settings)
    for _ in range(saved_after):
        runner.iterate()
    state = {name: array.copy() for name, array in runner.get_state().items()}
    live = runner.get_state()
    updates = agent.updates.numpy()
    expected = [runner.iterate() for _ in range(4)]
    # Nothing of it belongs to the runner: it is written while the run goes on.
    for name, array in live.items():
        np.testing.assert_array_equal(array, state[name], err_msg=name)

    restored, agent = make_runner(2, stateful, **settings)
    restored.iterate()
    restored.set_state(state)
    agent.updates.assign(updates)
    assert [restored.iterate() for _ in range(4)] == expected
    for name, array in restored.get_state().items():
        np.testing.assert_array_equal(array, runner.get_state()[name], err_msg=name)


@pytest.mark.parametrize("stateful", [False, True])
@pytest.mark.parametrize("stopped", [False, True], ids=["between iterations", "inside of one"])
def test_fault_13_the_state_of_another_runner_is_refused(
    stateful: bool, stopped: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = dict(updates_per_step=0.3, warm_up_steps=11, iteration_steps=80, replay_capacity=30)
    runner, _ = make_runner(2, stateful, "Pendulum-v1", **settings)
    if stopped:
        answers = iter([False] * 17)
        monkeypatch.setattr(off_policy_runner, "stop_requested", lambda: next(answers, True))
    runner.iterate()
    state = runner.get_state()
    assert ("iteration/counters" in state) == stopped and ("policy_state/0" in state) == stateful
    refuse_damaged(runner, [name for name in state if name.endswith(("action", ".last_u"))])
    assert np.array_equal(runner.get_state()["counters"], state["counters"])


def test_where_environments_cannot_be_saved_the_replay_is() -> None:
    settings = dict(task=Forgetful, warm_up_steps=4, iteration_steps=10)
    runner, _ = make_runner(stateful=True, **settings)
    runner.iterate()
    state = runner.get_state()
    restored, agent = make_runner(stateful=True, **settings)
    restored.set_state(state)
    agent.updates.assign(6.0)
    restored.iterate()
    rows = restored.replay.get_state()["rows"]
    np.testing.assert_array_equal(rows[:10], state["replay/rows"])
    # A new episode, with the actions of a policy that starts anew.
    np.testing.assert_array_equal(rows[10, :OBSERVATION], [0, 0])
    np.testing.assert_allclose(rows[10, OBSERVATION], 0.006 + INITIAL_STATE, rtol=1e-5)
    assert int(agent.updates) == 16


def test_columns_are_known_before_the_first_update() -> None:
    runner, _ = make_runner(
        metrics=dict(temperature=1.0, own=2.0, critic_loss=3.0), warm_up_steps=5, iteration_steps=5
    )
    columns = ("critic_loss", "actor_loss", "q_mean", "entropy", "temperature")
    assert runner.algorithm_columns[:5] == columns and set(runner.algorithm_columns[5:]) == {"count", "own"}
    assert runner.iterate().metrics == {}
    assert runner.iterate().metrics == {"temperature": 1.0, "own": 2.0, "critic_loss": 3.0, "count": 3.0}


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_updates_that_break_are_one_message(value: float) -> None:
    runner, _ = make_runner(metrics=dict(critic_loss=value), warm_up_steps=5, iteration_steps=5)
    runner.iterate()
    with pytest.raises(
        NonFiniteError, match=f"StandInAgent: critic_loss must be finite; got {value}.*learning_rate"
    ):
        runner.iterate()


def test_what_an_agent_warns_of_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    runner, _ = make_runner(metrics=dict(own=2.0), warm_up_steps=5, iteration_steps=5)
    loud, _ = make_runner(metrics=dict(own=20.0), warm_up_steps=5, iteration_steps=5)
    with caplog.at_level("WARNING"):
        for _ in range(4):
            runner.iterate()
        assert not caplog.records
        for _ in range(4):
            loud.iterate()
    assert [record.getMessage() for record in caplog.records] == ["own is 20"]


class Broken(Counting):
    """Gives a NaN observation at the third step."""

    def step(self, action: np.ndarray) -> Any:
        observation, *rest = super().step(action)
        return observation * (np.nan if self._t == 3 else 1.0), *rest


def test_an_observation_that_is_nan_names_the_task_and_the_step() -> None:
    runner, agent = make_runner(task=Broken, warm_up_steps=1, iteration_steps=5)
    with pytest.raises(NonFiniteError, match="The observation of .*, step 3 is not finite"):
        runner.iterate()
    # Nothing of it was stored or learned from.
    assert len(runner.replay.get_state()["rows"]) == 2 and int(agent.updates) == 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (dict(batch_size=0), "batch_size must be 1 or more; got 0"),
        (dict(warm_up_steps=-1), "warm_up_steps must be 0 or more; got -1"),
        (dict(iteration_steps=0), "iteration_steps must be 1 or more; got 0"),
        (dict(updates_per_step=0.0), "updates_per_step must be positive; got 0.0"),
        (dict(updates_per_step=-1e-30), "updates_per_step must be positive; got -1e-30"),
        (dict(updates_per_step=math.nan), "updates_per_step must be positive; got nan"),
        (dict(replay_capacity=0), "replay_capacity must be 1 or more; got 0"),
    ],
    ids=lambda each: next(iter(each)) if isinstance(each, dict) else "",
)
def test_settings_outside_their_rule(settings: dict, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        make_runner(**settings)


@pytest.mark.parametrize("rate", [4e-7, 9.9e-7, 1e-30, 1e-320])
def test_fault_15_fewer_updates_than_one_in_a_million_steps(rate: float) -> None:
    with pytest.raises(ConfigurationError, match=r"updates_per_step must be 1e-06 or more; got"):
        make_runner(updates_per_step=rate)


@pytest.mark.parametrize("rate", [10_001, 1e30, 1e39])
def test_fault_15_more_updates_than_a_loop_counts(rate: float) -> None:
    with pytest.raises(ConfigurationError, match="updates_per_step must be positive and at most 10,000; got"):
        make_runner(updates_per_step=rate)


@pytest.mark.parametrize(("rate", "first"), [(1e-6, 1_000_000), (1.5e-6, 666_667), (10_000.0, 1)])
def test_fault_15_the_ends_of_the_range_are_possible(rate: float, first: int) -> None:
    assert make_runner(updates_per_step=rate, warm_up_steps=0)[0].first_update_step == first
