"""The pictures of the samplers' entropies."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from expol_tf.diagnostics import region_levels
from expol_tf.papers.cells import signed
from expol_tf.papers.drawings import BLUE, DARK, scatter, small_texts, square
from expol_tf.papers.entropy import evaluation
from expol_tf.papers.entropy.evaluation import Estimate, Evaluation
from expol_tf.papers.entropy.targets import START_VARIANCE, gaussian_entropy, paper_gaussian, start_particles
from expol_tf.reports import Palette, panels

_TRUE: dict[str, Any] = {"color": "#888888", "linestyle": (0, (4, 2)), "linewidth": 1.4}
_MEAN = "entropy_mean"
# What the wrong estimates are cut off at in the picture; the table has them.
_LOWEST = -1.5
_REACH = 8.0


@small_texts
def entropy_panels(evaluations: Sequence[Evaluation], seed: int) -> Figure:
    """Draws the samplers' particles of the first seed, and below how the estimate depends on the settings."""

    def estimates(part: str) -> list[Estimate]:
        return [result.estimate for result in evaluations if result.estimate.part == part]

    figure, axes = panels(2, 5, (3.1, 3.2))
    figure.set_layout_engine("constrained", w_pad=0.1)
    start = start_particles([seed], evaluation.NUM_PARTICLES)[0]
    start_entropy = gaussian_entropy(START_VARIANCE * np.eye(2))
    _particles(axes[0, 0], start, f"start, N(0, {START_VARIANCE:g}·I)\nH = {start_entropy:.2f}")
    for panel, sampler in zip(axes[0, 1:], evaluation.SAMPLERS, strict=True):
        results = [r for r in evaluations if (r.estimate.part, r.estimate.sampler) == ("samplers", sampler)]
        texts = [f"{result.estimate.density} {_short(result.estimate)}" for result in results]
        _particles(panel, results[0].particles, f"{sampler}\n{', '.join(texts)}")
    _kernel(axes[1, 0], estimates("kernel"))
    # The ring too narrow for the step stands in the table alone.
    rings = [line for line in estimates("components") if line.component_variance == 1.0]
    _sizes(axes[1, 1], rings, lambda line: float(line.target.split()[-1]))
    _label(axes[1, 1], f"ring of Gaussians, printed\n(σ = {evaluation.SIGMA:g})", "components")
    _sizes(axes[1, 2], estimates("variance"), lambda line: line.component_variance)
    _label(axes[1, 2], f"N(0, v·I), printed\n(σ = {evaluation.SIGMA:g})", "variance v")
    _drift(axes[1, 3], estimates("drift"))
    _joint(axes[1, 4], estimates("joint"))
    figure.supxlabel(
        f"above: the particles of seed {seed}, the target's 50, 75 and 95 % regions "
        f"(H = {paper_gaussian().entropy:.4f}), and the entropies by the formula, means over seeds; below: "
        "grey dashes are the true entropies"
    )
    return figure


@small_texts
def kernel_panels(evaluations: Sequence[Evaluation], seed: int) -> Figure:
    """Draws the particles of SVGD for every kernel width and number of particles."""
    nums, sigmas = evaluation.KERNEL_PARTICLES, evaluation.SIGMAS
    figure, axes = panels(len(nums), len(sigmas), (2.1, 2.4))
    for line, particles in evaluations:
        if (line.part, line.density) == ("kernel", "printed"):
            panel = axes[nums.index(line.num_particles), sigmas.index(float(line.sigma))]
            _particles(panel, particles, f"σ = {line.sigma:g}, M = {line.num_particles}\n{_short(line)}")
            panel.set(xlabel="", ylabel="")
    figure.supxlabel(
        f"SVGD's particles of seed {seed} on the target's 50, 75 and 95 % regions "
        f"(H = {paper_gaussian().entropy:.4f}); numbers: entropy as printed, means over seeds"
    )
    return figure


def _short(line: Estimate) -> str:
    return signed(line.entropy_mean, 2 if abs(line.entropy_mean) < 20 else 0)


def _particles(panel: Axes, particles: np.ndarray, title: str) -> None:
    nodes = np.linspace(-_REACH, _REACH, 141)
    log_prob = paper_gaussian().log_prob(np.stack(np.meshgrid(nodes, nodes), axis=-1))
    levels = region_levels(log_prob, (0.5, 0.75, 0.95))
    panel.contour(nodes, nodes, np.exp(log_prob), levels=levels, colors=DARK, linewidths=0.7)
    scatter(panel, particles, BLUE, size=7)
    square(panel, _REACH, "u")
    panel.set_title(title)


def _label(panel: Axes, title: str, x: str, y: str = "entropy, nats") -> None:
    panel.set(title=title, xlabel=x, ylabel=y)


def _plot(
    panel: Axes, lines: Sequence[Estimate], x: Callable[[Estimate], float], y: str, label: str, **style: Any
) -> None:
    """Draws a column `y` of the table against `x`, which is called with each of the estimates."""
    style = {"marker": "o", "markersize": 2.5, **style}
    panel.plot([x(line) for line in lines], [getattr(line, y) for line in lines], label=label, **style)


def _kernel(panel: Axes, estimates: Sequence[Estimate]) -> None:
    palette = Palette([f"M = {num}" for num in evaluation.KERNEL_PARTICLES])
    for num, name in zip(evaluation.KERNEL_PARTICLES, palette.experiments, strict=True):
        lines = [line for line in estimates if (line.density, line.num_particles) == ("printed", num)]
        _plot(panel, lines, lambda line: float(line.sigma), _MEAN, name, **palette.line(name))
    panel.axhline(estimates[0].true_entropy, **_TRUE, zorder=1)
    panel.set(xscale="log", ylim=(_LOWEST, 5.2))
    panel.legend(loc="lower right")
    _label(panel, f"kernel width, printed\n(L = {estimates[0].num_steps}, lower values cut off)", "σ")


def _sizes(panel: Axes, estimates: Sequence[Estimate], x: Callable[[Estimate], float]) -> None:
    groups: dict[str, list[Estimate]] = {}
    for line in estimates:
        groups.setdefault(f"L = {line.num_steps}, M = {line.num_particles}", []).append(line)
    palette = Palette(list(groups))
    for name, lines in groups.items():
        _plot(panel, lines, x, _MEAN, name, **{**palette.line(name), "linewidth": 1.2})
    _plot(panel, next(iter(groups.values())), x, "true_entropy", "true", **_TRUE, marker="")
    panel.legend(fontsize=6.5, loc="lower right")


def _drift(panel: Axes, estimates: Sequence[Estimate]) -> None:
    columns = {
        "printed": ("printed", _MEAN),
        "logdet": ("logdet", _MEAN),
        evaluation.OWN_TERM: (evaluation.OWN_TERM, _MEAN),
        "particles' Gaussian": ("printed", "particles_entropy"),
    }
    palette = Palette(list(columns))
    for name, (density, column) in columns.items():
        lines = [line for line in estimates if line.density == density]
        _plot(panel, lines, lambda line: line.num_steps, column, name, **palette.line(name))
    panel.axhline(estimates[0].true_entropy, **_TRUE, zorder=1)
    panel.legend(loc="lower left")
    sizes = f"(σ = {evaluation.SIGMA:g}, M = {evaluation.NUM_PARTICLES})"
    _label(panel, f"the estimate drifts\n{sizes}", "steps L")


def _joint(panel: Axes, estimates: Sequence[Estimate]) -> None:
    exact = {line.num_particles: line.entropy_mean for line in estimates if line.density == evaluation.JOINT}
    logdet = {line.num_particles: line.entropy_mean for line in estimates if line.density == "logdet"}
    gaps = [logdet[num] - exact[num] for num in logdet]
    panel.loglog(list(logdet), gaps, marker="o", markersize=3, color=BLUE)
    for axis in (panel.xaxis, panel.yaxis):
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.set_minor_locator(NullLocator())
    sizes = f"(σ = {evaluation.SIGMA:g}, L = {estimates[0].num_steps})"
    _label(panel, f"logdet above the joint density's\n{sizes}", "particles M", "nats a particle")
