"""The distribution of particles that SVGD has moved toward a density known by its score."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, NoReturn

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from expol_tf.checks import require_number
from expol_tf.distributions.image import ImageDistribution
from expol_tf.distributions.stein_sampler import SteinSampler
from expol_tf.errors import CapabilityError, ConfigurationError
from expol_tf.samplers import (
    JOINT_CHANGES,
    Curvature,
    directions_of_step,
    kernel_bandwidth,
    score_and_curvature,
    squared_distances,
    svgd_density_change,
    svgd_jacobian,
    svgd_step,
)
from expol_tf.shapes import require_shapes

tfb = tfp.bijectors
tfd = tfp.distributions

SELECTIONS = ("random", "softmax", "argmax")
# Determinants take a matrix for each particle, so they are computed for this many members of the batch only.
_WATCHED = 16


class _Sets(NamedTuple):
    """Particles `[*B, S, M, A]` of S sets, their log q^L `[*B, S, M]`, and statistics of their way."""

    particles: tf.Tensor
    log_prob: tf.Tensor
    statistics: dict[str, tf.Tensor]


class _Way(NamedTuple):
    """A step's particles and scores `[*B, S, M, A]` before it, its factor `[*B, S]`, and ∇²ℓ or None."""

    particles: tf.Tensor
    score: tf.Tensor
    factor: tf.Tensor
    curvature: Curvature | None


def _stacked(way: Sequence[_Way]) -> _Way:
    """The steps one after the other, as a leading dimension."""
    curvatures = [step.curvature for step in way if step.curvature is not None]
    curvature = Curvature(*map(tf.stack, zip(*curvatures, strict=True))) if curvatures else None
    particles, scores, factors = (tf.stack(parts) for parts in list(zip(*way, strict=True))[:3])
    return _Way(particles, scores, factors, curvature)


class SteinDistribution(ImageDistribution):
    """a = bijector(u^L): particles u⁰ ~ q⁰, moved by L steps of SVGD toward the density ∝ exp(ℓ/α).

    A set of M particles moves together. M samples, or a multiple of M, are whole sets; a single sample is one
    particle of a set. All particles have the same distribution, but those of a set repel each other: they are
    not independent.

    The density of samples has a closed form (`experimental_sample_and_log_prob`, `entropy`),

        log π(a) = log q⁰(u⁰) + Σ_l change_l − log|∂bijector/∂u|,

    with the change that `SteinSampler.density_change` names, see `expol_tf.samplers.svgd`. By default it is a
    particle's share of the density of the whole set. So only its mean over a set means something: minus that
    mean is the joint entropy per particle, a **lower bound** of the entropy of one sample. It is close where
    particles are nearly independent, and far below where few dimensions make them repel each other. There is
    no `log_prob` of other actions.

    With a range, q⁰ is truncated at μ ± tσ, and its density is normalized on that range. Particles that leave
    it later are dropped. The others then have the density q^L/P(stay), and have been moved by those dropped;
    the density ignores both, and the statistics tell the share that leaves. Particles are not clipped to the
    range, as a clip has no inverse.

    Samples are reparameterized: gradients flow through all steps to q⁰ and through the scores, but not by way
    of the kernel's width.

    ```python
    start = tfd.MultivariateNormalDiag(tf.zeros([5, 2]), tf.ones([5, 2]))
    sampler = SteinSampler(num_particles=50, num_sampler_steps=100, range=None)
    posterior = SteinDistribution(start, lambda u: -(u - 1.0) / 0.25, sampler)
    draws, log_prob = posterior.experimental_sample_and_log_prob(50, seed=seed)  # [50, 5, 2], [50, 5]
    ```

    Reference: Messaoud et al. 2024, *S²AC: Energy-Based Reinforcement Learning with Stein Soft Actor Critic*,
    §3.1, Eq. 9 and 11. See `docs/errata.md` on Eq. 9.

    Args:
      base: q⁰, a `MultivariateNormalDiag` `[*B, A]`.
      score: Function that returns ∇ℓ of particles, both `[*B, R, A]`, for any number R of particles.
      sampler: How particles are drawn and moved; `SteinSampler()` by default.
      temperature: α, scalar, or a function that returns it.
      value: Function that returns ℓ or another value `[*B, R]` of particles, by which `greedy_action` and
        `select` choose; None for no choice.
      bijector: The map from u to actions, a `Squash` usually; None where u is the action.
    """

    def __init__(
        self,
        base: tfd.MultivariateNormalDiag,
        score: Callable[[tf.Tensor], tf.Tensor],
        sampler: SteinSampler | None = None,
        temperature: float | tf.Tensor | Callable[[], tf.Tensor] = 1.0,
        value: Callable[[tf.Tensor], tf.Tensor] | None = None,
        bijector: tfb.Bijector | None = None,
        name: str = "SteinDistribution",
    ) -> None:
        parameters = dict(locals())
        with tf.name_scope(name) as name:
            if not isinstance(base, tfd.MultivariateNormalDiag):
                raise ConfigurationError(
                    "base must be a MultivariateNormalDiag, whose range is known; got a "
                    f"{type(base).__name__}."
                )
            if not callable(temperature):
                per_temperature = sampler is not None and sampler.step == "per_temperature"
                rule = "positive" if per_temperature else "0 or more"
                require_number("temperature", temperature, rule, "With 1 the target is exp(ℓ) itself.")
            self._base = base
            self._score = score
            self._sampler = SteinSampler() if sampler is None else sampler
            # A tensor among the parameters would count as one with a batch in TF-Agents; a function does not.
            self._temperature = temperature
            self._value = value
            super().__init__(base.dtype, bijector, parameters, name)

    @classmethod
    def _parameter_properties(cls, dtype: tf.DType, num_classes: int | None = None) -> dict[str, Any]:
        return dict(base=tfp.util.BatchedComponentProperties())

    @property
    def base(self) -> tfd.MultivariateNormalDiag:
        """q⁰, not truncated to the range."""
        return self._base

    @property
    def sampler(self) -> SteinSampler:
        """How particles are drawn and moved."""
        return self._sampler

    @property
    def declared_capabilities(self) -> tuple[str, ...]:  # type: ignore[override]
        """Samples with their densities and, with a `value`, a greedy action."""
        known = (*ImageDistribution.declared_capabilities, "sample_and_log_prob")
        return known if self._value is None else (*known, "greedy_action")

    def greedy_action(self) -> tf.Tensor:
        """Returns the action `[*B, A]` of the particle with the highest value in a set from fixed noise.

        The noise is the same for all members of the batch, and its first row is 0, so that the image of μ is
        among the candidates.

        Raises:
          CapabilityError: If the distribution was made without `value`.
        """
        sampler = self._sampler
        size = [sampler.num_particles + sampler.num_spares, int(self.event_shape[0])]
        uniform = np.random.default_rng(0).uniform(size=size)
        uniform[0] = 0.5
        noise = tf.cast(self._noise(tf.constant(uniform)), self.dtype)
        shape = tf.concat([tf.shape(self._base.mean())[:-1], [1], size], 0)
        sets = self._move(tf.broadcast_to(noise, shape))
        return self._to_action(self._chosen(sets.particles, "argmax", None))

    def select(self, rule: str = "random", seed: Any = None) -> tf.Tensor:
        """Draws a set and returns the action `[*B, A]` of one of its particles.

        Args:
          rule: "random"; "softmax", with probabilities ∝ exp(value/α); or "argmax", the highest value.
          seed: A stateless seed, int32 `[2]`, for the set and the choice.

        Raises:
          CapabilityError: If the rule needs a value and the distribution was made without.
        """
        if rule not in SELECTIONS:
            raise ConfigurationError(f"selection must be one of {SELECTIONS}; got {rule!r}.")
        seed = tfp.random.sanitize_seed(seed, salt="stein")
        if rule == "random":
            return self.sample(seed=seed)
        draw_seed, choice_seed = tf.unstack(tf.random.experimental.stateless_split(seed, 2))
        return self._to_action(self._chosen(self._draw(1, draw_seed).particles, rule, choice_seed))

    def sample_with_statistics(
        self, num_samples: int, seed: Any = None
    ) -> tuple[tf.Tensor, tf.Tensor, Mapping[str, tf.Tensor]]:
        """Draws actions `[num_samples, *B, A]`, their log π `[num_samples, *B]`, and statistics of their way.

        These statistics are `[*B]`, means over particles before the bijector:

        * `particle_spread`: standard deviation of a set's particles at the end, averaged over components;
        * `displacement`: ‖u^L − u⁰‖;
        * `dropped_share`: share of the particles that left the range;
        * `limited_share`: share of the steps that were shortened to `SteinSampler.step_limit`;
        * `score_norm`: ‖∇ℓ(u⁰)‖;

        These are scalars, computed from the first members of the batch:

        * `smallest_determinant`: the least det J of all steps and particles, with the neighbours frozen and
          the own (ε/M)·∇²ℓ left out;
        * `folded_share`: share of steps and particles with det J ≤ 0. There the map has no inverse, and the
          density is wrong.

        With "joint_trace" and "joint_logdet" there is another one, of all members:

        * `largest_curvature`: the largest (ε/M)·‖∇²ℓ(u)‖ of a step, the Frobenius norm or its estimate from
          the random directions. Near 1 a particle's own score folds the map. "joint_trace" is a bound, up to
          0.07 nats a step, where this is below 0.5.

        Args:
          num_samples: Number of actions for each member of the batch.
          seed: A stateless seed, int32 `[2]`.
        """
        require_number("num_samples", num_samples, "1 or more")
        num_sets = -(-num_samples // self._sampler.num_particles)
        sets = self._draw(num_sets, seed, with_density=True, with_statistics=True)
        u, log_prob = self._flat(sets.particles, num_samples), self._flat(sets.log_prob, num_samples)
        return self._to_action(u), self._action_log_prob(u, log_prob), sets.statistics

    def _event_shape(self) -> tf.TensorShape:
        return self._base.event_shape

    def _event_shape_tensor(self) -> tf.Tensor:
        return self._base.event_shape_tensor()

    def _sample_n(self, n: Any, seed: Any = None) -> tf.Tensor:
        return self._to_action(self._flat(self._draw(self._num_sets(n), seed).particles, n))

    def _sample_and_log_prob(
        self, sample_shape: Any, seed: Any, **kwargs: Any
    ) -> tuple[tf.Tensor, tf.Tensor]:
        shape = tf.convert_to_tensor(sample_shape, tf.int32)
        fixed = tf.get_static_value(shape)
        n = tf.reduce_prod(shape) if fixed is None else int(np.prod(fixed))
        sets = self._draw(self._num_sets(n), seed, with_density=True)
        u, log_prob = self._flat(sets.particles, n), self._flat(sets.log_prob, n)
        action, log_prob = self._to_action(u), self._action_log_prob(u, log_prob)

        def _shaped(values: tf.Tensor) -> tf.Tensor:
            rest = values.shape[1:] if values.shape[1:].is_fully_defined() else tf.shape(values)[1:]
            return tf.reshape(values, tf.concat([tf.reshape(shape, [-1]), rest], 0))

        return _shaped(action), _shaped(log_prob)

    def _entropy(self, seed: Any = None) -> tf.Tensor:
        if seed is None:
            # TFP's callers give entropy() no seed. A fixed one keeps it a function of the distribution alone.
            seed = tf.zeros([2], tf.int32)
        _, log_prob, _ = self.sample_with_statistics(self._sampler.num_particles, seed)
        return -tf.reduce_mean(log_prob, axis=0)

    def _log_prob(self, value: tf.Tensor) -> NoReturn:
        raise CapabilityError(
            "log_prob: SteinDistribution knows the density of its own samples only. Take it from "
            "experimental_sample_and_log_prob."
        )

    def __getitem__(self, slices: Any) -> NoReturn:
        raise CapabilityError(
            "slices: the score of a SteinDistribution is a function of the whole batch. Make the "
            "distribution of the part that is needed."
        )

    def _alpha(self) -> tf.Tensor:
        alpha = self._temperature() if callable(self._temperature) else self._temperature
        return self._scalar(alpha)

    def _scalar(self, value: Any) -> tf.Tensor:
        # tf.cast would first make a float32 of a Python number, also where the dtype is float64.
        return tf.cast(value, self.dtype) if tf.is_tensor(value) else tf.constant(value, self.dtype)

    def _num_sets(self, n: Any) -> Any:
        fixed = tf.get_static_value(n)
        return -(-(n if fixed is None else int(fixed)) // self._sampler.num_particles)

    def _draw(
        self, num_sets: Any, seed: Any, with_density: bool = False, with_statistics: bool = False
    ) -> _Sets:
        """Draws sets of particles and moves them."""
        sampler, base = self._sampler, self._base
        total = sampler.num_particles + sampler.num_spares
        # Of its own stream, so that particles do not depend on whether their density is asked for.
        probe_seed = tfp.random.sanitize_seed(seed, salt="stein_probes") if with_density else None
        if sampler.range is None:
            # As the base draws them: without steps this is the base, to the last bit.
            u, log_prob = base.experimental_sample_and_log_prob(num_sets * total, seed=seed)
            start, log_prob = self._in_sets(u, total), self._in_sets(log_prob, total)
            return self._move_from(start, log_prob, probe_seed, with_statistics)
        seed = tfp.random.sanitize_seed(seed, salt="stein")
        mean = base.mean()
        shape = tf.concat([tf.shape(mean)[:-1], [num_sets, total], tf.shape(mean)[-1:]], 0)
        noise = self._noise(tf.random.stateless_uniform(shape, seed, dtype=self.dtype))
        noise = tf.ensure_shape(noise, [*mean.shape[:-1], None, total, mean.shape[-1]])
        return self._move(noise, probe_seed, with_statistics)

    def _noise(self, uniform: tf.Tensor) -> tf.Tensor:
        """Standard Gaussian noise within the range, from uniform numbers in [0, 1)."""
        # By the inverse distribution function: drawing again until all are inside would take a loop.
        # erfc, because 1 − erf would cancel where the range is wide.
        outside = 0.0 if self._sampler.range is None else math.erfc(self._sampler.range / math.sqrt(2.0)) / 2
        # ndtri(0) = −∞.
        smallest = max(outside, float(np.finfo(uniform.dtype.as_numpy_dtype).tiny))
        return tf.math.ndtri(smallest + (1.0 - 2.0 * outside) * uniform)

    def _move(self, noise: tf.Tensor, probe_seed: Any = None, with_statistics: bool = False) -> _Sets:
        """Moves μ + σ·noise, noise `[*B, S, M, A]`."""
        mean, std = self._mean_and_std()
        constant = 0.5 * math.log(2.0 * math.pi)
        if self._sampler.range is not None:
            # Each component's density is divided by its mass within the range, erf(t/√2).
            constant += math.log(math.erf(self._sampler.range / math.sqrt(2.0)))
        # From the noise itself: of μ + σ·noise, (u − μ)/σ is the noise with the rounding errors of u.
        log_prob = -tf.reduce_sum(0.5 * tf.square(noise) + tf.math.log(std) + constant, axis=-1)
        return self._move_from(mean + std * noise, log_prob, probe_seed, with_statistics)

    def _mean_and_std(self) -> tuple[tf.Tensor, tf.Tensor]:
        """μ and σ of q⁰ `[*B, 1, 1, A]`."""
        mean, std = self._base.mean(), self._base.stddev()
        return mean[..., tf.newaxis, tf.newaxis, :], std[..., tf.newaxis, tf.newaxis, :]

    def _move_from(
        self, start: tf.Tensor, log_prob: tf.Tensor, probe_seed: Any, with_statistics: bool
    ) -> _Sets:
        """Moves sets of particles `[*B, S, M, A]` whose log q⁰ is given; without a seed it stays log q⁰."""
        sampler = self._sampler
        # If the size of the batch is unknown, TFP's means do not know their other sizes either.
        total = sampler.num_particles + sampler.num_spares
        u = start = tf.ensure_shape(start, [*self.batch_shape, start.shape[-3], total, *self.event_shape])
        stays, score_norm, determinants = None, tf.zeros_like(log_prob), []
        way: list[_Way] = []
        before: _Way | None = None
        mean, std = self._mean_and_std()
        alpha = self._alpha()
        # The repulsion α∇k grows with α: at α = 20 plain steps of 0.01 fold the map already.
        step_size = sampler.step_size / alpha if sampler.step == "per_temperature" else sampler.step_size
        density_change = None if probe_seed is None else sampler.density_change
        kernel = {"temperature": alpha, "bandwidth": sampler.bandwidth, "floor": sampler.floor}
        for index in range(sampler.num_sampler_steps):
            score, curvature = self._scores(u, density_change, probe_seed, index)
            if index == 0:
                score_norm = tf.norm(tf.stop_gradient(score), axis=-1)
            step = svgd_step(u, score, step_size, step_limit=sampler.step_limit, **kernel)
            way.append(_Way(u, score, step.factor, curvature))
            if with_statistics:  # Not when acting, which XLA compiles: it has no determinants.
                determinants.append(self._determinants(u, score, step_size, step.factor, alpha))
            u = step.particles
            if sampler.range is not None:
                inside = tf.reduce_all(tf.abs(u - mean) <= sampler.range * std, axis=-1)
                stays = inside if stays is None else stays & inside
        if way and density_change is not None:
            # For all steps at once: the graph is a fraction of that of one by one.
            before = _stacked(way)
            changes = svgd_density_change(
                before.particles,
                before.score,
                step_size,
                density_change,
                factor=None if sampler.step_limit is None else before.factor,
                curvature=before.curvature,
                curvature_gradient=sampler.curvature_gradient,
                **kernel,
            )
            log_prob += tf.reduce_sum(changes, axis=0)
        ends, statistics = u, {}
        dropped = tf.zeros_like(log_prob) if stays is None else 1.0 - tf.cast(stays, self.dtype)
        if stays is not None:
            kept = _survivors(stays, sampler.num_particles)
            batch_dims = kept.shape.rank - 1
            u = tf.gather(u, kept, batch_dims=batch_dims)
            log_prob = tf.gather(log_prob, kept, batch_dims=batch_dims)
        elif sampler.num_spares:
            u, log_prob = u[..., : sampler.num_particles, :], log_prob[..., : sampler.num_particles]
        if with_statistics:
            statistics = {
                "particle_spread": tf.reduce_mean(tf.math.reduce_std(u, axis=-2), axis=[-2, -1]),
                "displacement": tf.reduce_mean(tf.norm(ends - start, axis=-1), axis=[-2, -1]),
                "dropped_share": tf.reduce_mean(dropped, axis=[-2, -1]),
                "score_norm": tf.reduce_mean(score_norm, axis=[-2, -1]),
            }
            limited = [tf.reduce_mean(tf.cast(step.factor < 1, self.dtype), axis=-1) for step in way]
            statistics["limited_share"] = (
                tf.add_n(limited) / len(limited) if limited else tf.zeros_like(statistics["score_norm"])
            )
            if density_change in JOINT_CHANGES:
                largest = (
                    tf.zeros([], self.dtype) if before is None else self._curvature_of(before, step_size)
                )
                statistics["largest_curvature"] = largest
            stacked = tf.stack(determinants) if determinants else tf.ones([1], self.dtype)
            statistics["smallest_determinant"] = tf.reduce_min(stacked)
            statistics["folded_share"] = tf.reduce_mean(tf.cast(stacked <= 0, self.dtype))
        return _Sets(u, log_prob, {name: tf.stop_gradient(value) for name, value in statistics.items()})

    def _scores(
        self, u: tf.Tensor, density_change: str | None, probe_seed: Any, index: int
    ) -> tuple[tf.Tensor, Curvature | None]:
        """∇ℓ of the particles, and ∇²ℓ along the step's directions if the density needs it."""
        sampler, curvature = self._sampler, None
        score_fn = functools.partial(self._of_sets, "score", self._score, True)
        if density_change not in JOINT_CHANGES:
            score = score_fn(u)
        else:
            directions = directions_of_step(u, sampler.probes_of(u.shape[-1]), probe_seed, index)
            score, curvature = score_and_curvature(score_fn, u, directions)
        if not sampler.score_gradient:
            score = tf.stop_gradient(score)
        return score, curvature

    def _curvature_of(self, steps: _Way, step_size: Any) -> tf.Tensor:
        """The largest (ε/M)·‖∇²ℓ(u)‖_F of the particles of stacked steps, a scalar."""
        assert steps.curvature is not None, "of a joint density"
        # E ‖∇²ℓ·v‖² is the squared norm.
        squares = tf.reduce_mean(tf.reduce_sum(tf.square(steps.curvature.products), axis=-1), axis=-2)
        scale = self._scalar(step_size) * steps.factor / steps.particles.shape[-2]
        return tf.reduce_max(scale * tf.sqrt(tf.reduce_max(squares, axis=-1)))

    def _determinants(
        self, u: tf.Tensor, score: tf.Tensor, step_size: Any, factor: tf.Tensor, alpha: tf.Tensor
    ) -> tf.Tensor:
        """det J of the particles of the first members of the batch, with their neighbours frozen."""
        shape = [-1, *u.shape[-2:]]
        u, score = (tf.reshape(tf.stop_gradient(values), shape)[:_WATCHED] for values in (u, score))
        width = kernel_bandwidth(squared_distances(u), self._sampler.bandwidth, floor=self._sampler.floor)
        factor = tf.reshape(factor, [-1])[:_WATCHED]
        return tf.linalg.det(svgd_jacobian(u, score, step_size, alpha, width, factor))

    def _chosen(self, particles: tf.Tensor, rule: str, seed: Any) -> tf.Tensor:
        """Chooses one of the particles `[*B, 1, M, A]` for each member of the batch, `[*B, A]`."""
        if self._value is None:
            raise CapabilityError(
                "value: SteinDistribution was made without one, and so cannot tell which of its particles is "
                'the best. Pass value=…, or choose with select("random").'
            )
        value = self._of_sets("value", self._value, False, particles)[..., 0, :]
        if rule == "argmax":
            index = tf.argmax(value, axis=-1, output_type=tf.int32)
        else:
            logits = value / self._alpha()
            flat = tf.reshape(logits, [-1, logits.shape[-1]])
            index = tf.random.stateless_categorical(flat, 1, seed, dtype=tf.int32)
            index = tf.reshape(index, tf.shape(value)[:-1])
        return tf.gather(particles[..., 0, :, :], index, batch_dims=index.shape.rank)

    def _of_sets(
        self, name: str, function: Callable[[tf.Tensor], tf.Tensor], vector: bool, u: tf.Tensor
    ) -> tf.Tensor:
        """Calls a function of particles `[*B, R, A]`, a vector or a number, with those of `[*B, S, M, A]`."""
        num_particles, size = u.shape[-2:]
        rows = -1 if u.shape[-3] is None else u.shape[-3] * num_particles
        flat = tf.reshape(u, tf.concat([tf.shape(u)[:-3], [rows, size]], 0))
        flat = tf.ensure_shape(flat, [*u.shape[:-3], None if rows == -1 else rows, size])
        result = function(flat)
        # Another order of the same number of values would be taken for particles of other members.
        require_shapes(
            ("particles", flat, "... R A"), (f"{name}(particles)", result, f"... R{' A' * vector}")
        )
        rest = [size] if vector else []
        return tf.reshape(result, tf.concat([tf.shape(u)[:-1], rest], 0))

    def _in_sets(self, values: tf.Tensor, total: int) -> tf.Tensor:
        """`[S·M, *B, …]`, TFP's order, as `[*B, S, M, …]`."""
        batch = self.batch_shape.rank
        rest = list(range(batch + 1, values.shape.rank))
        values = tf.transpose(values, [*range(1, batch + 1), 0, *rest])
        shape = tf.shape(values)
        return tf.reshape(values, tf.concat([shape[:batch], [-1, total], shape[batch + 1 :]], 0))

    def _flat(self, values: tf.Tensor, num_samples: Any) -> tf.Tensor:
        """`[*B, S, M, …]` as `[num_samples, *B, …]`."""
        batch = self.batch_shape.rank
        shape = tf.shape(values)
        values = tf.reshape(values, tf.concat([shape[:batch], [-1], shape[batch + 2 :]], 0))
        rest = list(range(batch + 1, values.shape.rank))
        return tf.transpose(values, [batch, *range(batch), *rest])[:num_samples]

    def _action_log_prob(self, latent: tf.Tensor, log_prob: tf.Tensor) -> tf.Tensor:
        if self._bijector is None:
            return log_prob
        return log_prob - self._bijector.forward_log_det_jacobian(latent, event_ndims=1)


def _survivors(stays: tf.Tensor, count: int) -> tf.Tensor:
    """Indices `[…, count]` of those that stayed `[…, M]`, in order, over and over if they are too few."""
    # By sorting, as their number differs from set to set and a tensor has one size: those that stayed come
    # first, in their order, since the sort is stable.
    order = tf.argsort(tf.cast(~stays, tf.int32), axis=-1, stable=True)
    num_staying = tf.reduce_sum(tf.cast(stays, tf.int32), axis=-1, keepdims=True)
    num_staying = tf.where(num_staying == 0, stays.shape[-1], num_staying)
    return tf.gather(order, tf.range(count) % num_staying, batch_dims=order.shape.rank - 1)
