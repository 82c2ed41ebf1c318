"""The standard deviations of Gaussian policies, and the names that their settings had."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from tf_agents.specs import tensor_spec

from expol_tf.errors import ConfigurationError
from expol_tf.networks import GaussianActorNetwork, LogStd, MixtureActorNetwork

OBSERVATION = tensor_spec.TensorSpec([3], tf.float32)
ACTION = tensor_spec.BoundedTensorSpec([2], tf.float32, -1.0, 1.0)


def test_a_deviation_of_its_own_is_a_variable():
    settings = LogStd(initial=-0.5)
    log_std = settings.make([4, 2])
    assert isinstance(log_std, tf.Variable) and settings.num_outputs(2) == 2
    mean, std = settings.mean_and_std(tf.ones([7, 4, 2]), log_std)
    np.testing.assert_array_equal(mean, np.ones([7, 4, 2]))
    np.testing.assert_allclose(std, np.full([7, 4, 2], np.exp(-0.5)), rtol=1e-6)


def test_a_deviation_of_the_state_is_an_output_within_bounds():
    settings = LogStd(initial=-0.5, state_dependent=True, bounds=(-1, 1))
    log_std = settings.make([2])
    assert not isinstance(log_std, tf.Variable) and settings.num_outputs(2) == 4
    mean, std = settings.mean_and_std(tf.constant([[1.0, 2.0, 0.25, 9.0]]), log_std)
    np.testing.assert_array_equal(mean, [[1.0, 2.0]])
    np.testing.assert_allclose(std, np.exp([[-0.25, 1.0]]), rtol=1e-6)


@pytest.mark.parametrize("bounds", [(2.0, -20.0), (1.0, 1.0), (0.0, float("nan"))])
def test_bounds_must_leave_a_range(bounds):
    with pytest.raises(ConfigurationError, match=r"LogStd.bounds must be .*got"):
        LogStd(bounds=bounds)


@pytest.mark.parametrize("cls", [GaussianActorNetwork, MixtureActorNetwork])
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("initial_log_std", "initial"),
        ("state_dependent_std", "state_dependent"),
        ("log_std_bounds", "bounds"),
    ],
)
def test_the_names_of_before_are_answered(cls, old, new):
    with pytest.raises(ConfigurationError, match=f"{cls.__name__}.{old} is now LogStd.{new}"):
        cls(OBSERVATION, ACTION, **{old: 0.0})
