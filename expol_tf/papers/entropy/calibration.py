"""What a Stein policy reports as its entropy, beside what it is.

A policy's particles u^L are drawn by the hundred thousand, and `measured.measure` tells their entropy, or
bounds of it where samples are too few. The density "printed" is that of Messaoud et al. 2024, *S²AC:
Energy-Based Reinforcement Learning with Stein Soft Actor Critic*, Theorem 3.3.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import gymnasium
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from tf_agents.specs import tensor_spec

from expol_tf.agents import S2acAgent
from expol_tf.bijectors import Squash
from expol_tf.distributions import SteinDistribution, SteinSampler
from expol_tf.errors import ConfigurationError
from expol_tf.interruption import Stopped
from expol_tf.networks import CriticNetwork, GaussianActorNetwork, LogStd
from expol_tf.papers.entropy.measured import MOST_COMPONENTS, Measured, measure
from expol_tf.training import OffPolicyRunner, TrainingResult, train

# A, and the sizes of sets.
NUM_PARTICLES: dict[int, tuple[int, ...]] = {1: (10,), 2: (10,), 6: (10, 32), 17: (10,)}
# L and the deviation of the start: S²AC(φ, θ) when it begins, and S²AC(φ).
STARTS = ((3, 0.61), (20, math.sqrt(0.5)))
TEMPERATURES = (0.04, 1.0)
DENSITIES = ("joint_trace", "joint_logdet", "printed", "logdet")
# Particles of a row. Nearest-neighbour estimates from these two numbers of them must agree, or those from the
# second and four times as many. Where they do not, the radius may tell (`measured.measure`).
FEW, MANY = 10_000, 100_000
# For the determinants of M·A × M·A matrices.
DETERMINED = 1_000
# A task with actions of each size, on which a critic is trained, and the states of it that are looked at.
TASKS = {1: "Pendulum-v1", 2: "Swimmer-v5", 6: "HalfCheetah-v5", 17: "Humanoid-v5"}
NUM_STATES = 4
# Random steps that its replay begins with.
_WARM_UP = 500

Score = Callable[[tf.Tensor], tf.Tensor]


class Target(NamedTuple):
    """What particles move toward.

    Attributes:
      name: What the table calls it.
      num_states: How many states it has; their entropies are averaged.
      score: `score(u [B, R, A], α)` → ∇ℓ.
      isotropic: Whether it is the same in all directions of u.
    """

    name: str
    num_states: int
    score: Callable[[tf.Tensor, float], tf.Tensor]
    isotropic: bool = False


class Calibration(NamedTuple):
    """A row of the table; all entropies in nats of the action scaled to [−1, 1].

    Attributes:
      size: A.
      num_particles: M.
      num_steps: L.
      start_std: Deviation of q⁰ before the squash.
      target: The target's name.
      temperature: α.
      joint_trace, joint_logdet, printed, logdet: What each density reports, from `FEW` particles.
      measured: What the entropy is.
      limited_share: Share of the steps that were shortened.
      dropped_share: Share of the particles that left the range.
    """

    size: int
    num_particles: int
    num_steps: int
    start_std: float
    target: str
    temperature: float
    joint_trace: float
    joint_logdet: float
    printed: float
    logdet: float
    measured: Measured
    limited_share: float
    dropped_share: float

    def excess(self, density: str = "joint_trace") -> float:
        """Reported minus true entropy per action component, nats.

        Args:
          density: The column that is looked at.
        """
        return (getattr(self, density) - self.measured.truth) / self.size

    def cells(self) -> dict[str, float | int | str | bool]:
        """The row of the table, column → cell."""
        own = self._asdict()
        del own["measured"]
        last = {name: own.pop(name) for name in ("limited_share", "dropped_share")}
        found = self.measured.cells()
        # A row's states are its own, and not drawn.
        del found["standard_error"]
        return own | found | last


def calibrate_all(seed: int, critic_steps: int) -> Iterator[Calibration]:
    """Yields the rows of every size, set, start, target and temperature.

    Args:
      seed: Of everything drawn.
      critic_steps: Environment steps for which each size's critic is trained.
    """
    for size, counts in NUM_PARTICLES.items():
        targets = [*known_targets(), trained_critic(size, critic_steps, seed)]
        for target, num_particles, (num_steps, std), alpha in itertools.product(
            targets, counts, STARTS, TEMPERATURES
        ):
            yield calibrate(size, std, target, alpha, SteinSampler(num_particles, num_steps), seed)


def num_calibrations() -> int:
    """Returns how many rows `calibrate_all` yields."""
    sets = sum(len(counts) for counts in NUM_PARTICLES.values())
    return sets * (len(known_targets()) + 1) * len(STARTS) * len(TEMPERATURES)


def known_targets() -> list[Target]:
    """Returns the flat target, two quadratic ones and one with two modes."""

    def flat(u: tf.Tensor, alpha: float) -> tf.Tensor:
        return -2.0 * alpha * tf.tanh(u)

    def quadratic(curvature: float, u: tf.Tensor, alpha: float) -> tf.Tensor:
        return -curvature * u

    def two_modes(u: tf.Tensor, alpha: float) -> tf.Tensor:
        # Of N(m, I/4) and N(−m, I/4), m = 0.8 in the first component.
        mode = tf.one_hot(0, u.shape[-1], on_value=tf.constant(0.8, u.dtype), off_value=0.0, dtype=u.dtype)
        return 4.0 * (mode * tf.tanh(4.0 * tf.reduce_sum(u * mode, axis=-1, keepdims=True)) - u)

    # The start is cut at three deviations of each component, and so not quite the same in all directions.
    # The lengths of particles then say up to 0.05 nats more than is true (A = 6).
    quadratics = [
        Target(f"score −{c:g}u", 1, functools.partial(quadratic, c), isotropic=True) for c in (5.0, 20.0)
    ]
    return [Target("flat", 1, flat), Target("two modes", 1, two_modes), *quadratics]


def trained_critic(size: int, num_env_steps: int, seed: int) -> Target:
    """Trains S²AC on the size's task, and returns its critic at some of the task's states.

    Args:
      size: A.
      num_env_steps: Steps of training.
      seed: Of training, and of the states.
    """
    task = TASKS[size]
    require_training(num_env_steps, _WARM_UP)
    with tempfile.TemporaryDirectory() as directory:
        root_dir = Path(directory) / "run"
        result = train(
            root_dir,
            task,
            agent=S2acAgent,
            actor_network=functools.partial(
                GaussianActorNetwork,
                hidden_units=(64, 64),
                squash=True,
                log_std=LogStd(-0.5, True, (math.log(0.1), 0.0)),
            ),
            critic_network=functools.partial(CriticNetwork, hidden_units=(64, 64), activation="elu"),
            runner=functools.partial(OffPolicyRunner, batch_size=64, warm_up_steps=_WARM_UP),
            num_env_steps=num_env_steps,
            seed=seed,
            eval_interval=0,
        )
        require_whole(result)
        return critic_target(f"critic of {task}", task, root_dir, seed)


def require_training(num_env_steps: int, warm_up_steps: int) -> None:
    """Raises a `ConfigurationError` if a training would end before its first update.

    Args:
      num_env_steps: Steps of training.
      warm_up_steps: The random ones that it begins with.
    """
    if num_env_steps <= warm_up_steps:
        raise ConfigurationError(
            f"iterations must be more than the {warm_up_steps} random steps that the critic's training "
            f"begins with; got {num_env_steps}. Give more, or leave it out."
        )


def require_whole(result: TrainingResult) -> None:
    """Raises `Stopped` if the training was stopped: its critic is not the one that was asked for.

    Args:
      result: What `train` returned.
    """
    if result.interrupted_by is not None:
        raise Stopped(result.interrupted_by)


def critic_target(name: str, task: str, root_dir: Path, seed: int) -> Target:
    """Returns the critic that a run exported, at some of its task's states.

    Args:
      name: What the table calls it.
      task: The run's.
      root_dir: The run's.
      seed: Of the states.
    """
    critic = tf.saved_model.load(str(root_dir / "critic"))
    states, box = _states(task, seed)
    squash = Squash(box)

    def score(u: tf.Tensor, alpha: float) -> tf.Tensor:
        rows = tf.repeat(states, u.shape[-2], axis=0)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(u)
            action = tf.reshape(squash.forward(u), [-1, u.shape[-1]])
            q = critic.signatures["q"](observation=rows, action=action)["q"]
        return tape.gradient(q, u) - 2.0 * alpha * tf.tanh(u)

    return Target(name, NUM_STATES, score)


def _states(task: str, seed: int) -> tuple[tf.Tensor, tensor_spec.BoundedTensorSpec]:
    """Observations `[B, O]` after some random actions, and the spec of actions."""
    with gymnasium.make(task) as env:
        env.action_space.seed(seed)
        states = []
        for index in range(NUM_STATES):
            observation, _ = env.reset(seed=seed + index)
            for _ in range(5 * index):
                observation = env.step(env.action_space.sample())[0]
            states.append(observation)
        space = env.action_space
        box = tensor_spec.BoundedTensorSpec(space.shape, tf.float32, space.low, space.high)
    return tf.constant(np.array(states), tf.float32), box


def calibrate(
    size: int, std: float, target: Target, alpha: float, sampler: SteinSampler, seed: int
) -> Calibration:
    """Returns a row of the table.

    Args:
      size: A.
      std: Deviation of q⁰ before the squash.
      target: What particles move toward.
      alpha: α.
      sampler: How they do; its density is replaced by each in turn.
      seed: Of their starts.
    """
    reported: dict[str, float] = {}
    for density in DENSITIES:
        policy = policy_of(size, std, target, alpha, dataclasses.replace(sampler, density_change=density))
        count = DETERMINED if density == "joint_logdet" else FEW
        u, log_prob, statistics = policy.sample_with_statistics(count, seed=tf.constant([0, seed], tf.int32))
        reported[density] = -float(tf.reduce_mean(log_prob - _log_slope(u)))
    # Seventeen dimensions are too many for any number of samples, and bounds need fewer.
    found = measure(
        lambda count: _samples(policy, count, seed),
        size,
        MANY if size <= MOST_COMPONENTS else FEW,
        isotropic=target.isotropic,
    )
    return Calibration(
        size,
        sampler.num_particles,
        sampler.num_sampler_steps,
        std,
        target.name,
        alpha,
        **reported,
        measured=found,
        limited_share=float(tf.reduce_mean(statistics["limited_share"])),
        dropped_share=float(tf.reduce_mean(statistics["dropped_share"])),
    )


def policy_of(
    size: int, std: float, target: Target, alpha: float, sampler: SteinSampler
) -> SteinDistribution:
    """Returns the policy before its squash, from N(0, σ²), at the target's states.

    Args:
      size: A.
      std: σ.
      target: What particles move toward.
      alpha: α.
      sampler: How they do.
    """
    shape = [target.num_states, size]
    base = tfp.distributions.MultivariateNormalDiag(tf.zeros(shape), tf.fill(shape, std))
    return SteinDistribution(base, lambda u: target.score(u, alpha), sampler, alpha)


def _log_slope(u: tf.Tensor) -> tf.Tensor:
    """Σ log(1 − tanh² u), of the squash onto [−1, 1]."""
    return tfp.bijectors.Tanh().forward_log_det_jacobian(u, event_ndims=1)


def _samples(policy: SteinDistribution, count: int, seed: int) -> np.ndarray:
    """Particles u `[B, N, A]` of other sets than those whose density is reported."""
    return np.moveaxis(policy.sample(count, seed=tf.constant([1, seed], tf.int32)).numpy(), 0, 1)
