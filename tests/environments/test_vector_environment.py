"""A vector environment of one's own inherits an honest answer to what it cannot do."""

from __future__ import annotations

import numpy as np
import pytest

from expol_tf.environments import GymnasiumEnvironment, VectorEnvironment, VectorStep, load_vector
from expol_tf.errors import CapabilityError
from expol_tf.testing import check_environment
from tests.environments.tasks import make_with_both_ends


class Minimal(VectorEnvironment):
    """Only what every vector environment must have."""

    def __init__(self, seed: int = 0):
        self._inner = load_vector(make_with_both_ends, 2, seed)
        self.task, self.num_envs = "Minimal", 2
        self.observation_spec, self.action_spec = self._inner.observation_spec, self._inner.action_spec

    def reset(self) -> np.ndarray:
        return self._inner.reset()

    def step(self, actions: np.ndarray, active: np.ndarray | None = None) -> VectorStep:
        return self._inner.step(actions, active)

    def current_observation(self) -> np.ndarray:
        return self._inner.current_observation()


def test_what_it_does_not_define_is_refused_by_name():
    environment = Minimal()
    assert not environment.can_save_state and not GymnasiumEnvironment(environment).can_save_state
    for call in (environment.get_state, lambda: environment.set_state({}), environment.render):
        with pytest.raises(CapabilityError, match="Minimal of Minimal cannot .*sync"):
            call()
    environment.close()


def test_it_keeps_the_contract():
    check_environment(lambda seed: GymnasiumEnvironment(Minimal(seed)))


@pytest.mark.parametrize(
    ("task", "can_save"), [("Hopper-v5", True), ("expol/MultiGoal-v0", True), (make_with_both_ends, True)]
)
def test_the_adapted_environment_can_save_what_its_backend_can(task, can_save):
    vector = load_vector(task)
    assert isinstance(vector, VectorEnvironment)
    assert GymnasiumEnvironment(vector).can_save_state is vector.can_save_state is can_save
