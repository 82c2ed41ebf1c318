"""Hamiltonian Monte Carlo."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import gin
import tensorflow as tf

from expol_tf.errors import ConfigurationError
from expol_tf.random import Seed, as_seed, seed_of_step
from expol_tf.samplers.moved import repeat
from expol_tf.samplers.svgd import Score, as_scalar


class HmcMoved(NamedTuple):
    """Particles after some steps of `hmc`.

    Attributes:
      particles: `[..., M, A]`.
      log_density_change: None: with velocities drawn anew in every step there is no map of the particle
        alone, and the map of particle and velocity together keeps volumes, so that it would say 0.
      acceptance: Mean probability over the steps with which each particle's move was accepted, `[..., M]`;
        None without a test.
    """

    particles: tf.Tensor
    log_density_change: None
    acceptance: tf.Tensor | None


@gin.configurable(module="expol_tf")
def hmc(
    particles: tf.Tensor,
    score_fn: Score,
    num_steps: int,
    step_size: float | tf.Tensor,
    *,
    num_leapfrog: int = 10,
    temperature: float | tf.Tensor = 1.0,
    seed: Seed,
    log_density_fn: Callable[[tf.Tensor], tf.Tensor] | None = None,
) -> HmcMoved:
    """L times: v ~ N(0, α·I), then K leapfrog steps of length ε along u̇ = v, v̇ = ∇ℓ(u); every particle alone.

    exp(ℓ/α)·N(v; 0, α·I) is constant along the exact motion, up to the error of the leapfrog, of order ε².

    * With `log_density_fn` moves are accepted with probability min(1, exp(ΔH/α)), ΔH = Δℓ − Δ‖v‖²/2
      (Metropolis), and the target ∝ exp(ℓ/α) is stationary exactly. Of a good ε about 0.65 to 0.9 of the
      moves are accepted.
    * Without it every move is kept, and a bias of order ε² stays: for N(μ, Λ⁻¹) and α = 1 the stationary
      variance along an eigenvector of Λ with eigenvalue λ is λ⁻¹/(1 − ε²λ/4). At ε ≥ 2/√λ particles diverge.

    One leapfrog step is a Langevin step of ε²/2 (with the test: MALA).

    ```python
    target = tfd.MultivariateNormalTriL(loc, tril)
    score = lambda u: tfp.math.value_and_gradient(target.log_prob, u)[1]
    moved = hmc(tf.zeros([200, 2]), score, 50, 0.3, seed=0, log_density_fn=target.log_prob)
    ```

    References: Duane et al. 1987, *Hybrid Monte Carlo*; Neal 2011, *MCMC using Hamiltonian dynamics*.

    Args:
      particles: u⁰ `[..., M, A]`.
      score_fn: ∇ℓ of particles, both `[..., M, A]`.
      num_steps: L, 0 or more; takes L·(K + 1) scores.
      step_size: ε, scalar.
      num_leapfrog: K, 1 or more.
      temperature: α, scalar, positive.
      seed: An integer or int32 `[2]`; the same seed gives the same
        particles (others under XLA).
      log_density_fn: ℓ of particles, `[..., M, A]` → `[..., M]`, up to a constant.

    Returns:
      u^L, and how often moves were accepted.

    Raises:
      ConfigurationError: A number that is out of range, or no seed.
    """
    if num_leapfrog < 1:
        raise ConfigurationError(f"num_leapfrog must be 1 or more; got {num_leapfrog}.")
    if not tf.is_tensor(temperature) and temperature <= 0:
        raise ConfigurationError(
            f"temperature must be positive in hmc, whose velocities have that variance; got {temperature}. "
            "To climb to a mode use langevin with noise=False."
        )
    u = tf.convert_to_tensor(particles)
    alpha, stream = as_scalar(temperature, u.dtype), as_seed(seed)

    def propose(index: tf.Tensor, u: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        drawn = tf.random.stateless_normal(tf.shape(u), seed_of_step(stream, 2 * index), dtype=u.dtype)
        velocity = tf.sqrt(alpha) * drawn
        return velocity, *leapfrog(u, velocity, score_fn, num_leapfrog, step_size)

    def move(index: tf.Tensor, u: tf.Tensor) -> tuple[tf.Tensor, ...]:
        return (propose(index, u)[1],)

    def test(
        log_density: Callable[[tf.Tensor], tf.Tensor], index: tf.Tensor, u: tf.Tensor, total: tf.Tensor
    ) -> tuple[tf.Tensor, ...]:
        before, proposed, after = propose(index, u)
        kinetic = 0.5 * tf.reduce_sum(tf.square(before) - tf.square(after), axis=-1)
        probability = tf.exp(tf.minimum((log_density(proposed) - log_density(u) + kinetic) / alpha, 0.0))
        # A move that left the numbers is refused.
        probability = tf.where(tf.math.is_finite(probability), probability, tf.zeros_like(probability))
        uniform = tf.random.stateless_uniform(
            tf.shape(probability), seed_of_step(stream, 2 * index + 1), dtype=u.dtype
        )
        accepted = uniform < probability
        return tf.where(accepted[..., tf.newaxis], proposed, u), total + probability

    # Steps hold several scores each: as a loop their graph stays small.
    if log_density_fn is None:
        return HmcMoved(repeat(move, (u,), num_steps, unrolled=1)[0], None, None)
    metropolis = log_density_fn
    u, total = repeat(
        lambda *state: test(metropolis, *state), (u, tf.zeros_like(u[..., 0])), num_steps, unrolled=1
    )
    return HmcMoved(u, None, total / max(num_steps, 1))


def leapfrog(
    particles: tf.Tensor,
    velocities: tf.Tensor,
    score_fn: Score,
    num_leapfrog: int,
    step_size: float | tf.Tensor,
) -> tuple[tf.Tensor, tf.Tensor]:
    """K times v += (ε/2)∇ℓ(u), u += ε·v, v += (ε/2)∇ℓ(u): kick, drift, kick.

    Keeps volumes in (u, v) and is its own inverse with v reversed.

    Args:
      particles: u `[..., M, A]`.
      velocities: v `[..., M, A]`.
      score_fn: ∇ℓ of particles.
      num_leapfrog: K, 1 or more.
      step_size: ε, scalar.

    Returns:
      u and v after the steps.
    """
    u, v = tf.convert_to_tensor(particles), tf.convert_to_tensor(velocities)
    epsilon = as_scalar(step_size, u.dtype)
    v = v + 0.5 * epsilon * score_fn(u)

    def drift_and_kick(index: tf.Tensor, u: tf.Tensor, v: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        # The second half of a kick and the first of the next one are at the same place.
        del index
        u = u + epsilon * v
        return u, v + epsilon * score_fn(u)

    u, v = repeat(drift_and_kick, (u, v), num_leapfrog - 1)
    u = u + epsilon * v
    return u, v + 0.5 * epsilon * score_fn(u)
