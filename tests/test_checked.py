"""Public functions that gin does not configure refuse arguments of another type, by name."""

from __future__ import annotations

import pathlib

import pytest

from expol_tf.checked import checked
from expol_tf.environments import load_vector
from expol_tf.errors import ConfigurationError
from expol_tf.number_types import Count
from expol_tf.papers import make_figure
from expol_tf.reports import find_runs, read_peer_curves, write_report
from expol_tf.runs import plot_learning_curve, read_metrics
from expol_tf.sweeps import read_sweep, run_sweep
from expol_tf.testing import check_actor_network, check_agent, check_bijector, check_environment
from expol_tf.training import Evaluator, evaluate_policy, export_critic, export_policy


@checked
def called(path: str | pathlib.Path, size: Count = 1, *, names: tuple[str, ...] = (), **more: int) -> int:
    return size


def test_right_arguments_and_undeclared_ones_pass() -> None:
    assert called("x", 2, names=("a",), other=3) == 2
    with pytest.raises(TypeError, match="missing"):
        called()
    assert called.__name__ == "called"


@pytest.mark.parametrize(
    ("arguments", "keywords", "message"),
    [
        ((3,), {}, "path must be str or a .*Path; got 3"),
        (("x", "2"), {}, "size must be int; got '2'"),
        (("x",), {"size": 0}, "size must be 1 or more; got 0"),
        (("x",), {"names": "ab"}, "names must be a sequence of str; got 'ab'"),
    ],
)
def test_wrong_arguments_are_named(arguments: tuple, keywords: dict, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        called(*arguments, **keywords)


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: find_runs(3), "root_dirs"),
        (lambda: find_runs([None]), "root_dirs"),
        (lambda: find_runs("runs"), "root_dirs"),
        (lambda: read_peer_curves(3.5), "path"),
        (lambda: write_report(["runs"], 1.5), "output_dir"),
        (lambda: write_report(["runs"], "out", repetitions="a"), "repetitions"),
        (lambda: write_report(["runs"], "out", min_env_steps="a"), "min_env_steps"),
        (lambda: write_report(["runs"], "out", min_env_steps=-1), "min_env_steps"),
        (lambda: write_report(["runs"], "out", seed=-1), "seed"),
        (lambda: write_report(["runs"], "out", peer_csvs=3), "peer_csvs"),
        (lambda: make_figure(3, "out"), "name"),
        (lambda: make_figure("multigoal", "out", root_dirs=[3]), "root_dirs"),
        (lambda: make_figure("kl_ball", "out", num_seeds="a"), "num_seeds"),
    ],
)
def test_fault_13_arguments_of_reports_and_figures(call, name: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^{name} must be"):
        call()


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: evaluate_policy(object(), load_vector("Pendulum-v1"), 2), "act"),
        (lambda: evaluate_policy(len, None, 2), "env"),
        (lambda: evaluate_policy(len, load_vector("Pendulum-v1"), 1.5), "num_episodes"),
        (lambda: evaluate_policy(len, load_vector("Pendulum-v1"), 1, max_steps=0), "max_steps"),
        (lambda: Evaluator(None, 0), "task"),
        (lambda: Evaluator("Pendulum-v1", 0, backend="x"), "backend"),
        (lambda: export_policy(None, "policy"), "agent"),
        (lambda: export_critic(object(), "critic"), "agent"),
        (lambda: plot_learning_curve(3, "evaluation.csv", "curve.png"), "metrics_csv"),
        (lambda: read_metrics(None), "path"),
        (lambda: read_sweep(3), "name"),
        (lambda: run_sweep(3, "sweep"), "runs"),
        (lambda: check_actor_network(None), "make_network"),
        (lambda: check_agent(3), "make_agent"),
        (lambda: check_bijector("exp", 2), "bijector"),
        (lambda: check_environment(lambda seed: None, num_steps=0), "num_steps"),
    ],
)
def test_fault_13_arguments_of_functions_around_a_run(call, name: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^{name} must be"):
        call()
