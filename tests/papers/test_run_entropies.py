"""What runs report beside the entropy of their policies, where that is known, and the figure end to end."""

from __future__ import annotations

import csv
import math

import matplotlib.image
import numpy as np
import pytest
import tensorflow as tf
from scipy import integrate

from expol_tf.cli.commands.figures import figures_main
from expol_tf.errors import ConfigurationError
from expol_tf.papers.entropy import measured, run_entropies
from expol_tf.reports import find_runs
from expol_tf.training import CheckpointStore
from tests.papers.goal_runs import write_run


@pytest.mark.parametrize("std", [0.1, 0.3])
def test_the_entropy_of_squashed_gaussians(std):
    """u ~ N(0, σ²I) in two components: log(2πe) + 2·log σ + E log|∂tanh|, by quadrature."""
    random = np.random.default_rng(0)
    found = measured.measure(lambda count: std * random.standard_normal([2, count, 2]), 2, 30_000)
    u = np.linspace(-8 * std, 8 * std, 20_001)
    density = np.exp(-0.5 * (u / std) ** 2) / (std * math.sqrt(2 * math.pi))
    slope = integrate.trapezoid(density * np.log(1 - np.tanh(u) ** 2), u)
    assert found.counted and found.num_samples == 30_000
    assert found.truth == pytest.approx(math.log(2 * math.pi * math.e * std**2) + 2 * slope, abs=0.05)


def test_the_standard_error_is_that_of_states():
    """At half of the states twice as wide: by log 2 a component, and a factor of the squash."""
    random, widths = np.random.default_rng(0), np.repeat([0.01, 0.02], 50)[:, np.newaxis, np.newaxis]
    found = measured.measure(lambda count: widths * random.standard_normal([100, count, 2]), 2, 2_000, 0)
    assert found.standard_error == pytest.approx(2 * math.log(2) / 2 / 10, rel=0.05)
    assert found.num_samples == 2_000


def test_an_estimate_counts_where_it_is_that_exact_on_a_gaussian(monkeypatch):
    """The bias of few samples, as a mean of many draws: a single one errs by more, by chance."""
    assert abs(measured._estimator_error(1, 1_000)) < 0.02 < abs(measured._estimator_error(6, 300))

    def sample(count):
        return 0.1 * np.random.default_rng(0).standard_normal([50, count, 2])

    assert measured.measure(sample, 2, 4_000, 0).counted
    monkeypatch.setattr(measured, "_estimator_error", lambda size, count: 0.05)
    assert not measured.measure(sample, 2, 4_000, 0).counted


def test_the_truth_is_not_above_the_bounds():
    """Nearest neighbours err at edges, upwards."""
    found = measured.Measured(100, 5.0, 5.0, 0.0, 4.0, 4.5, 4.2, 0.0, "neighbours")
    assert found.truth == 4.0 and found._replace(nearest_neighbour=3.0).truth == 3.0


def test_estimates_that_differ_are_from_more_samples_or_do_not_count():
    # All samples on few points: a finer look finds less entropy, without end.
    random = np.random.default_rng(0)
    found = measured.measure(lambda count: random.integers(0, 9, [1, count, 2]) / 9.0, 2, 1_000)
    assert found.num_samples == 4_000 and not found.counted
    assert found.truth == min(found.marginals, found.uniform)


def test_the_figure_end_to_end(tmp_path, monkeypatch, capsys):
    """Walks of a Gaussian of deviation 0.1 around ±0.6, whose entropy is known and not what is said."""
    monkeypatch.setattr(run_entropies, "NUM_SAMPLES", 4_000)
    write_run(tmp_path / "runs" / "a", std=0.1)
    write_run(tmp_path / "runs" / "b", std=1e-5, temperature=None)
    arguments = [f"--root_dir={tmp_path / 'runs'}", f"--output_dir={tmp_path / 'out'}"]
    assert figures_main(["figures", "--figure=run_entropy", *arguments]) == 0
    with (tmp_path / "out" / "run_entropy.csv").open(newline="", encoding="utf-8") as file:
        first, second = csv.DictReader(file)
    entropy = math.log(2 * math.pi * math.e * 0.01)
    assert float(first["truth"]) == pytest.approx(entropy, abs=0.1) and first["counted_by"] == "neighbours"
    assert float(first["reported"]) == pytest.approx(1.95) and float(first["temperature"]) == 10
    assert float(first["at_the_edge"]) < 1e-3
    assert (second["reported"], second["temperature"]) == ("", "")
    assert f"| a, seed 0 | expol/MultiGoal-v0 | 10 | 1.95 | {float(first['nearest_neighbour']):.2f} |" in (
        capsys.readouterr().out
    )
    picture = matplotlib.image.imread(tmp_path / "out" / "run_entropy.png")
    assert picture.shape[1] > 300 and picture[..., :3].std() > 0.01


def test_the_radius_tells_what_neighbours_do_not():
    """Directions at random, lengths over two magnitudes: log r ~ N(0, 1) in six components.

    H = H(log r) + 6·E log r + log of the unit sphere, π³, which is ½·log(2πe) + 3·log π.
    """

    def sample(count):
        random = np.random.default_rng(0)
        directions = random.standard_normal([1, count, 6])
        directions /= np.linalg.norm(directions, axis=-1, keepdims=True)
        # So small that tanh(u) is u, to 1e-3.
        return directions * np.exp(random.standard_normal([1, count, 1]) - 6.0)

    entropy = 0.5 * math.log(2 * math.pi * math.e) + 3 * math.log(math.pi) - 6 * 6.0
    unknown = measured.measure(sample, 6, 40_000, 0)
    assert not unknown.counted
    assert unknown.truth == unknown.radial < unknown.marginals - 1.0
    found = measured.measure(sample, 6, 40_000, 0, isotropic=True)
    assert found.counted_by == "radius" and found.truth == pytest.approx(entropy, abs=0.1)


@pytest.mark.parametrize(("widths", "above"), [((0.1, 0.1), 0.0), ((0.2, 0.05), 0.3)])
def test_the_radial_entropy_is_that_of_samples_turned_at_random(widths, above):
    """The Gaussian's own entropy where it is isotropic, and a bound where it is not."""
    random = np.random.default_rng(0)
    found = measured.measure(lambda count: widths * random.standard_normal([1, count, 2]), 2, 30_000)
    gaussian = math.log(2 * math.pi * math.e) + np.log(widths).sum()
    # The squash takes away about E u² of either component.
    assert found.nearest_neighbour == pytest.approx(gaussian - np.square(widths).sum(), abs=0.03)
    assert found.radial - found.nearest_neighbour > above - 0.03
    if not above:
        assert found.radial == pytest.approx(found.nearest_neighbour, abs=0.03)


def test_components_of_different_widths_are_brought_to_one_scale():
    random, widths = np.random.default_rng(0), 10.0 ** -np.arange(1, 7)
    found = measured.measure(lambda count: widths * random.standard_normal([1, count, 6]), 6, 20_000)
    # tanh(u) is u to 0.01.
    entropy = 3 * math.log(2 * math.pi * math.e) + np.log(widths).sum()
    assert found.counted and found.truth == pytest.approx(entropy, abs=0.1)


def test_states_are_those_of_the_replay_where_a_checkpoint_has_one(tmp_path, monkeypatch):
    monkeypatch.setattr(run_entropies, "NUM_SAMPLES", 400)
    (run,) = find_runs([write_run(tmp_path / "runs" / "a", std=0.1).parent]).runs
    assert not run_entropies.run_entropy(run, 0).from_replay
    rows = np.random.default_rng(0).uniform(-5, 5, [30, 8]).astype(np.float32)
    store = CheckpointStore(run.directory / "checkpoints")
    store.save(100, {"agent": tf.Module()}, {"replay/rows": rows}, {})
    store.wait()
    seen = []

    class Policy:
        def act(self, observation):
            seen.append(observation)
            return np.random.default_rng(1).uniform(-1, 1, [len(observation), 2])

    monkeypatch.setattr(run_entropies, "load_policy", lambda *arguments: Policy())
    assert run_entropies.run_entropy(run, 0).from_replay
    states = np.unique(np.concatenate(seen), axis=0)
    assert 20 < len(states) <= 30 and {tuple(state) for state in states} <= {tuple(row[:2]) for row in rows}


@pytest.mark.parametrize(("actions", "share"), [(1.0 - 1e-7, 1.0), (1.0 - 1e-5, 0.0), (-1.0, 1.0)])
def test_actions_at_the_edge_of_the_box_are_counted(actions, share, tmp_path, monkeypatch):
    monkeypatch.setattr(run_entropies, "NUM_SAMPLES", 60)
    (run,) = find_runs([write_run(tmp_path / "runs" / "a", std=0.1).parent]).runs

    class Policy:
        def act(self, observation):
            shape = [len(observation), 2] if np.ndim(observation) == 2 else [2]
            return np.full(shape, actions)

    monkeypatch.setattr(run_entropies, "load_policy", lambda *arguments: Policy())
    assert run_entropies.run_entropy(run, 0).at_the_edge == share


@pytest.mark.parametrize("option", ["--temperature=3", "--discount=0.5", "--obstacle"])
def test_options_of_other_figures_are_refused(option, tmp_path, capsys):
    write_run(tmp_path / "runs" / "a", std=0.1)
    arguments = [f"--root_dir={tmp_path / 'runs'}", option]
    assert figures_main(["figures", "--figure=run_entropy", *arguments]) == 2
    assert f"{option.partition('=')[0]} is not for run_entropy" in capsys.readouterr().err


def test_a_task_that_is_not_there(tmp_path):
    write_run(tmp_path / "runs" / "a", task="NoSuchTask-v0")
    (run,) = find_runs([tmp_path / "runs"]).runs
    with pytest.raises(ConfigurationError, match="NoSuchTask-v0.*Leave it out"):
        run_entropies.run_entropy(run, 0)
