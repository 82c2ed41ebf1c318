"""Learning-rate schedules by their names in gin."""

from __future__ import annotations

import gin
import pytest
import tensorflow as tf

from expol_tf.optimizers import MinibatchRegression


@pytest.fixture(autouse=True)
def clean_gin():
    gin.clear_config()
    yield
    gin.clear_config()


@pytest.mark.parametrize(
    ("name", "settings", "rates"),
    [
        ("PolynomialDecay", {"decay_steps": 4, "end_learning_rate": 0.2}, [1.0, 0.8, 0.6, 0.4, 0.2]),
        ("ExponentialDecay", {"decay_steps": 1, "decay_rate": 0.5}, [1.0, 0.5, 0.25]),
        ("CosineDecay", {"decay_steps": 2}, [1.0, 0.5, 0.0]),
        ("PiecewiseConstantDecay", {"boundaries": [1], "values": [1.0, 0.1]}, [1.0, 1.0, 0.1]),
    ],
)
def test_a_fit_follows_a_schedule_bound_in_gin(name, settings, rates):
    if name != "PiecewiseConstantDecay":
        settings = {**settings, "initial_learning_rate": 1.0}
    lines = [f"{name}.{key} = {value}" for key, value in settings.items()]
    gin.parse_config([*lines, f"MinibatchRegression.learning_rate = @{name}()"])
    schedule = MinibatchRegression().adam.optimizer._learning_rate
    assert [float(schedule(tf.constant(step))) for step in range(len(rates))] == pytest.approx(rates)
