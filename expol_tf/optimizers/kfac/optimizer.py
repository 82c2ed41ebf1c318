"""Natural-gradient ascent with a Kronecker-factored Fisher matrix."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import tensorflow as tf

from expol_tf.configurable import configurable
from expol_tf.errors import ConfigurationError
from expol_tf.number_types import Count, Decay, Positive, WholeNumber
from expol_tf.optimizers.conjugate_gradient import conjugate_gradient
from expol_tf.optimizers.constraints import is_constrained, project
from expol_tf.optimizers.fisher import fisher_product, sample_weights
from expol_tf.optimizers.flat import unflatten
from expol_tf.optimizers.kfac.factors import KroneckerFactors
from expol_tf.optimizers.kfac.plan import KfacCoverage, KfacPlan, make_plan, variable_names
from expol_tf.replicas import compiled, divided, sum_over_parts

# So many of the first batches replace the running factors; after n batches they are a mean over about n / 10.
_FOLLOWED = 10.0


class KfacReport(NamedTuple):
    """Scalars of one step.

    Attributes:
      objective: Before the step.
      trust_region_scale: η, 1 where the step was short enough; 0 where it was not finite, and not taken.
      predicted_kl: ½ lr²η²⟨∇, Δ⟩, the divergence of the step ηΔ, before momentum and without constraints.
      gradient_norm: ‖∇‖.
      cg_residual: ‖(F + d·I)x − ∇‖ of the exact block; 0 where there is none.
    """

    objective: tf.Tensor
    trust_region_scale: tf.Tensor
    predicted_kl: tf.Tensor
    gradient_norm: tf.Tensor
    cg_residual: tf.Tensor


class _Measured(NamedTuple):
    objective: tf.Tensor
    gradients: list[tf.Tensor]  # Of the layers, [I, J], then of the exact block, [P], if there is one.
    exact_solution: list[tf.Tensor]  # One vector [P], or none.
    cg_residual: tf.Tensor
    finite: tf.Tensor


@configurable
class Kfac(tf.Module):
    """θ ← θ + lr·v, v ← m·v + (1 − m)·ηΔ, Δ = (F̂ + d·I)⁻¹∇, η = min(1, √(2·clip_kl / (lr²⟨∇, Δ⟩))).

    Ascends an objective along its natural gradient. F̂ is block diagonal: a block A ⊗ G for each dense layer,
    A = E[āāᵀ] of its input (with a homogeneous 1 where it has a bias, whose gradient is then the last row
    of the kernel's) and G = E[ggᵀ] of the gradient of log π by its pre-activation; and one exact block for
    everything else.

    *Layers* are found in the graph of log π. Any model made of `keras.layers.Dense` will do: Sequential,
    functional or subclassed models, networks of TF-Agents, shared layers, and products `x @ w + b` of plain
    variables. Inputs may have any rank; their first axis is that of the samples. Where a layer is evaluated
    more than once at one input, its g are added before the outer product. Where it sees T inputs per sample,
    A is summed over them and G is their mean.

    *All other variables* (log standard deviations, normalization, convolutions, stacked kernels, whatever is
    read in a loop or in a `tf.function` that log π calls) form one block together, for which
    (F + d·I)x = ∇ is solved with the batch's exact Fisher matrix, by conjugate gradients that do not form it.
    `coverage` names both kinds. With `cg_iterations=0` such variables are refused by name instead.

    A and G (`factors` holds a `KroneckerFactors` for each layer of `coverage`) are running means, in which
    the n-th batch has the weight max(1 − ρ, min(10/n, 1)), ρ the factor decay to the power of the factor
    interval. They are decomposed every `eigen_interval` steps, and in the first `eigen_interval` steps
    whenever a batch enters them: an output layer that begins near 0 grows so fast that the curvature of the
    layers before it changes a thousandfold within ten steps. A batch whose objective, gradient or statistics
    are not finite changes nothing.

    Variables with a Keras `constraint` are projected by it after a step. η and the predicted divergence are
    those of the step without the projection; a warning says so when such variables are given.

    Example:

    ```python
    kfac = Kfac(learning_rate=0.03)
    kfac.build(model.trainable_variables, lambda: policy(observation).log_prob(action))
    print(kfac.coverage)

    def evaluate(batch):
        observation, action, advantage = batch
        log_prob = policy(observation).log_prob(action)
        return tf.reduce_mean(log_prob * advantage), log_prob

    @tf.function
    def update(observation, action, advantage):
        return kfac.step(evaluate, (observation, action, advantage))
    ```

    References: Martens & Grosse 2015, *Optimizing Neural Networks with Kronecker-factored Approximate
    Curvature*, §3–6; Wu et al. 2017, *Scalable trust-region method for deep reinforcement learning using
    Kronecker-factored approximation*, §3. The factor 2 in η and the factor 1 − m are not in the code released
    with the latter; see `docs/errata.md`.

    Args:
      learning_rate: lr to begin with. The variable `learning_rate` holds it, and may be assigned.
      damping: d, which is added to F̂'s diagonal.
      clip_kl: Largest predicted divergence of a step, ½ lr²ΔᵀF̂Δ, in nats.
      momentum: m, between 0 and 1.
      factor_decay: Weight of the past in the running factors, per step, in the long run.
      factor_interval: Every so many steps a batch enters the running factors, which is the larger part of a
        step's cost.
      eigen_interval: Every so many steps the factors are decomposed, once as many steps are done.
      cg_iterations: Conjugate-gradient iterations for the exact block. 0 refuses variables that need it.
      jit_compile: Whether XLA compiles everything but the eigendecompositions, which it makes slow.
    """

    def __init__(
        self,
        learning_rate: Positive = 0.03,
        damping: Positive = 1e-2,
        clip_kl: Positive = 0.01,
        momentum: Decay = 0.9,
        factor_decay: Decay = 0.99,
        factor_interval: Count = 1,
        eigen_interval: Count = 10,
        cg_iterations: WholeNumber = 10,
        jit_compile: bool = True,
    ) -> None:
        super().__init__(name="Kfac")
        self.learning_rate = tf.Variable(
            learning_rate, trainable=False, dtype=tf.float32, name="learning_rate"
        )
        self._damping = damping
        self._clip_kl = clip_kl
        self._momentum = momentum
        self._factor_decay = factor_decay
        self._factor_interval = factor_interval
        self._eigen_interval = eigen_interval
        self._cg_iterations = cg_iterations
        self._jit_compile = jit_compile
        self._plan: KfacPlan | None = None
        self._updates = tf.Variable(0, trainable=False, dtype=tf.int64, name="updates")

    def build(self, variables: Sequence[tf.Variable], log_prob: Callable[[], tf.Tensor]) -> None:
        """Finds the layers and creates the state for them; to be called once, before any `step`.

        Args:
          variables: The variables to move, all of one floating type.
          log_prob: Computes log π `[N]` of some example, N ≥ 2, as `step` will; it is traced, not run.

        Raises:
          ConfigurationError: If log π does not depend on a variable, or if one is not part of a dense layer
            and `cg_iterations=0`.
        """
        if self._plan is not None:
            raise ConfigurationError(
                "Kfac: it holds the state for one model, and was given a second one. Make one for each."
            )
        plan = make_plan(variables, log_prob)
        if plan.rest and self._cg_iterations == 0:
            raise ConfigurationError(
                "variables: with cg_iterations=0 each must be the kernel or the bias of dense layers and "
                f"nothing else; these are not: {variable_names(plan.rest)}. Use keras.layers.Dense for them, "
                "leave them out, or give cg_iterations: they get the exact Fisher matrix."
            )
        constrained = [variable for variable in plan.variables if is_constrained(variable)]
        if constrained:
            warnings.warn(
                f"variables: these have a constraint: {variable_names(constrained)}. Kfac projects them "
                "after each step; predicted_kl, and the trust region that is made of it, are those of the "
                "step without the projection. TrustRegion measures the divergence with it.",
                stacklevel=2,
            )
        dtype = plan.variables[0].dtype
        self._plan = plan
        self.factors = [KroneckerFactors(*shape, dtype=dtype) for shape in plan.layer_shapes]
        slots: list[Sequence[int]] = list(plan.layer_shapes)
        if plan.rest:
            # One block for all of them together: what is not a layer's is little (log standard deviations,
            # the last layers of couplings), and its variables are correlated with one another.
            slots.append([sum(variable.shape.num_elements() for variable in plan.rest)])
        self._velocities = [
            tf.Variable(tf.zeros(shape, dtype), trainable=False, name="velocity") for shape in slots
        ]

    @property
    def coverage(self) -> KfacCoverage:
        """Which variables have Kronecker factors and which are in the exact block; printable."""
        return self._built_plan().coverage()

    def step(
        self,
        evaluate: Callable[..., tuple[tf.Tensor, tf.Tensor]],
        batch: Any,
        weights: tf.Tensor | None = None,
        seed: tf.Tensor | None = None,
        count: int = 1,
    ) -> KfacReport:
        """Moves the variables by one step or more. To be called inside a `tf.function`, in a loop if need be.

        That function should not be compiled by XLA itself: `jit_compile` compiles the step's parts.

        Under a `tf.distribute.MirroredStrategy` each replica evaluates its part of the batch. There the model
        is evaluated again in each product with the exact block, and XLA compiles only what replicas do.

        Args:
          evaluate: Computes (objective, log π `[n]`) of a batch: a mean over the samples that count, to
            ascend, and the log-densities of actions that were sampled from π. Any other function of the
            sample whose gradients have the Fisher matrix as second moment will do. It takes a seed too where
            `seed` is given. One evaluation of the model for both is fastest.
          batch: A structure of tensors `[N, …]`.
          weights: Weights `[N]` of the samples in F̂, adding to 1; or bool `[N]`, the samples that count
            equally; by default all do.
          seed: A stateless seed, int32 `[2]`.
          count: How many steps to take, each with an evaluation of its own.

        Returns:
          What the last step reports.
        """
        plan = self._built_plan()
        measure = functools.partial(self._measure, evaluate, batch, weights, seed)

        def several(done, measured):
            """Moves, and goes on from there up to the next eigendecomposition."""
            report = self._move(measured)
            if count == 1:
                return done + 1, report

            def unfinished(done, _):
                """Whether steps are left before the next eigendecomposition."""
                return (done < count) & ~self._decomposition_due()

            return tf.while_loop(
                unfinished, lambda done, _: (done + 1, self._move(measure())), (done + 1, report)
            )

        def between_decompositions(done, _):
            """Measures, decomposes where that is due, and moves up to the next decomposition."""
            measured = self._compiled(measure)()
            # Before this step moves: the first step already has the factors of its own batch. A batch that is
            # not finite did not enter them, so that there is nothing to decompose.
            due = self._decomposition_due()
            tf.cond(due & measured.finite, self._refresh, lambda: None)
            return self._compiled(several)(done, measured)

        zero = tf.zeros([], plan.variables[0].dtype)
        start = tf.constant(0), KfacReport(zero, zero, zero, zero, zero)
        if count == 1:
            return between_decompositions(*start)[1]
        return tf.while_loop(lambda done, _: done < count, between_decompositions, start)[1]

    def _decomposition_due(self):
        steps = self._updates
        first = (steps < self._eigen_interval) & tf.equal(steps % self._factor_interval, 0)
        return first | tf.equal(steps % self._eigen_interval, 0)

    def _compiled(self, function):
        # XLA's eigendecomposition on the CPU takes 10 to 50 times as long as the plain operation, so that
        # only what is around it is compiled.
        return compiled(function, self._jit_compile or None)

    def _refresh(self):
        for factors in self.factors:
            factors.refresh()

    def _measure(self, evaluate, batch, weights, seed) -> _Measured:
        """Updates the running factors, and returns the gradient and the solution for the exact block."""
        plan, when_due = self._built_plan(), self._when_due()
        alone = not divided()  # Asked here, as inside a replica work is not divided any further.
        weights = sample_weights(weights, batch, plan.variables[0].dtype)
        products = []

        def measure_part(part, share, *seeds):
            """Returns (objective, gradients, statistics) of one replica's part of the batch."""
            samples, own_weights = part
            # `fisher_product` evaluates `log_prob` at once and keeps log π only; the objective is
            # taken from here.
            evaluations = []

            def log_prob(samples):
                """Returns log π `[n]`, and keeps the evaluation that it comes from."""
                evaluations.append(evaluate(samples, *seeds))
                return evaluations[-1][1]

            with tf.GradientTape(persistent=True, watch_accessed_variables=False) as tape:
                tape.watch(plan.variables)
                if plan.rest and alone:
                    # One evaluation of the model serves the gradient, the factors and the exact block.
                    products.append(fisher_product(log_prob, samples, plan.rest, own_weights, self._damping))
                else:
                    log_prob(samples)
                objective, log_probs = evaluations[-1]
                objective = share(objective)
            layers = plan.find(log_probs)

            def statistics():
                """Returns Â and Ĝ of each layer."""
                return plan.statistics(layers, tape, log_probs, own_weights)

            def zeros():
                """Returns zeros in their shapes, for a step whose batch does not enter the factors."""
                return plan.zero_statistics(own_weights.dtype)

            return objective, plan.gradients(tape, objective), when_due(statistics, zeros)

        objective, gradients, statistics = sum_over_parts(measure_part, (batch, weights), weights, seed)
        if plan.rest and not alone:
            # A replica's tape cannot be used here: the model is evaluated again.
            seeds = () if seed is None else (seed,)
            products.append(
                fisher_product(
                    lambda samples: evaluate(samples, *seeds)[1], batch, plan.rest, weights, self._damping
                )
            )
        solutions, residual = self._solve(products, gradients)
        finite = _finite(objective, [*gradients, *solutions])
        finite = when_due(lambda: self._update_factors(statistics, finite), lambda: finite)
        return _Measured(objective, gradients, solutions, residual, finite)

    def _solve(self, products, gradients):
        """Solves for the exact block, if there is one: ([x], ‖residual‖) or ([], 0)."""
        if not products:
            return [], tf.zeros([], gradients[-1].dtype)
        solved = conjugate_gradient(products[0], gradients[-1], self._cg_iterations)
        return [solved.solution], tf.norm(solved.residual)

    def _when_due(self):
        """Returns a choice between what is done in steps whose batch enters the running factors, and not."""
        if self._factor_interval == 1:
            return lambda update, otherwise: update()
        return functools.partial(tf.cond, tf.equal(self._updates % self._factor_interval, 0))

    def _update_factors(self, statistics, finite) -> tf.Tensor:
        """Moves the running factors if everything is finite, and returns whether it is."""
        if not statistics:
            return finite
        # Â and Ĝ are sums of squares on their diagonals: if any entry is not finite, the trace is not, and it
        # costs I + J additions instead of I² + J².
        traces = tf.add_n([tf.linalg.trace(moment) for pair in statistics for moment in pair])
        finite &= tf.math.is_finite(traces)
        # 1 at first: a running mean that begins at 0 would be too small, and one in which all batches of a
        # quickly changing model count alike is of a model that is no more.
        entered = tf.cast(self._updates // self._factor_interval, traces.dtype) + 1.0
        decay = tf.constant(self._factor_decay**self._factor_interval, traces.dtype)
        rate = tf.maximum(1.0 - decay, tf.minimum(_FOLLOWED / entered, 1.0))
        # Rate 0, not a branch: every factor is one fused update.
        rate = tf.where(finite, rate, tf.zeros_like(rate))
        for factors, pair in zip(self.factors, statistics, strict=True):
            factors.update(pair, rate)
        return finite

    def _move(self, measured: _Measured) -> KfacReport:
        plan = self._built_plan()
        gradients = measured.gradients
        # Not strict: the gradient of the exact block, if there is one, comes last and has no factors.
        directions = [
            factors.precondition(gradient, self._damping)
            for factors, gradient in zip(self.factors, gradients, strict=False)
        ] + measured.exact_solution
        rate = tf.cast(self.learning_rate, measured.objective.dtype)
        # ΔᵀF̂Δ ≤ Δᵀ(F̂ + d·I)Δ = ⟨∇, Δ⟩: what the trust region needs is known without another product with F̂.
        inner = tf.add_n([tf.reduce_sum(g * d) for g, d in zip(gradients, directions, strict=True)])
        # A failed decomposition shows here alone; nothing of it may enter the velocities.
        finite = measured.finite & tf.math.is_finite(inner)
        predicted = 0.5 * tf.square(rate) * inner
        # At a stationary point it is 0, and by rounding may be below: then the step is short enough.
        tiny = tf.constant(1e-30, predicted.dtype)
        scale = tf.minimum(tf.sqrt(self._clip_kl / tf.maximum(predicted, tiny)), tf.ones_like(predicted))
        scale = tf.where(finite, scale, tf.zeros_like(scale))

        steps = []
        for velocity, direction in zip(self._velocities, directions, strict=True):
            # The factor 1 − m: in the long run the velocity is as long as a step and not 1/(1 − m) times as
            # long, so that the trust region holds for what is taken.
            new = self._momentum * velocity + (1.0 - self._momentum) * scale * direction
            # Chosen, not multiplied by 0, which would leave NaN what is NaN.
            velocity.assign(tf.where(finite, new, velocity))
            steps.append(tf.where(finite, rate * new, tf.zeros_like(new)))
        for (kernel, bias), step in zip(plan.layers, steps, strict=False):
            kernel.assign_add(step[: kernel.shape[0]])
            if bias is not None:
                bias.assign_add(step[-1])
        if plan.rest:
            for variable, step in zip(plan.rest, unflatten(steps[-1], plan.rest), strict=True):
                variable.assign_add(step)
        project(plan.variables, finite)
        # A batch that changed nothing does not count: the running means weigh batches by how many there were.
        self._updates.assign_add(tf.cast(finite, tf.int64))
        gradient_norm = tf.sqrt(tf.add_n([tf.reduce_sum(tf.square(gradient)) for gradient in gradients]))
        predicted = tf.where(finite, tf.square(scale) * predicted, tf.zeros_like(predicted))
        return KfacReport(measured.objective, scale, predicted, gradient_norm, measured.cg_residual)

    def scale_momentum(self, factor: tf.Tensor | float) -> None:
        """v ← factor·v, of a scalar between 0 and 1: where the caller shortened a step, or undid it (0)."""
        for velocity in self._velocities:
            # Chosen, not multiplied by 0, which would leave NaN what is NaN.
            velocity.assign(tf.where(factor > 0.0, factor * velocity, tf.zeros_like(velocity)))

    def _built_plan(self) -> KfacPlan:
        if self._plan is None:
            raise ConfigurationError("Kfac: call build(variables, log_prob) before anything else.")
        return self._plan


def _finite(objective, vectors):
    # One sum tells of all: NaN and infinity survive addition, and squares do not cancel one another.
    return tf.math.is_finite(tf.add_n([objective, *(tf.reduce_sum(tf.square(vector)) for vector in vectors)]))
