"""The pictures of the samplers' entropies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from expol_tf.diagnostics import region_levels
from expol_tf.papers.drawings import scatter
from expol_tf.papers.entropy.evaluation import (
    JOINT,
    KERNEL_PARTICLES,
    NUM_PARTICLES,
    OWN_TERM,
    SAMPLERS,
    SIGMA,
    SIGMAS,
    Estimate,
    Evaluation,
)
from expol_tf.papers.entropy.targets import START_VARIANCE, gaussian_entropy, paper_gaussian, start_particles
from expol_tf.reports import Palette, panels

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_TARGET = "#333333"
_PARTICLES = "#0072B2"
# What the wrong estimates are cut off at in the picture; the table has them.
_LOWEST = -1.5
_REACH = 8.0


def entropy_panels(evaluations: Sequence[Evaluation], seed: int) -> Figure:
    """Draws the samplers' particles above, and below how the estimate depends on the settings.

    Args:
      evaluations: Of all parts.
      seed: The first seed, whose particles are drawn.
    """
    figure, axes = panels(2, 5, (3.1, 3.2))
    figure.set_layout_engine("constrained", w_pad=0.1)
    start = start_particles([seed], NUM_PARTICLES)[0]
    above = gaussian_entropy(START_VARIANCE * np.eye(2))
    _particles(axes[0, 0], start, f"start, N(0, {START_VARIANCE:g}·I)\nH = {above:.2f}")
    for each, sampler in zip(axes[0, 1:], SAMPLERS, strict=True):
        found = [one for one in _of("samplers", evaluations) if one.estimate.sampler == sampler]
        said = ", ".join(f"{one.estimate.density} {_signed(one.estimate.entropy_mean)}" for one in found)
        _particles(each, found[0].particles, f"{sampler}\n{said}")
    _kernel(axes[1, 0], _estimates("kernel", evaluations))
    titles = {
        "components": ("ring of Gaussians", "components"),
        "variance": ("N(0, v·I)", "variance v"),
    }
    for each, (part, (title, label)) in zip(axes[1, 1:3], titles.items(), strict=True):
        _sizes(each, part, _estimates(part, evaluations), title, label)
    _drift(axes[1, 3], _estimates("drift", evaluations))
    _joint(axes[1, 4], _estimates("joint", evaluations))
    true = paper_gaussian().entropy
    figure.supxlabel(
        f"above: the particles of seed {seed}, the target's 50, 75 and 95 % regions (H = {true:.4f}), and "
        "the entropies by the formula, means over seeds; below: grey dashes are the true entropies",
        fontsize=9,
    )
    return figure


def kernel_panels(evaluations: Sequence[Evaluation], seed: int) -> Figure:
    """Draws the particles of SVGD for every kernel width and number of particles."""
    figure, axes = panels(len(KERNEL_PARTICLES), len(SIGMAS), (2.1, 2.4))
    for one in _of("kernel", evaluations):
        found = one.estimate
        if found.density != "trace":
            continue
        row, column = KERNEL_PARTICLES.index(found.num_particles), SIGMAS.index(float(found.sigma))
        title = f"σ = {found.sigma:g}, M = {found.num_particles}\n{_signed(found.entropy_mean)}"
        _particles(axes[row, column], one.particles, title, labels=False)
    true = paper_gaussian().entropy
    figure.supxlabel(
        f"SVGD's particles of seed {seed} on the target's 50, 75 and 95 % regions (H = {true:.4f}); numbers: "
        "entropy by trace, means over seeds",
        fontsize=9,
    )
    return figure


def _of(part: str, evaluations: Sequence[Evaluation]) -> list[Evaluation]:
    return [each for each in evaluations if each.estimate.part == part]


def _estimates(part: str, evaluations: Sequence[Evaluation]) -> list[Estimate]:
    return [each.estimate for each in _of(part, evaluations)]


def _signed(value: float) -> str:
    return f"{value:.2f}".replace("-", "−") if abs(value) < 20 else f"{value:.0f}".replace("-", "−")


def _particles(axes: Axes, particles: np.ndarray, title: str, labels: bool = True) -> None:
    nodes = np.linspace(-_REACH, _REACH, 141)
    log_prob = paper_gaussian().log_prob(np.stack(np.meshgrid(nodes, nodes), axis=-1))
    levels = region_levels(log_prob, (0.5, 0.75, 0.95))
    axes.contour(nodes, nodes, np.exp(log_prob), levels=levels, colors=_TARGET, linewidths=0.7)
    scatter(axes, particles, _PARTICLES, "", size=7)
    axes.set(xlim=(-_REACH, _REACH), ylim=(-_REACH, _REACH), aspect="equal")
    axes.locator_params(nbins=5)
    axes.set_title(title, fontsize=9)
    if labels:
        axes.set_xlabel("$u_1$", fontsize=8, labelpad=1)
        axes.set_ylabel("$u_2$", fontsize=8, labelpad=1)


def _true_line(axes: Axes, value: float) -> None:
    axes.axhline(value, color="#888888", linestyle=(0, (4, 2)), linewidth=1.4, zorder=1)


def _label(axes: Axes, title: str, x: str, y: str = "entropy, nats") -> None:
    axes.set_title(title, fontsize=9)
    axes.set_xlabel(x, fontsize=8, labelpad=1)
    axes.set_ylabel(y, fontsize=8, labelpad=1)


def _kernel(axes: Axes, found: Sequence[Estimate]) -> None:
    palette = Palette([f"M = {each}" for each in KERNEL_PARTICLES])
    for num in KERNEL_PARTICLES:
        line = [each for each in found if (each.density, each.num_particles) == ("trace", num)]
        style = palette.line(f"M = {num}")
        axes.plot(
            [float(each.sigma) for each in line],
            [each.entropy_mean for each in line],
            marker="o",
            markersize=3,
            label=f"M = {num}",
            **style,
        )
    _true_line(axes, found[0].true_entropy)
    axes.set(xscale="log", ylim=(_LOWEST, 5.2))
    axes.legend(fontsize=7, frameon=False, loc="lower right")
    _label(axes, f"kernel width, trace\n(L = {found[0].num_steps}, lower values cut off)", "σ")


def _sizes(axes: Axes, part: str, found: Sequence[Estimate], title: str, label: str) -> None:
    def place(each: Estimate) -> float:
        return float(each.target.split()[-1]) if part == "components" else each.component_variance

    # The ring too narrow for the step stands in the table alone.
    shown = [each for each in found if part == "variance" or each.component_variance == 1.0]
    sizes = list(dict.fromkeys((each.num_steps, each.num_particles) for each in shown))
    names = {size: f"L = {size[0]}, M = {size[1]}" for size in sizes}
    palette = Palette(list(names.values()))
    for size in sizes:
        line = [each for each in shown if (each.num_steps, each.num_particles) == size]
        axes.plot(
            [place(each) for each in line],
            [each.entropy_mean for each in line],
            marker="o",
            markersize=2.5,
            label=names[size],
            **{**palette.line(names[size]), "linewidth": 1.2},
        )
    line = [each for each in shown if (each.num_steps, each.num_particles) == sizes[0]]
    axes.plot(
        [place(each) for each in line],
        [each.true_entropy for each in line],
        color="#888888",
        linestyle=(0, (4, 2)),
        linewidth=1.8,
        label="true",
    )
    axes.legend(fontsize=6.5, frameon=False, loc="lower right")
    _label(axes, f"{title}, trace\n(σ = {SIGMA:g})", label)


def _drift(axes: Axes, found: Sequence[Estimate]) -> None:
    palette = Palette(["trace", "logdet", OWN_TERM, "particles' Gaussian"])
    for density in ("trace", "logdet", OWN_TERM):
        line = [each for each in found if each.density == density]
        axes.plot(
            [each.num_steps for each in line],
            [each.entropy_mean for each in line],
            label=density,
            marker="o",
            markersize=2.5,
            **palette.line(density),
        )
    line = [each for each in found if each.density == "trace"]
    axes.plot(
        [each.num_steps for each in line],
        [each.particles_entropy for each in line],
        label="particles' Gaussian",
        marker="o",
        markersize=2.5,
        **palette.line("particles' Gaussian"),
    )
    _true_line(axes, found[0].true_entropy)
    axes.legend(fontsize=7, frameon=False, loc="lower left")
    _label(axes, f"the estimate drifts\n(σ = {SIGMA:g}, M = {NUM_PARTICLES})", "steps L")


def _joint(axes: Axes, found: Sequence[Estimate]) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    exact = {each.num_particles: each.entropy_mean for each in found if each.density == JOINT}
    line = [each for each in found if each.density == "logdet"]
    axes.plot(
        [each.num_particles for each in line],
        [each.entropy_mean - exact[each.num_particles] for each in line],
        marker="o",
        markersize=3,
        color=_PARTICLES,
    )
    axes.set(xscale="log", yscale="log")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.set_minor_locator(NullLocator())
    title = f"logdet above the joint density's\n(σ = {SIGMA:g}, L = {found[0].num_steps})"
    _label(axes, title, "particles M", "nats a particle")
