"""TF-Agents' own networks under the agents, called as its protocol has it; those with a state are refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tf_agents.agents.ddpg import critic_rnn_network
from tf_agents.networks import (
    actor_distribution_network,
    actor_distribution_rnn_network,
    network,
    value_rnn_network,
)
from tf_agents.networks import value_network as tf_agents_value_network
from tf_agents.policies import policy_saver
from tf_agents.trajectories import time_step as ts

from expol_tf.agents import AcktrAgent, PpoAgent, TrpoAgent
from expol_tf.errors import ConfigurationError
from expol_tf.keras_api import keras
from expol_tf.networks import call_network
from tests.agents.small_agents import OBSERVATION, box, make_agent, make_rollout
from tests.agents.small_off_policy import ACTION, sac

ALGORITHMS = {"TRPO": TrpoAgent, "PPO": PpoAgent, "ACKTR": AcktrAgent}


def actor(**settings: Any) -> network.Network:
    keras.utils.set_random_seed(0)
    return actor_distribution_network.ActorDistributionNetwork(
        OBSERVATION, box(), fc_layer_params=(8,), activation_fn=tf.keras.activations.tanh, **settings
    )


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_client_03_actor_distribution_network_trains(algorithm: str, tmp_path: Any) -> None:
    value = tf_agents_value_network.ValueNetwork(OBSERVATION, fc_layer_params=(8,))
    agent = make_agent(cls=ALGORITHMS[algorithm], actor_network=actor(), value_network=value)
    policy_saver.PolicySaver(agent.policy, batch_size=None).save(str(tmp_path / "policy"))
    before = [variable.numpy() for variable in agent.actor_network.trainable_variables]
    surrogates = []
    for seed in range(6):
        metrics = agent.train_on_rollout(make_rollout(agent, batch=8, time=32, seed=seed)).extra
        assert all(np.isfinite(each) for each in metrics.values())
        surrogates.append(float(metrics["surrogate"]))
    assert np.mean(surrogates) > 0
    pairs = zip(agent.actor_network.trainable_variables, before, strict=True)
    assert all((variable.numpy() != old).any() for variable, old in pairs)
    step = ts.restart(tf.ones([2, 3]), 2)
    assert agent.policy.action(step).action.shape == (2, 2)


class AsksForBoth(network.Network):
    """Takes a step type and a state, without defaults, and notes them."""

    def __init__(self, name: str = "AsksForBoth") -> None:
        super().__init__(OBSERVATION, state_spec=(), name=name)
        self.noted: list[Any] = []

    def call(self, observation: Any, step_type: Any, network_state: Any, training: bool = False) -> Any:
        self.noted.append((step_type, network_state))
        return observation, network_state


class AsksForNone(network.Network):
    def __init__(self, name: str = "AsksForNone") -> None:
        super().__init__(OBSERVATION, state_spec=(), name=name)

    def call(self, observation: Any) -> Any:
        return observation, ()


def test_client_03_networks_are_called_as_the_protocol_has_it() -> None:
    asks = AsksForBoth()
    output, state = call_network(asks, tf.ones([4, 3]))
    (step_type, network_state), *_ = asks.noted
    np.testing.assert_array_equal(step_type, np.full(4, ts.StepType.MID))
    assert network_state == () == state and output.shape == (4, 3)
    assert call_network(AsksForNone(), tf.ones([4, 3]))[0].shape == (4, 3)
    assert call_network(lambda inputs: (inputs, ()), 3) == (3, ())


def test_client_03_recurrent_networks_are_refused() -> None:
    settings: dict[str, Any] = dict(input_fc_layer_params=(4,), output_fc_layer_params=(4,), lstm_size=(4,))
    recurrent = actor_distribution_rnn_network.ActorDistributionRnnNetwork(OBSERVATION, box(), **settings)
    for cls in ALGORITHMS.values():
        with pytest.raises(
            ConfigurationError,
            match="actor_network must have no state.*ActorDistributionRnnNetwork.*FrameStack",
        ):
            make_agent(cls=cls, actor_network=recurrent)
    value = value_rnn_network.ValueRnnNetwork(OBSERVATION, **settings)
    with pytest.raises(ConfigurationError, match="value_network must have no state.*ValueRnnNetwork"):
        make_agent(value_network=value)
    critic = critic_rnn_network.CriticRnnNetwork((OBSERVATION, ACTION), lstm_size=(4,))
    with pytest.raises(ConfigurationError, match="critic_network must have no state.*CriticRnnNetwork"):
        sac(critic=critic)
