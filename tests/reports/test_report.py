"""The report as a whole: numbers in its tables, files and pictures."""

from __future__ import annotations

import csv
import io

import imageio.v3 as imageio
import numpy as np
import pandas
import pytest

from expol_tf.errors import ConfigurationError, RunDirectoryError
from expol_tf.reports import tables, write_report
from expol_tf.reports.style import Palette
from tests.reports.synthetic import write_run, write_study

LEVELS = {
    "gaussian_trpo": {"Hopper-v4": 2000.0, "Own-v0": 5.0},
    "nfp_trpo": {"Hopper-v4": 3000.0, "Own-v0": 9.0},
}
PICTURES = (
    "learning_curves", "evaluation_curves", "aggregates", "improvement", "profiles", "sample_efficiency",
    "quantiles",
)  # fmt: skip


@pytest.fixture(scope="module", name="root")
def fixture_root(tmp_path_factory):
    return write_study(tmp_path_factory.mktemp("study"), LEVELS)


@pytest.fixture(scope="module", name="report")
def fixture_report(root, tmp_path_factory):
    output = tmp_path_factory.mktemp("report") / "out"
    return write_report([root], output, repetitions=100, command="expol-report --root_dir=runs")


def last_episodes(path, window=100):
    """The mean of a run's last episodes, from its file."""
    each, before = [], 0
    with path.open() as file:
        for row in csv.DictReader(file):
            each += [float(row["episode_return_mean"])] * (int(row["episodes"]) - before)
            before = int(row["episodes"])
    return np.mean(each[-window:])


def rows_of(table):
    lines = [line.strip("| ").split(" | ") for line in table.splitlines()]
    return [dict(zip(lines[0], line, strict=True)) for line in lines[2:]]


def test_the_table_holds_final_returns_by_hand(root, report):
    rows = {(row["task"], row["experiment"]): row for row in rows_of(report.table)}
    assert len(rows) == 4
    directory = root / "nfp_trpo" / "Hopper-v4"
    finals = [last_episodes(directory / f"seed{seed}" / "metrics.csv") for seed in range(3)]
    row = rows["Hopper-v4", "nfp_trpo"]
    assert row["final return"] == f"{np.mean(finals):.0f} ± {np.std(finals):.0f}"
    assert row["final return by seed"] == ", ".join(f"{i}: {v:.0f}" for i, v in enumerate(finals))
    assert row["runs"] == "3" and row["env steps"] == "491,520"
    evaluations = []
    for seed in range(3):
        with (directory / f"seed{seed}" / "evaluation.csv").open() as file:
            evaluations.append(float(list(csv.DictReader(file))[-1]["return_mean"]))
    expected = f"{np.mean(evaluations):.0f} ± {np.std(evaluations):.0f}"
    assert row["final greedy evaluation"] == expected


def test_the_page_says_everything(report):
    text = report.page.read_text()
    assert report.table in text and "expol-report --root_dir=runs" in text
    assert all(f"({name}.png)" in text for name in PICTURES)
    assert "tensorflow 2.15.1" in text and "rliable" in text and "100 stratified" in text
    # Where the scores come from, of a known task and of an unknown one.
    assert "| Hopper-v4 | 17.7 | 3542 | 0: mean of 100 episodes of uniformly random actions" in text
    assert "as no reference is known" in text
    assert "| gaussian_trpo | nfp_trpo |" in text
    assert report.notes == ()


def test_every_run_is_a_row(root, report):
    table = pandas.read_csv(report.page.parent / "results.csv")
    assert len(table) == 12 and set(table["outcome"]) == {"finished"}
    row = table[(table["task"] == "Own-v0") & (table["experiment"] == "gaussian_trpo") & (table["seed"] == 1)]
    path = root / "gaussian_trpo" / "Own-v0" / "seed1" / "metrics.csv"
    assert row["final_return"].item() == pytest.approx(last_episodes(path), rel=1e-5)
    assert row["compared_at"].item() == 491520


def test_curves_and_bands_agree(report):
    curves = pandas.read_csv(report.page.parent / "curves.csv")
    bands = pandas.read_csv(report.page.parent / "bands.csv")
    keys = ["curve", "task", "experiment", "env_step"]
    means = curves.groupby(keys)["return"].mean().reset_index().merge(bands, on=keys)
    assert len(means) == len(bands) > 800 and set(bands["curve"]) == {"training", "evaluation"}
    np.testing.assert_allclose(means["return"], means["mean"], rtol=1e-4)
    assert (bands["low"] <= bands["mean"] + 1e-3).all() and (bands["mean"] <= bands["high"] + 1e-3).all()
    assert (bands["runs"] == 3).all()


def test_aggregates_are_a_table(report):
    table = pandas.read_csv(report.page.parent / "aggregates.csv")
    iqm = table[table["quantity"] == "IQM"].set_index("experiment")
    last = table[table["quantity"] == "sample efficiency"].groupby("experiment").last()
    # At the end the sample efficiency is the IQM of the final returns.
    np.testing.assert_allclose(last["value"], iqm["value"], rtol=1e-4)
    assert iqm.loc["nfp_trpo", "value"] > iqm.loc["gaussian_trpo", "value"]


@pytest.mark.parametrize("name", PICTURES)
def test_pictures_show_both_experiments(report, name):
    picture = imageio.imread(report.page.parent / f"{name}.png")[..., :3].astype(int)
    assert min(picture.shape[:2]) > 150
    palette = Palette(list(LEVELS))
    for experiment in LEVELS if name != "improvement" else ["nfp_trpo"]:
        colour = palette.colour(experiment)
        rgb = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
        assert (np.abs(picture - rgb).max(axis=-1) < 12).sum() > 50, experiment


def test_the_same_runs_give_the_same_report(root, report, tmp_path):
    again = write_report([root], tmp_path, repetitions=100, command="expol-report --root_dir=runs")
    for path in report.files:
        assert (tmp_path / path.name).read_bytes() == path.read_bytes(), path.name
    assert again.table == report.table


def test_draws_are_shown_against_their_parameter(tmp_path):
    for index, kl in enumerate(["0.001", "0.003", "0.01", "0.02"]):
        settings = {"TrustRegion.max_kl": kl, "GaussianActorNetwork.hidden_units": f"({index}, 2)"}
        directory = tmp_path / "runs" / "a" / "Hopper-v4" / f"draw{index}" / "seed0"
        write_run(directory, returns=[100.0 * index], settings=settings)
    output = tmp_path / "report"
    report = write_report([tmp_path / "runs"], output, repetitions=20)
    assert "(sensitivity.png)" in report.page.read_text()
    assert imageio.imread(output / "sensitivity.png").shape[0] > 600  # a row a parameter
    table = pandas.read_csv(output / "results.csv")
    assert table["TrustRegion.max_kl"].tolist() == [0.001, 0.003, 0.01, 0.02]
    # Without the draws the older picture is gone, and with one experiment there is no other to compare with.
    write_report([tmp_path / "runs" / "a" / "Hopper-v4" / "draw0"], output, repetitions=20)
    names = {path.name for path in output.iterdir()}
    assert "sensitivity.png" not in names and "improvement.png" not in names


def test_what_is_special_about_the_runs_is_said(tmp_path):
    for seed in range(3):
        write_run(tmp_path / "a" / "Hopper-v4" / f"seed{seed}", seed=seed, episodes=[10, 20, 30])
        write_run(tmp_path / "a" / "Swimmer-v4" / f"seed{seed}", "Swimmer-v4", seed, returns=[1.0] * 6)
    sampled = {"Evaluator.deterministic": "False"}
    write_run(tmp_path / "b" / "Swimmer-v4" / "seed0", "Swimmer-v4", returns=[1.0] * 6, settings=sampled)
    report = write_report([tmp_path], tmp_path / "report", repetitions=20)
    text = "\n".join(report.notes)
    assert "fewer than 100 episodes, as no more had ended: a on Hopper-v4, seed 0 (30)" in text
    assert "The aggregates are over Swimmer-v4; not over Hopper-v4" in text
    assert "A single run, so no spread: b on Swimmer-v4" in text
    assert "no evaluation curve: a on Hopper-v4" in text
    assert "sampled instead of greedy actions: b" in text
    assert all(note in report.page.read_text() for note in report.notes)
    assert "–" in rows_of(report.table)[0]["final greedy evaluation"]


def test_more_runs_on_one_task_than_on_another_are_said(tmp_path):
    for seed in range(3):
        write_run(tmp_path / "a" / "Hopper-v4" / f"seed{seed}", seed=seed)
    write_run(tmp_path / "a" / "Swimmer-v4" / "seed0", "Swimmer-v4", returns=[1.0] * 6)
    report = write_report([tmp_path], tmp_path / "report", repetitions=20)
    assert any("a has 3 on Hopper-v4, elsewhere 1 runs" in note for note in report.notes)
    assert any("sample efficiency ends at 3,000" in note for note in report.notes)


def test_lengths_differ_and_the_table_compares_at_the_shortest(tmp_path):
    write_run(tmp_path / "a" / "Hopper-v4" / "seed0", returns=[1.0, 2.0, 3.0, 4.0])
    write_run(tmp_path / "a" / "Hopper-v4" / "seed1", seed=1, returns=[5.0, 6.0])
    report = write_report([tmp_path], tmp_path / "report", repetitions=20)
    (row,) = rows_of(report.table)
    assert row["final return"] == "4.00 ± 2.00" and row["env steps"] == "2,000 – 4,000"
    curves = pandas.read_csv(tmp_path / "report" / "curves.csv")
    assert curves["env_step"].max() == 2000


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ([3239.4, 3000.0], "3120 ± 120"),
        ([17.71, 17.73], "17.7 ± 0.0"),
        ([0.5], "0.50"),
        ([0.5, float("nan")], "0.50"),
        ([float("nan")], "–"),
        ([-5.0, -4.0], "-4.50 ± 0.50"),
    ],
)
def test_means_have_the_digits_that_they_need(values, text):
    assert tables.mean_std(values) == text


def test_tables_survive_bars_in_names():
    assert tables.markdown(["a"], [["x|y"]]).splitlines()[-1] == "| x\\|y |"


def test_csv_cells_are_short_and_missing_ones_empty():
    text = tables._csv(["a", "b", "c"], [[1.23456789, float("nan"), None]])
    assert pandas.read_csv(io.StringIO(text)).iloc[0].tolist()[0] == 1.23457
    assert text.splitlines()[1] == "1.23457,,"


def test_mistakes_are_one_message(root, tmp_path):
    with pytest.raises(ConfigurationError, match="--root_dir must name a directory with runs; got none"):
        write_report([], tmp_path / "report")
    with pytest.raises(ConfigurationError, match="--repetitions must be positive; got 0"):
        write_report([root], tmp_path / "report", repetitions=0)
    (tmp_path / "file").write_text("")
    with pytest.raises(RunDirectoryError, match="cannot write in --output_dir .*file"):
        write_report([root], tmp_path / "file", repetitions=20)


def test_peers_stand_beside_the_runs(root, tmp_path):
    path = tmp_path / "peer.csv"
    rows = [
        f"other,{task},{seed},{1000 * (i + 1)},{level + seed},100"
        for task, level in (("Hopper-v4", 2500.0), ("Own-v0", 7.0))
        for seed in (0, 1, 2)
        for i in range(3)
    ]
    path.write_text("peer,task,seed,env_step,episode_return,episode_length\n" + "\n".join(rows) + "\n")
    report = write_report([root], tmp_path / "out", repetitions=50, peer_csvs=[path])
    assert "other" in report.table
    with (tmp_path / "out" / "results.csv").open() as file:
        found = [row for row in csv.DictReader(file) if row["experiment"] == "other"]
    finals = {(row["task"], int(row["seed"])): float(row["final_return"]) for row in found}
    assert len(finals) == 6 and finals["Hopper-v4", 2] == 2502.0 and finals["Own-v0", 0] == 7.0


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("peer,task,seed,env_step\n", "episode_return"),
        ("peer,task,seed,env_step,episode_return\n", "0 rows"),
        ("peer,task,seed,env_step,episode_return\na,b,0,1000,fast\n", "line 2"),
        (None, "cannot be read"),
    ],
)
def test_a_table_of_a_peer_that_is_not_whole_is_refused(root, tmp_path, text, words):
    path = tmp_path / "peer.csv"
    if text is not None:
        path.write_text(text)
    with pytest.raises(RunDirectoryError, match=f"--peer_csv.*{words}"):
        write_report([root], tmp_path / "out", peer_csvs=[path])
