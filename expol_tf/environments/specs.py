"""The tensor specs of an environment, which agents and networks take."""

from __future__ import annotations

from typing import Any

from tf_agents.environments import py_environment
from tf_agents.specs import tensor_spec
from tf_agents.trajectories import time_step as ts

from expol_tf.environments.vector_environment import VectorEnvironment


def time_step_spec(environment: VectorEnvironment | py_environment.PyEnvironment) -> ts.TimeStep:
    """Returns the time step spec of one sub-environment, a `TimeStep` of tensor specs."""
    return ts.time_step_spec(_tensor_spec(environment.observation_spec))


def action_spec(
    environment: VectorEnvironment | py_environment.PyEnvironment,
) -> tensor_spec.BoundedTensorSpec:
    """Returns the action spec of one sub-environment, a bounded tensor spec `[A]`."""
    return _tensor_spec(environment.action_spec)


def _tensor_spec(spec: Any) -> Any:
    return tensor_spec.from_spec(spec() if callable(spec) else spec)
