"""Trajectories with boundary frames as transitions."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from tf_agents.trajectories import trajectory

from expol_tf.agents import rollout_from_trajectory, transitions_from_trajectory
from expol_tf.errors import ConfigurationError

FIRST, MID, LAST = 0, 1, 2


def one_trajectory():
    """An episode of two steps that is cut, one of one step that terminates, and the start of a third."""
    step_type = [FIRST, MID, LAST, FIRST, LAST, FIRST, MID]
    count = len(step_type)
    return trajectory.Trajectory(
        step_type=tf.constant([step_type]),
        observation=tf.reshape(tf.range(2.0 * count), [1, count, 2]),
        action=tf.reshape(10.0 + tf.range(1.0 * count), [1, count, 1]),
        policy_info={"log_prob": -tf.reshape(tf.range(1.0 * count), [1, count])},
        next_step_type=tf.constant([[*step_type[1:], MID]]),
        reward=tf.constant([[1.0, 2.0, 0.0, 3.0, 0.0, 4.0, 5.0]]),
        discount=tf.constant([[1.0, 1.0, 1.0, 0.0, 1.0, 1.0, 1.0]]),
    )


def test_transitions_of_a_trajectory():
    rollout = rollout_from_trajectory(one_trajectory())
    np.testing.assert_array_equal(rollout.valid, [[True, True, False, True, False, True]])
    np.testing.assert_array_equal(rollout.episode_end, [[False, True, False, True, False, False]])
    np.testing.assert_array_equal(rollout.reward, [[1.0, 2.0, 0.0, 3.0, 0.0, 4.0]])
    np.testing.assert_array_equal(rollout.discount, [[1.0, 1.0, 1.0, 0.0, 1.0, 1.0]])
    np.testing.assert_array_equal(rollout.observation[0, :, 0], [0.0, 2.0, 4.0, 6.0, 8.0, 10.0])
    # The successor of the second step is the final observation of its episode, not the next one's first.
    np.testing.assert_array_equal(rollout.next_observation[0, :, 0], [2.0, 4.0, 6.0, 8.0, 10.0, 12.0])
    np.testing.assert_array_equal(rollout.action[0, :, 0], [10.0, 11.0, 12.0, 13.0, 14.0, 15.0])
    np.testing.assert_array_equal(rollout.policy_info["log_prob"][0], [-0.0, -1.0, -2.0, -3.0, -4.0, -5.0])


def test_client_05_episodes_without_their_last_frames():
    """As TF-Agents' EpisodicReplayBuffer keeps them: the successor of what was cut off is not there."""
    kept = [0, 1, 3, 5, 6]
    rollout = rollout_from_trajectory(
        tf.nest.map_structure(lambda each: tf.gather(each, kept, axis=1), one_trajectory())
    )
    # Not the second step, which was cut off; the third terminated, and needs no successor.
    np.testing.assert_array_equal(rollout.valid, [[True, False, True, True]])
    np.testing.assert_array_equal(rollout.episode_end, [[False, True, True, False]])
    np.testing.assert_array_equal(rollout.discount, [[1.0, 1.0, 0.0, 1.0]])
    # Off policy too.
    transitions = transitions_from_trajectory(
        tf.nest.map_structure(lambda each: tf.gather(each, kept, axis=1), one_trajectory())
    )
    np.testing.assert_array_equal(transitions.valid, [True, False, True, True])


def test_a_single_frame_is_refused():
    single = tf.nest.map_structure(lambda tensor: tensor[:, :1], one_trajectory())
    with pytest.raises(ConfigurationError, match=r"experience: .*two frames or more.*got .*\(1, 1\)"):
        rollout_from_trajectory(single)


def test_a_trajectory_without_batch_is_refused():
    row = tf.nest.map_structure(lambda tensor: tensor[0], one_trajectory())
    with pytest.raises(ConfigurationError, match=r"batch-major trajectory \[B, T \+ 1, …\].*got .*\(7,\)"):
        rollout_from_trajectory(row)


@pytest.mark.parametrize("info", [(), {}, {"pre_squash_action": tf.zeros([1, 7, 1])}], ids=str)
def test_actions_without_density_are_refused(info):
    with pytest.raises(ConfigurationError, match="must hold the actions' log_prob.*agent's collect_policy"):
        rollout_from_trajectory(one_trajectory()._replace(policy_info=info))
