"""The register of figures: a new figure is a function, whose results are written and printed alike."""

from __future__ import annotations

import csv
import subprocess
import sys

import numpy as np
import pytest

from expol_tf.cli.commands.figures import figures_main
from expol_tf.errors import ConfigurationError, RunDirectoryError
from expol_tf.papers import FIGURES, RunOptions, Work, figure, make_figure


@pytest.fixture(autouse=True)
def own_register():
    """Figures that a test registers are gone after it."""
    before = dict(FIGURES)
    yield
    FIGURES.clear()
    FIGURES.update(before)


def squares(work):
    results = work.collect(
        (work.seed + i for i in range(work.num_seeds)), work.num_seeds, lambda x: f"{x} squared"
    )
    rows = [{"x": x, "square": float(x**2), "unknown": float("nan")} for x in results]
    work.write_csv([{"x": "none"}, *rows])
    return [["x", "x²"], *([str(x), str(x**2)] for x in results)]


def test_a_function_is_a_figure(tmp_path, capsys):
    figure("squares", "what squares are like", num_seeds=2, iterations=1)(squares)
    assert figures_main(["figures", "--help"]) == 0
    assert "squares          what squares are like" in capsys.readouterr().out
    assert figures_main(["figures", "--figure=squares", f"--output_dir={tmp_path}", "--seed=3"]) == 0
    printed = capsys.readouterr()
    assert "| 4 | 16 |" in printed.out
    first, second = printed.err.splitlines()
    assert first.startswith("squares: 1 / 2 parts (50%) | 3 squared | ")
    assert second.startswith("squares: 2 / 2 parts (100%) | 4 squared | ") and second.endswith("ETA 0:00:00")
    lines = (tmp_path / "squares.csv").read_text(encoding="utf-8").splitlines()
    assert lines == ["x,square,unknown", "none,,", "3,9,nan", "4,16,nan"]
    assert [path.name for path in tmp_path.iterdir()] == ["squares.csv"]


def test_the_defaults_are_the_figure_s_own(tmp_path):
    seen = []

    def remember(work):
        seen.append((work.num_seeds, work.iterations, work.seed, work.files))
        return [["nothing"]]

    figure("remember", "", 7, 50)(remember)
    make_figure("remember", tmp_path)
    make_figure("remember", tmp_path, num_seeds=2, iterations=3, seed=1)
    assert seen == [(7, 50, 0, []), (2, 3, 1, [])]


def test_a_figure_of_a_user_s_own_module(tmp_path, monkeypatch):
    monkeypatch.setenv("BUILD_WORKING_DIRECTORY", str(tmp_path))
    (tmp_path / "figures_of_the_user.py").write_text(
        "from expol_tf.papers import figure\n"
        "@figure('own', '', 1, 1)\n"
        "def own(work):\n"
        "    return [['name', work.name]]\n"
    )
    (tmp_path / "broken_figures.py").write_text("import no_such_package\n")
    assert "| name | own |" in make_figure("figures_of_the_user:own", tmp_path).table
    for name, problem in {
        "figures_of_the_user:owm": "got 'owm'. Did you mean 'own'",
        "no_such_figures:own": "the module 'no_such_figures' cannot be imported: there is none.",
        "broken_figures:own": "the module 'broken_figures' cannot be imported: No module named",
    }.items():
        with pytest.raises(ConfigurationError) as caught:
            make_figure(name, tmp_path)
        assert problem in str(caught.value)


def test_a_figure_of_runs_gets_their_directories(tmp_path):
    seen = []
    figure("runs_alone", "")(lambda work: seen.append(work) or [["nothing"]])
    make_figure("runs_alone", root_dirs=[tmp_path])
    assert seen[0].directory == tmp_path / "figures" and list(seen[0].root_dirs) == [tmp_path]
    assert not (tmp_path / "figures").exists()  # Nothing was written.


def test_a_name_is_given_once_and_numbers_together():
    def squares_of_another_module(work):
        return [["x"]]

    squares_of_another_module.__module__ = "another"
    figure("squares", "", 1, 1)(squares)
    figure("squares", "again", 1, 1)(squares)  # A module may be read twice.
    with pytest.raises(ConfigurationError, match="name must be a new one; 'squares' is the figure of"):
        figure("squares", "", 1, 1)(squares_of_another_module)
    with pytest.raises(ConfigurationError, match="must both be given, .* got 3 and None for 'half'"):
        figure("half", "", num_seeds=3)


def test_what_a_figure_has_no_use_for_is_refused(tmp_path):
    made = []
    figure("one", "", 1, 1, one_seed=True)(lambda work: made.append(work) or [["nothing"]])
    with pytest.raises(ConfigurationError, match="num_seeds must be 1 for one, which has one seed; got 2"):
        make_figure("one", tmp_path, num_seeds=2)
    figure("warm", "", run_options=("temperature",))(lambda work: made.append(work) or [["nothing"]])
    with pytest.raises(ConfigurationError, match="--obstacle is not for warm, .* got True"):
        make_figure("warm", root_dirs=[tmp_path], run_options=RunOptions(temperature=1.0, obstacle=True))
    with pytest.raises(ConfigurationError, match="run_options must be among .*; got alpha for 'hot'"):
        figure("hot", "", run_options=("alpha",))
    assert not made
    make_figure("one", tmp_path)
    make_figure("warm", root_dirs=[tmp_path], run_options=RunOptions(temperature=1.0))
    assert len(made) == 2 and made[1].options.temperature == 1.0


def test_files_that_cannot_be_written_are_named(tmp_path):
    (tmp_path / "file").touch()
    computed = []
    work = Work("x", tmp_path / "file" / "below", 0)
    with pytest.raises(RunDirectoryError, match="--output_dir must be a directory that can be written"):
        work.collect((computed.append(i) for i in range(3)), 3, str)
    assert not computed  # It is said before the work.
    with pytest.raises(RunDirectoryError, match="cannot write .*x.csv"):
        work.write_csv([{"a": 1}])


def test_numbers_in_cells_have_six_digits(tmp_path):
    work = Work("cells", tmp_path, 0)
    work.write_csv([{"a": np.float64(1 / 3), "b": 10**9, "c": True, "d": "x"}])
    with (tmp_path / "cells.csv").open(newline="", encoding="utf-8") as file:
        assert list(csv.reader(file)) == [["a", "b", "c", "d"], ["0.333333", "1000000000", "True", "x"]]


def test_listing_the_figures_needs_no_tensorflow():
    code = (
        "import sys; from expol_tf.papers import FIGURES, summaries; summaries();"
        "print(sorted({'tensorflow', 'matplotlib', 'pandas'} & set(sys.modules)), *FIGURES)"
    )
    printed = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert printed.split()[0] == "[]" and {"kl_ball", "multigoal"} <= set(printed.split())
