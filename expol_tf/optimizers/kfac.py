"""Natural-gradient ascent with a Kronecker-factored Fisher matrix."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import NamedTuple

import gin
import tensorflow as tf

from expol_tf.errors import ConfigurationError
from expol_tf.optimizers.conjugate_gradient import conjugate_gradient
from expol_tf.optimizers.fisher import fisher_product
from expol_tf.optimizers.flat import flat_gradient, unflatten
from expol_tf.optimizers.kfac_capture import Capture, CapturedLayer, capture_layers
from expol_tf.optimizers.kfac_factors import KroneckerFactors, batch_statistics

UNFACTORED = ("exact", "error")


class KfacLayer(NamedTuple):
    """A layer with Kronecker factors: the names of its variables and `(inputs, outputs)`, bias counted."""

    kernel: str
    bias: str | None
    shape: tuple[int, int]


class KfacCoverage(NamedTuple):
    """How a model's variables are treated: `layers` have Kronecker factors, `exact` names all others."""

    layers: tuple[KfacLayer, ...]
    exact: tuple[str, ...]

    def __str__(self) -> str:
        lines = [f"{len(self.layers)} layers with Kronecker factors:"]
        for layer in self.layers:
            names = layer.kernel if layer.bias is None else f"{layer.kernel} and {layer.bias}"
            lines.append(f"  {names}: {layer.shape[0]} x {layer.shape[1]}")
        lines.append(f"{len(self.exact)} variables in one exact Fisher block:")
        lines += [f"  {name}" for name in self.exact]
        return "\n".join(lines)


class KfacReport(NamedTuple):
    """Scalars of one step.

    Attributes:
      objective: Before the step.
      trust_region_scale: η, 1 where the step was short enough; 0 where it was not finite, and not taken.
      predicted_kl: ½ lr²η²⟨∇, Δ⟩, the divergence of the step ηΔ, before momentum.
      gradient_norm: ‖∇‖.
      cg_residual: ‖(F + d·I)x − ∇‖ of the exact block; 0 where there is none.
    """

    objective: tf.Tensor
    trust_region_scale: tf.Tensor
    predicted_kl: tf.Tensor
    gradient_norm: tf.Tensor
    cg_residual: tf.Tensor


@dataclasses.dataclass(frozen=True, eq=False)
class _Plan:
    """The variables; not a tuple, which `tf.Module` would track, so that a checkpoint had the model twice."""

    variables: list[tf.Variable]
    layers: list[tuple[tf.Variable, tf.Variable | None]]
    rest: list[tf.Variable]


class _Measured(NamedTuple):
    objective: tf.Tensor
    gradients: list[tf.Tensor]  # Of the layers, [I, J], then of the exact block, [P], if there is one.
    exact_solution: list[tf.Tensor]  # One vector [P], or none.
    cg_residual: tf.Tensor
    finite: tf.Tensor


@gin.configurable(module="expol_tf")
class Kfac(tf.Module):
    """θ ← θ + lr·v, v ← m·v + (1 − m)·ηΔ, Δ = (F̂ + d·I)⁻¹∇, η = min(1, √(2·clip_kl / (lr²⟨∇, Δ⟩))).

    Ascends an objective along its natural gradient. F̂ is block diagonal: a block A ⊗ G for each dense layer,
    A = E[āāᵀ] of its input (with a homogeneous 1 where it has a bias, whose gradient is then the last row
    of the kernel's) and G = E[ggᵀ] of the gradient of log π by its pre-activation; and one exact block for
    everything else.

    *Layers* are found in the graph of log π, so that any model of `keras.layers.Dense` will do: Sequential,
    functional, subclassed, networks of TF-Agents, shared layers, inputs of any rank whose first axis is that
    of the samples, and products `x @ w + b` of plain variables. Where a layer is evaluated more than once at
    one input, its g are added before the outer product; where it sees T inputs per sample, A is summed over
    them and G is their mean.

    *All other variables* (log standard deviations, normalization, convolutions, stacked kernels, whatever is
    read in a loop or in a `tf.function` that log π calls) form one block together, for which
    (F + d·I)x = ∇ is solved with the batch's exact Fisher matrix, by conjugate gradients without forming it.
    `coverage` names both kinds. With `unfactored="error"` such variables are refused by name instead.

    A and G are running means, decomposed at the first step and every `eigen_interval` steps. A batch with
    an objective, gradient or statistic that is not finite changes nothing.

    Example:

    ```python
    kfac = Kfac(learning_rate=0.03)
    kfac.build(model.trainable_variables, lambda: policy(observation).log_prob(action))
    print(kfac.coverage)

    @tf.function
    def update(observation, action, advantage):
        def evaluate():
            log_prob = policy(observation).log_prob(action)
            return tf.reduce_mean(log_prob * advantage), log_prob

        return kfac.step(evaluate)
    ```

    References: Martens & Grosse 2015, *Optimizing Neural Networks with Kronecker-factored Approximate
    Curvature*, §3–6; Wu et al. 2017, *Scalable trust-region method for deep reinforcement learning using
    Kronecker-factored approximation*, §3. The factor 2 in η and the factor 1 − m are not in the code released
    with the latter; see `docs/errata.md`.

    Args:
      learning_rate: Initial value of the variable `learning_rate`.
      damping: d, added to F̂'s diagonal.
      clip_kl: Bound on ½ lr²ΔᵀF̂Δ, the predicted divergence of a step, in nats.
      momentum: m.
      factor_decay: Weight of the past in the running factors, per step.
      eigen_interval: Steps from one eigendecomposition of the factors to the next.
      cg_iterations: Conjugate-gradient iterations for the exact block.
      unfactored: What to do with variables that are not a dense layer's: "exact" or "error".
      jit_compile: Whether XLA compiles everything but the eigendecompositions, which it makes slow.
    """

    def __init__(
        self,
        learning_rate: float = 0.03,
        damping: float = 1e-2,
        clip_kl: float = 0.01,
        momentum: float = 0.9,
        factor_decay: float = 0.99,
        eigen_interval: int = 10,
        cg_iterations: int = 10,
        unfactored: str = "exact",
        jit_compile: bool = True,
    ) -> None:
        super().__init__(name="Kfac")
        for name, value, valid, rule in (
            ("learning_rate", learning_rate, learning_rate > 0, "positive"),
            ("damping", damping, damping > 0, "positive"),
            ("clip_kl", clip_kl, clip_kl > 0, "positive"),
            ("momentum", momentum, 0 <= momentum < 1, "0 or more and less than 1"),
            ("factor_decay", factor_decay, 0 <= factor_decay < 1, "0 or more and less than 1"),
            ("eigen_interval", eigen_interval, eigen_interval >= 1, "1 or more"),
            ("cg_iterations", cg_iterations, cg_iterations >= 1, "1 or more"),
            ("unfactored", repr(unfactored), unfactored in UNFACTORED, f"one of {UNFACTORED}"),
        ):
            if not valid:
                raise ConfigurationError(f"Kfac.{name} must be {rule}; got {value}.")
        self.learning_rate = tf.Variable(
            learning_rate, trainable=False, dtype=tf.float32, name="learning_rate"
        )
        self._damping = damping
        self._clip_kl = clip_kl
        self._momentum = momentum
        self._factor_decay = factor_decay
        self._eigen_interval = eigen_interval
        self._cg_iterations = cg_iterations
        self._unfactored = unfactored
        self._jit_compile = jit_compile
        self._plan: _Plan | None = None
        self._updates = tf.Variable(0, trainable=False, dtype=tf.int64, name="updates")

    def build(self, variables: Sequence[tf.Variable], log_prob: Callable[[], tf.Tensor]) -> None:
        """Finds the layers and creates the state for them; to be called once, before any `step`.

        Args:
          variables: Those to move, all of one floating type.
          log_prob: Computes log π `[N]` of some example, N ≥ 2, as `step` will; it is traced, not run.

        Raises:
          ConfigurationError: If log π does not depend on a variable, or if one is not part of a dense layer
            and `unfactored="error"`.
        """
        if self._plan is not None:
            raise ConfigurationError(
                "Kfac: it holds the state for one model, and was given a second one. Make one for each."
            )
        variables = _checked(variables)
        found: list[Capture] = []

        def trace():
            with tf.GradientTape(persistent=True, watch_accessed_variables=False) as tape:
                tape.watch(variables)
                log_probs = log_prob()
            found.append(capture_layers(tape, log_probs, variables))

        tf.function(trace, autograph=False).get_concrete_function()
        layers, rest, unused = found[-1]
        if unused:
            raise ConfigurationError(
                f"variables: log_prob must depend on each of them; it does not on {_names(unused)}, which "
                "therefore have no Fisher matrix. Leave them out, and train them otherwise if need be."
            )
        if rest and self._unfactored == "error":
            raise ConfigurationError(
                'variables: with unfactored="error" each must be the kernel or the bias of dense layers and '
                f"nothing else; these are not: {_names(rest)}. Use keras.layers.Dense for them, leave them "
                'out, or choose unfactored="exact", which solves for them with the exact Fisher matrix.'
            )
        dtype = variables[0].dtype
        self._plan = _Plan(list(variables), [(layer.kernel, layer.bias) for layer in layers], rest)
        shapes = [_factor_shape(layer.kernel, layer.bias) for layer in layers]
        self._factors = [KroneckerFactors(*shape, dtype=dtype) for shape in shapes]
        slots: list[Sequence[int]] = list(shapes)
        if rest:
            slots.append([sum(each.shape.num_elements() for each in rest)])
        self._velocities = [
            tf.Variable(tf.zeros(shape, dtype), trainable=False, name="velocity") for shape in slots
        ]

    @property
    def coverage(self) -> KfacCoverage:
        """Which variables have Kronecker factors and which are in the exact block; printable."""
        plan = self._built_plan()
        layers = [
            KfacLayer(_name(kernel), None if bias is None else _name(bias), _factor_shape(kernel, bias))
            for kernel, bias in plan.layers
        ]
        return KfacCoverage(tuple(layers), tuple(_name(variable) for variable in plan.rest))

    def step(
        self,
        evaluate: Callable[[], tuple[tf.Tensor, tf.Tensor]],
        weights: tf.Tensor | None = None,
    ) -> KfacReport:
        """Moves the variables by one step. To be called inside a `tf.function`, in a loop if need be.

        That function should not be compiled by XLA itself: `jit_compile` compiles the step's parts.

        Args:
          evaluate: Computes (objective, log π `[N]`), a scalar to ascend and the log-densities of actions
            that were sampled from π. Any other function of the sample whose gradients have the Fisher matrix
            as second moment will do. One evaluation of the model for both is fastest.
          weights: Weights `[N]` of the samples in F̂, adding to 1; by default equal.
        """
        self._built_plan()
        jit_compile = self._jit_compile or None

        measured = tf.function(
            lambda: self._measure(evaluate, weights), jit_compile=jit_compile, autograph=False
        )()
        # XLA's eigendecomposition on the CPU takes 10 to 50 times as long as the plain operation.
        due = tf.equal(self._updates % self._eigen_interval, 0)
        tf.cond(due, self._refresh, lambda: None)
        return tf.function(self._move, jit_compile=jit_compile, autograph=False)(measured)

    def _refresh(self):
        for factors in self._factors:
            factors.refresh()

    def _measure(self, evaluate, weights) -> _Measured:
        """Updates the running factors, and returns the gradient and the solution for the exact block."""
        plan = self._built_plan()
        results: list[tuple[tf.Tensor, tf.Tensor]] = []

        def log_prob():
            results.append(evaluate())
            return results[-1][1]

        with tf.GradientTape(persistent=True, watch_accessed_variables=False) as tape:
            tape.watch(plan.variables)
            product = fisher_product(log_prob, plan.rest, weights, self._damping) if plan.rest else log_prob()
        objective, log_probs = results[-1]
        if weights is None:
            weights = tf.fill(tf.shape(log_probs), 1.0 / tf.cast(tf.size(log_probs), log_probs.dtype))
        layers = self._captured(tape, log_probs)
        gradients = self._gradients(tape, objective)

        solutions, residual = [], tf.zeros([], objective.dtype)
        if plan.rest:
            solved = conjugate_gradient(product, gradients[-1], self._cg_iterations)
            solutions, residual = [solved.solution], tf.norm(solved.residual)

        statistics = [_statistics(layer, weights) for layer in layers]
        # Moments are not finite exactly where their trace is not.
        traces = [tf.linalg.trace(moment) for pair in statistics for moment in pair]
        sizes = [tf.reduce_sum(tf.square(vector)) for vector in (*gradients, *solutions)]
        finite = tf.math.is_finite(tf.add_n([objective, *traces, *sizes]))
        # A mean that forgets by the factor ρ, in which the first batch counts fully.
        decay = tf.cast(self._factor_decay, objective.dtype)
        rate = (1.0 - decay) / (1.0 - decay ** tf.cast(self._updates + 1, objective.dtype))
        rate = tf.where(finite, rate, tf.zeros_like(rate))
        for factors, pair in zip(self._factors, statistics, strict=True):
            factors.update(pair, rate)
        return _Measured(objective, gradients, solutions, residual, finite)

    def _captured(self, tape, log_probs) -> list[CapturedLayer]:
        plan = self._built_plan()
        found = capture_layers(tape, log_probs, plan.variables)
        expected = [(kernel.ref(), None if bias is None else bias.ref()) for kernel, bias in plan.layers]
        present = [
            (layer.kernel.ref(), None if layer.bias is None else layer.bias.ref()) for layer in found.layers
        ]
        if present != expected or found.unused:
            raise ConfigurationError(
                "evaluate: log π must use the variables as it did in Kfac.build; there the layers were "
                f"{_names([kernel for kernel, _ in plan.layers])}, here they are "
                f"{_names([layer.kernel for layer in found.layers])}. Build with the same function."
            )
        return found.layers

    def _gradients(self, tape, objective) -> list[tf.Tensor]:
        plan = self._built_plan()
        sources = [variable for layer in plan.layers for variable in layer if variable is not None]
        parts = iter(tape.gradient(objective, sources, unconnected_gradients=tf.UnconnectedGradients.ZERO))
        gradients = [_merged(next(parts), None if bias is None else next(parts)) for _, bias in plan.layers]
        return [*gradients, flat_gradient(tape, objective, plan.rest)] if plan.rest else gradients

    def _move(self, measured: _Measured) -> KfacReport:
        plan = self._built_plan()
        finite, gradients = measured.finite, measured.gradients
        directions = [
            factors.precondition(gradient, self._damping)
            for factors, gradient in zip(self._factors, gradients, strict=False)
        ] + measured.exact_solution
        rate = tf.cast(self.learning_rate, measured.objective.dtype)
        inner = tf.add_n([tf.reduce_sum(g * d) for g, d in zip(gradients, directions, strict=True)])
        predicted = 0.5 * tf.square(rate) * inner
        tiny = tf.constant(1e-30, predicted.dtype)
        scale = tf.minimum(tf.sqrt(self._clip_kl / tf.maximum(predicted, tiny)), tf.ones_like(predicted))
        scale = tf.where(finite, scale, tf.zeros_like(scale))

        steps = []
        for velocity, direction in zip(self._velocities, directions, strict=True):
            new = self._momentum * velocity + (1.0 - self._momentum) * scale * direction
            velocity.assign(tf.where(finite, new, velocity))
            steps.append(tf.where(finite, rate * new, tf.zeros_like(new)))
        for (kernel, bias), step in zip(plan.layers, steps, strict=False):
            kernel.assign_add(step[: kernel.shape[0]])
            if bias is not None:
                bias.assign_add(step[-1])
        if plan.rest:
            for variable, step in zip(plan.rest, unflatten(steps[-1], plan.rest), strict=True):
                variable.assign_add(step)
        self._updates.assign_add(tf.cast(finite, tf.int64))
        gradient_norm = tf.sqrt(tf.add_n([tf.reduce_sum(tf.square(gradient)) for gradient in gradients]))
        return KfacReport(
            measured.objective, scale, tf.square(scale) * predicted, gradient_norm, measured.cg_residual
        )

    def _built_plan(self) -> _Plan:
        if self._plan is None:
            raise ConfigurationError("Kfac: call build(variables, log_prob) before anything else.")
        return self._plan


def _checked(variables):
    variables = list(variables)
    if not variables:
        raise ConfigurationError("variables must name at least one; got none. Build the model first.")
    if len({variable.ref() for variable in variables}) < len(variables):
        raise ConfigurationError(f"variables must be different ones; got {_names(variables)}.")
    dtypes = {variable.dtype for variable in variables}
    if len(dtypes) > 1 or not variables[0].dtype.is_floating:
        found = sorted(dtype.name for dtype in dtypes)
        raise ConfigurationError(f"variables must all have one floating type; got {found}.")
    return variables


def _name(variable: tf.Variable) -> str:
    return variable.name.partition(":")[0]


def _names(variables: Sequence[tf.Variable]) -> str:
    return ", ".join(_name(variable) for variable in variables) or "none"


def _factor_shape(kernel, bias) -> tuple[int, int]:
    return kernel.shape[0] + (bias is not None), kernel.shape[1]


def _merged(kernel, bias) -> tf.Tensor:
    return kernel if bias is None else tf.concat([kernel, bias[tf.newaxis]], axis=0)


def _statistics(layer: CapturedLayer, weights: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    inputs = layer.inputs
    if layer.bias is not None:
        inputs = [tf.concat([each, tf.ones([tf.shape(each)[0], 1], each.dtype)], axis=1) for each in inputs]
    return batch_statistics(inputs, layer.gradients, weights)
