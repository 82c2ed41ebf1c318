"""Hamiltonian Monte Carlo."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from expol_tf.checks import require_number
from expol_tf.configurable import configurable
from expol_tf.number_types import Count, Positive, WholeNumber
from expol_tf.random import Seed, as_seed, seed_of_step
from expol_tf.samplers.joint_density import Score, as_scalar, score_of
from expol_tf.samplers.moved import repeat
from expol_tf.shapes import require_shapes


class HmcMoved(NamedTuple):
    """Particles after the steps of `hmc`.

    Attributes:
      particles: The moved particles `[..., M, A]`.
      log_density_change: Always None. Every step draws velocities anew, so it is no map of the particle
        alone, and the map of particle and velocity together keeps volumes.
      acceptance: Probability that a particle's move is accepted, averaged over the steps, `[..., M]`; None
        without a Metropolis test.
    """

    particles: tf.Tensor
    log_density_change: None
    acceptance: tf.Tensor | None


@configurable
def hmc(
    particles: tf.Tensor,
    score_fn: Score,
    num_steps: WholeNumber,
    step_size: Positive | tf.Tensor,
    *,
    num_leapfrog: Count = 10,
    temperature: Positive | tf.Tensor = 1.0,
    seed: Seed,
    log_density_fn: Callable[[tf.Tensor], tf.Tensor] | None = None,
) -> HmcMoved:
    """L times: v ~ N(0, α·I), then K leapfrog steps of length ε along u̇ = v, v̇ = ∇ℓ(u); every particle alone.

    exp(ℓ/α)·N(v; 0, α·I) is constant along the exact motion, and along the leapfrog up to order ε².

    * With `log_density_fn` a Metropolis test accepts moves with probability min(1, exp(ΔH/α)), where
      ΔH = Δℓ − Δ‖v‖²/2, and leaves the target ∝ exp(ℓ/α) exactly stationary. With a good ε it accepts about
      0.65 to 0.9 of the moves.
    * Without it every move is kept, which leaves a bias of order ε²: for N(μ, Λ⁻¹) and α = 1 the stationary
      variance along an eigenvector of Λ with eigenvalue λ is λ⁻¹/(1 − ε²λ/4). At ε ≥ 2/√λ particles diverge.

    A single leapfrog step is a Langevin step of size ε²/2, and MALA with the test.

    ```python
    target = tfd.MultivariateNormalTriL(loc, tril)
    score = lambda u: tfp.math.value_and_gradient(target.log_prob, u)[1]
    moved = hmc(tf.zeros([200, 2]), score, 50, 0.3, seed=0, log_density_fn=target.log_prob)
    ```

    References: Duane et al. 1987, *Hybrid Monte Carlo*; Neal 2011, *MCMC using Hamiltonian dynamics*.

    Args:
      particles: u⁰ `[..., M, A]`, sets of M particles.
      score_fn: Maps particles `[..., M, A]` to their scores ∇ℓ, in the same shape.
      num_steps: L, the number of steps, 0 or more; they compute L·(K + 1) scores.
      step_size: ε, a scalar, the time of a leapfrog step.
      num_leapfrog: K, the number of leapfrog steps per step, 1 or more.
      temperature: α > 0, a scalar, in units of ℓ: the velocities' variance. `langevin` without noise takes 0.
      seed: Integer or int32 `[2]`. The same seed gives the same particles; XLA draws other ones.
      log_density_fn: Maps particles `[..., M, A]` to ℓ `[..., M]`, up to a constant; None skips the test.

    Returns:
      The particles u^L, and how often their moves were accepted.

    Raises:
      ConfigurationError: If a number is out of range or the seed is missing.
    """
    require_shapes(
        ("particles", particles, "... M A"),
        ("step_size", step_size, "", "any"),
        ("temperature", temperature, "", "any"),
    )
    _require_leapfrog(num_leapfrog, step_size)
    u = tf.convert_to_tensor(particles)
    alpha, stream = as_scalar(temperature, u.dtype), as_seed(seed)

    def propose(index: tf.Tensor, u: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Returns (v, u′, v′): velocities drawn anew, and u and v after K leapfrog steps."""
        # Velocities use the even folds of the seed and tests the odd ones, so that no number is drawn twice.
        drawn = tf.random.stateless_normal(tf.shape(u), seed_of_step(stream, 2 * index), dtype=u.dtype)
        # With variance α, exp(ℓ/α)·N(v; 0, α·I) = exp(−H/α), which the exact motion keeps constant.
        velocity = tf.sqrt(alpha) * drawn
        return velocity, *leapfrog(u, velocity, score_fn, num_leapfrog, step_size)

    def move(index: tf.Tensor, u: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """Returns u after K leapfrog steps; the move is kept whatever ΔH is."""
        return (propose(index, u)[1],)

    def test(
        log_density: Callable[[tf.Tensor], tf.Tensor], index: tf.Tensor, u: tf.Tensor, total: tf.Tensor
    ) -> tuple[tf.Tensor, ...]:
        """The Metropolis test: returns u after it, and `total` plus min(1, exp(ΔH/α)) `[..., M]`."""
        before, proposed, after = propose(index, u)
        # The logarithm of the ratio first, then one exp of at most 0: the densities themselves would overflow
        # or vanish, and their ratio be inf/inf or 0/0.
        change = log_density(proposed) - log_density(u)
        # With a last axis of 1, the changes of all particles would be added to the energies of all.
        require_shapes(("particles", u, "... M A"), ("log_density_fn(particles)", change, "... M"))
        kinetic = 0.5 * tf.reduce_sum(tf.square(before) - tf.square(after), axis=-1)
        probability = tf.exp(tf.minimum((change + kinetic) / alpha, 0.0))
        # A move that diverged to inf or NaN is refused. (Comparing with NaN would refuse it too, but leave
        # the mean acceptance NaN.)
        probability = tf.where(tf.math.is_finite(probability), probability, tf.zeros_like(probability))
        uniform = tf.random.stateless_uniform(
            tf.shape(probability), seed_of_step(stream, 2 * index + 1), dtype=u.dtype
        )
        accepted = uniform < probability
        # Selected, not mixed with weights of 0 and 1: a proposal that diverged is inf or NaN, and
        # 0 · inf is NaN.
        return tf.where(accepted[..., tf.newaxis], proposed, u), total + probability

    # Each step computes several scores, so a loop instead of written-out steps keeps the graph small.
    if log_density_fn is None:
        return HmcMoved(repeat(move, (u,), num_steps, unrolled=1)[0], None, None)
    metropolis = log_density_fn
    u, total = repeat(
        lambda *state: test(metropolis, *state), (u, tf.zeros_like(u[..., 0])), num_steps, unrolled=1
    )
    # Without steps the sum is 0, and 0/0 would be NaN.
    return HmcMoved(u, None, total / max(num_steps, 1))


def _require_leapfrog(num_leapfrog: int, step_size: float | tf.Tensor) -> None:
    require_number("num_leapfrog", num_leapfrog, "1 or more", "1 gives Langevin steps.")
    require_number("step_size", step_size, "positive", "Take num_steps=0 to leave the particles in place.")


def leapfrog(
    particles: tf.Tensor,
    velocities: tf.Tensor,
    score_fn: Score,
    num_leapfrog: int,
    step_size: float | tf.Tensor,
) -> tuple[tf.Tensor, tf.Tensor]:
    """K times v += (ε/2)∇ℓ(u), u += ε·v, v += (ε/2)∇ℓ(u): kick, drift, kick.

    The map of (u, v) keeps volumes, and with v reversed it is its own inverse. An Euler step has neither
    property, and its energy drifts.

    Args:
      particles: u `[..., M, A]`, sets of M particles.
      velocities: v `[..., M, A]`, one for each particle.
      score_fn: Maps particles `[..., M, A]` to their scores ∇ℓ, in the same shape.
      num_leapfrog: K, the number of steps, 1 or more.
      step_size: ε, a scalar, the time of a leapfrog step.

    Returns:
      u and v after the steps, in their shapes.
    """
    require_shapes(
        ("particles", particles, "... M A"),
        ("velocities", velocities, "... M A"),
        ("step_size", step_size, "", "any"),
    )
    _require_leapfrog(num_leapfrog, step_size)
    u, v = tf.convert_to_tensor(particles), tf.convert_to_tensor(velocities)
    epsilon = as_scalar(step_size, u.dtype)
    # Half kicks at both ends make the map its own inverse once v is reversed, which the
    # Metropolis test needs of a proposal.
    v = v + 0.5 * epsilon * score_of(score_fn, u)

    def drift_and_kick(index: tf.Tensor, u: tf.Tensor, v: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """u += ε·v, then v += ε∇ℓ(u): a drift and two half kicks."""
        # The second half of a kick and the first half of the next one are at the same place and share a
        # score.
        del index
        u = u + epsilon * v
        return u, v + epsilon * score_of(score_fn, u)

    u, v = repeat(drift_and_kick, (u, v), num_leapfrog - 1)
    u = u + epsilon * v
    return u, v + 0.5 * epsilon * score_of(score_fn, u)
