"""Langevin dynamics, with and without noise."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from expol_tf.configurable import configurable
from expol_tf.errors import ConfigurationError
from expol_tf.number_types import NonNegative, Positive, WholeNumber
from expol_tf.random import Seed, as_seed, seed_of_step
from expol_tf.samplers.joint_density import Score, as_scalar, score_of
from expol_tf.samplers.moved import Moved, repeat_steps
from expol_tf.samplers.svgd import require_scales
from expol_tf.shapes import require_shapes

# Of one particle alone.
_DENSITY_CHANGES = ("trace", "logdet")


@configurable
def langevin(
    particles: tf.Tensor,
    score_fn: Score,
    num_steps: WholeNumber,
    step_size: Positive | tf.Tensor,
    *,
    temperature: NonNegative | tf.Tensor = 1.0,
    noise: bool = True,
    seed: Seed | None = None,
    density_change: str | None = None,
) -> Moved:
    """L times u ← u + ε∇ℓ(u) + √(2εα)·ξ, ξ ~ N(0, I), toward the density ∝ exp(ℓ/α); every particle alone.

    * With noise (SGLD) the particles become samples of the target as ε → 0 and L → ∞. There is no Metropolis
      test, so they keep a bias of order ε: for N(μ, Λ⁻¹) and α = 1 the stationary variance along an
      eigenvector of Λ with eigenvalue λ is λ⁻¹/(1 − ελ/2), and at ε ≥ 2/λ they diverge. (`hmc` with a single
      leapfrog step of length √(2ε) is the same step with the test: MALA.)
    * Without noise (DLD) the steps are gradient ascent to the nearest mode of ℓ, whatever α. Each step is a
      map of one particle with Jacobian J = I + ε∇²ℓ(u), so the density of particles drawn from q⁰ is known
      while det J > 0: log q^L(u^L) = log q⁰(u⁰) + change, with the change per step
        - "trace": −ε·tr ∇²ℓ(u), with an error of order ε²;
        - "logdet": −log|det J| (not where XLA compiles for the CPU).
      It is the density of the moved particles, a peak at the mode, and not the target's.

    ε multiplies the whole gradient, as in Eq. 12 of S²AC. Where steps are written (η/2)∇ℓ + √η·ξ, η = 2ε.

    ```python
    target = tfd.MultivariateNormalTriL(loc, tril)
    score = lambda u: tfp.math.value_and_gradient(target.log_prob, u)[1]
    moved = langevin(tf.zeros([200, 2]), score, num_steps=500, step_size=0.05, seed=0)
    ```

    Reference: Welling & Teh 2011, *Bayesian Learning via Stochastic Gradient Langevin Dynamics*; Messaoud et
    al. 2024, *S²AC*, Eqs. 10, 12 and 13.

    Args:
      particles: u⁰ `[..., M, A]`, sets of M particles.
      score_fn: Maps particles `[..., M, A]` to their scores ∇ℓ, in the same shape; each score may depend on
        its own particle only.
      num_steps: L, the number of steps, 0 or more.
      step_size: ε, a scalar, in units of u² over those of ℓ.
      temperature: α ≥ 0, a scalar, in units of ℓ.
      noise: Whether ξ is added.
      seed: Seed of the noise, an integer or int32 `[2]`. The same seed gives the same particles; XLA draws
        other ones.
      density_change: "trace", "logdet", or None to leave out the change. It differentiates the score, by A
        vector-Jacobian products per step.

    Returns:
      The particles u^L and the change `[..., M]` or None, with gradients to u⁰ and through the scores.

    Raises:
      ConfigurationError: If noise has no seed, or a density change is unknown or asked for with noise.
    """
    require_shapes(
        ("particles", particles, "... M A"),
        ("step_size", step_size, "", "any"),
        ("temperature", temperature, "", "any"),
    )
    require_scales(step_size, temperature)
    if density_change is not None and density_change not in _DENSITY_CHANGES:
        raise ConfigurationError(
            f"density_change must be one of {_DENSITY_CHANGES} or None; got {density_change!r}."
        )
    if noise and density_change is not None:
        raise ConfigurationError(
            f"density_change must be None with noise; got {density_change!r}. A step with noise is no map of "
            "the particle: it can end anywhere from any place, and the determinant knows nothing of the "
            "density that noise spreads. Set noise=False, or use svgd."
        )
    u = tf.convert_to_tensor(particles)
    epsilon = as_scalar(step_size, u.dtype)
    # The noise has variance 2εα: with the drift ε∇ℓ that is what makes exp(ℓ/α) stationary as ε → 0.
    spread = tf.sqrt(2.0 * epsilon * as_scalar(temperature, u.dtype))
    stream = as_seed(seed) if noise else None

    def step(index: tf.Tensor, u: tf.Tensor) -> Moved:
        """Returns u + ε∇ℓ(u), plus √(2εα)·ξ with noise, and the change of log q where it is asked for."""
        if stream is not None:
            drawn = tf.random.stateless_normal(tf.shape(u), seed_of_step(stream, index), dtype=u.dtype)
            return Moved(u + epsilon * score_of(score_fn, u) + spread * drawn, None)
        if density_change is None:
            return Moved(u + epsilon * score_of(score_fn, u), None)
        score, hessian = particle_jacobian(score_fn, u)
        if density_change == "trace":
            # log det(I + ε∇²ℓ) = ε·tr ∇²ℓ + O(ε²).
            change = -epsilon * tf.linalg.trace(hessian)
        else:
            jacobian = tf.eye(u.shape[-1], dtype=u.dtype) + epsilon * hessian
            # The logarithm directly: in single precision a determinant of many components can
            # overflow or vanish.
            change = -tf.linalg.slogdet(jacobian).log_abs_determinant
        return Moved(u + epsilon * score, change)

    return repeat_steps(step, u, num_steps, with_change=density_change is not None)


def particle_jacobian(
    fn: Callable[[tf.Tensor], tf.Tensor], particles: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """f(u) `[..., M, A]` and ∂f/∂u `[..., M, A, A]` of every particle, by A vector-Jacobian products.

    Row i of ∂f/∂u is the gradient of component i of f. If f is a score, this is the Hessian ∇²ℓ.

    Args:
      fn: Maps particles `[..., M, A]` to as many vectors. Each vector may depend on its own particle only;
        otherwise a row holds the derivatives of the sum over all particles.
      particles: u `[..., M, A]`, sets of M particles.
    """
    require_shapes(("particles", particles, "... M A"))
    u = tf.convert_to_tensor(particles)
    # Persistent, as it is differentiated once for each of the A components.
    with tf.GradientTape(persistent=True, watch_accessed_variables=False) as tape:
        tape.watch(u)
        value = fn(u)
        require_shapes(("particles", u, "... M A"), ("fn(particles)", value, "... M A"))
        components = tf.unstack(value, num=u.shape[-1], axis=-1)
    # A component that does not depend on u has no gradient, which means 0 here.
    zero = tf.UnconnectedGradients.ZERO
    # `gradient` adds over particles, but each vector depends on its own particle only, so no terms mix.
    rows = [tape.gradient(component, u, unconnected_gradients=zero) for component in components]
    return value, tf.stack(rows, axis=-2)
