"""Which policies can become the optimum of a bandit with an entropy bonus.

Tang & Agrawal 2018, *Implicit Policy for Reinforcement Learning*, Figure 2a, and *Boosting Trust Region
Policy Optimization by Normalizing Flows Policy*, §4.3, Figure 2.
"""

from __future__ import annotations

import functools
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from tf_agents.networks import network

from expol_tf.agents import Acting, ClippedUpdate, OnPolicyAgent, PolicyObjective
from expol_tf.bijectors import AffineConditioner
from expol_tf.diagnostics import DensityComparison, compare_densities
from expol_tf.environments import (
    BimodalBandit,
    GaussianBandit,
    QuadraticReward,
    VectorEnvironment,
    box_quadrature,
    load_vector,
    target_log_density,
    time_step_spec,
)
from expol_tf.interruption import raise_if_stopped
from expol_tf.keras_api import keras
from expol_tf.networks import (
    FlowActorNetwork,
    GaussianActorNetwork,
    MixtureActorNetwork,
    ValueNetwork,
)
from expol_tf.objectives import AdvantageEstimation
from expol_tf.optimizers import MinibatchAdam, MinibatchRegression
from expol_tf.random import stream
from expol_tf.training import OnPolicyRunner

# Squashed: without that, entropy beyond the box would be free. The conditioners are smooth ones, since those
# with LayerNorm see little more of a single number than its sign.
POLICIES: dict[str, Callable[..., network.Network]] = {
    "Gaussian": functools.partial(GaussianActorNetwork, squash=True),
    "GMM, K = 2": functools.partial(MixtureActorNetwork, num_components=2, squash=True),
    "GMM, K = 5": functools.partial(MixtureActorNetwork, num_components=5, squash=True),
    "NFP": functools.partial(
        FlowActorNetwork,
        num_transformations=4,
        conditioner=functools.partial(AffineConditioner, activation="tanh", layer_norm=False),
        squash=True,
    ),
}

# The same for every policy. All states are one state, so one sample of the entropy for each is plenty.
_BATCH_SIZE = 1024
_EPOCHS = 10
_LEARNING_RATE = 1e-2
_ENTROPY_SAMPLES = 1


class Bandit(NamedTuple):
    """A bandit, its reward, and the entropy's weight c in the objective E[r] + c·H."""

    task: str
    reward: QuadraticReward
    temperature: float

    def target_log_prob(self, action: np.ndarray) -> np.ndarray:
        """Returns the optimum's log-density of actions `[..., 2]`."""
        return target_log_density(self.reward, self.temperature, action)


BANDITS: dict[str, Bandit] = {
    "gaussian_bandit": Bandit("expol/GaussianBandit-v0", GaussianBandit().reward, 1.0),
    "bimodal_bandit": Bandit("expol/BimodalBandit-v0", BimodalBandit().reward, 2.0),
}


class TrainedPolicy(NamedTuple):
    """A policy after training.

    Attributes:
      policy: One of `POLICIES`.
      seed: Seeds its weights, actions and environments.
      numbers: Its density beside the optimum's.
      log_prob: log π on the picture's grid `[g, g]` (rows are a₂).
    """

    policy: str
    seed: int
    numbers: DensityComparison
    log_prob: np.ndarray


def picture_grid(num: int = 161) -> tuple[np.ndarray, np.ndarray]:
    """Returns the nodes `[num]` of each axis, inside the box, and the points `[num, num, 2]`."""
    nodes = np.linspace(-0.999, 0.999, num)
    return nodes, np.stack(np.meshgrid(nodes, nodes), axis=-1)


def optimum(bandit: Bandit) -> DensityComparison:
    """Returns the numbers of the optimal density itself."""
    points, weights = box_quadrature()
    log_prob = bandit.target_log_prob(points)
    return compare_densities(log_prob, log_prob, bandit.reward(points), points, weights)


def train_all(
    bandit: Bandit,
    num_seeds: int,
    seed: int,
    iterations: int,
    policies: Mapping[str, Callable[..., network.Network]] = POLICIES,
) -> Iterator[TrainedPolicy]:
    """Trains every policy from seeds seed, …, seed + num_seeds − 1, and yields each as it is done."""
    points, weights = box_quadrature()
    target, reward = bandit.target_log_prob(points), bandit.reward(points)
    _, grid = picture_grid()
    for policy, make_network in policies.items():
        with tempfile.TemporaryDirectory() as directory:
            trainer = BanditTrainer(bandit, make_network, iterations, directory)
            for own_seed in range(seed, seed + num_seeds):
                actor_network = trainer.train(own_seed)
                log_prob = log_density(actor_network, points)
                numbers = compare_densities(log_prob, target, reward, points, weights)
                yield TrainedPolicy(policy, own_seed, numbers, log_density(actor_network, grid))


class BanditTrainer:
    """Trains a policy by PPO on a bandit with entropy weight c, from several seeds one after the other.

    Agent and graphs are made once, as tracing them takes longer than training; every training starts from
    the same checkpoint of the agent, with initial weights and actions of its own seed.

    The step size falls to a hundredth by a cosine, so that what is left of the updates' noise is small.

    Args:
      bandit: The task and c.
      make_network: Called with the specs of observations and actions; returns the policy's network.
      iterations: Length of a training; an iteration is 1,024 actions and 10 gradient steps on all of them.
      directory: Holds the checkpoint that trainings start from.
    """

    def __init__(
        self,
        bandit: Bandit,
        make_network: Callable[..., network.Network],
        iterations: int,
        directory: str,
    ) -> None:
        self._bandit = bandit
        self._iterations = iterations
        keras.utils.set_random_seed(0)
        env = self._load(0)
        specs = time_step_spec(env)
        self._make_network = lambda: make_network(specs.observation, env.action_spec)
        self._network = self._make_network()
        steps = iterations * _EPOCHS
        learning_rate = keras.optimizers.schedules.CosineDecay(_LEARNING_RATE, steps, alpha=0.01)
        self._agent = OnPolicyAgent(
            specs,
            env.action_spec,
            self._network,
            # With one state and centred advantages its value changes nothing but roundings.
            ValueNetwork(specs.observation, hidden_units=(8,)),
            policy_update=ClippedUpdate(
                MinibatchAdam(learning_rate, _EPOCHS, _BATCH_SIZE, max_gradient_norm=0.5),
            ),
            objective=PolicyObjective(self._network, bandit.temperature, _ENTROPY_SAMPLES),
            # Not standardized, which would rescale the reward against the entropy.
            advantages=AdvantageEstimation(scaling="center"),
            value_fit=MinibatchRegression(epochs=1, minibatch_size=_BATCH_SIZE),
            # Compiling takes longer than the training.
            acting=Acting(seed=0, jit_compile=False),
        )
        self._checkpoint = tf.train.Checkpoint(agent=self._agent)
        self._start = self._checkpoint.write(os.path.join(directory, "start"))

    def train(self, seed: int) -> network.Network:
        """Returns the network trained from a seed; the next training moves its variables again."""
        self._checkpoint.read(self._start).assert_consumed()
        keras.utils.set_random_seed(stream(seed, "initialization"))
        for own, fresh in zip(self._network.variables, self._make_network().variables, strict=True):
            own.assign(fresh)
        self._agent.collect_policy.generator.reset_from_seed(stream(seed, "acting"))
        runner = OnPolicyRunner(self._load(seed), self._agent, _BATCH_SIZE)
        for _ in range(self._iterations):
            raise_if_stopped()
            runner.iterate()
        return self._network

    def _load(self, seed: int) -> VectorEnvironment:
        return load_vector(self._bandit.task, _BATCH_SIZE, stream(seed, "environment"))


def log_density(actor_network: network.Network, action: np.ndarray) -> np.ndarray:
    """Returns log π of actions `[..., 2]` in the bandit's only state."""
    distribution, _ = actor_network(tf.ones([1, 1]))
    rows = tf.constant(action.reshape(-1, 1, 2), tf.float32)
    return distribution.log_prob(rows).numpy().reshape(action.shape[:-1]).astype(np.float64)
