"""Settings that a user leaves open are filled by the agent, those given are kept."""

from __future__ import annotations

import dataclasses

import pytest

from expol_tf.agents import (
    Acting,
    CriticFit,
    DiscriminatorFit,
    GaussianNoise,
    OrnsteinUhlenbeckNoise,
    TargetUpdate,
)
from expol_tf.agents.settings import with_defaults
from expol_tf.errors import ConfigurationError
from expol_tf.optimizers import Adam


def test_open_fields_are_filled_and_given_ones_kept():
    optimizer, target_update = Adam(0.1), TargetUpdate(0.5)
    given = CriticFit(optimizer, gamma=0.9)
    filled = with_defaults(given, optimizer=Adam(0.2), target_update=target_update, target_actor=True)
    assert filled == CriticFit(optimizer, 0.9, target_update, True)
    assert filled.optimizer is optimizer and filled.target_update is target_update
    assert given == CriticFit(optimizer, gamma=0.9)


def test_what_is_false_or_zero_is_given():
    assert with_defaults(CriticFit(target_actor=False), target_actor=True).target_actor is False
    assert with_defaults(Acting(seed=0), seed=3).seed == 0


def test_nothing_open_leaves_the_object_as_it_is():
    noise = GaussianNoise(0.1)
    given = Acting(noise, seed=3)
    assert with_defaults(given, exploration=OrnsteinUhlenbeckNoise()) is given


def test_a_subclass_stays_one():
    @dataclasses.dataclass(frozen=True)
    class Own(CriticFit):
        bonus: float = 0.5

    filled = with_defaults(Own(bonus=2.0), target_actor=True)
    assert type(filled) is Own and (filled.bonus, filled.target_actor) == (2.0, True)


def test_a_default_of_no_field_is_a_mistake_of_ours():
    with pytest.raises(AttributeError):
        with_defaults(DiscriminatorFit(), gamma=0.5)


@pytest.mark.parametrize("gamma", [-0.1, 1.5, float("nan")])
def test_a_discount_out_of_range_is_refused(gamma):
    with pytest.raises(ConfigurationError, match=rf"CriticFit.gamma must be in \[0, 1\]; got {gamma}"):
        CriticFit(gamma=gamma)
