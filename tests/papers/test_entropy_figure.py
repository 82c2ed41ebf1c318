"""The figure of the samplers' entropies, from its flags to its files, on few small configurations."""

from __future__ import annotations

import csv

import matplotlib.image

from expol_tf.cli.commands.figures import figures_main
from expol_tf.papers.entropy import evaluation as entropy_evaluation

FEW = {
    "SIGMAS": (0.1, 5.0),
    "KERNEL_PARTICLES": (5, 8),
    "COMPONENTS": (1, 2),
    "VARIANCES": (1.0,),
    "SIZES": ((1.0, 6),),
    "DRIFT": (1,),
    "JOINT_PARTICLES": (3, 4),
    "NUM_PARTICLES": 12,
}


def test_the_figure_end_to_end(tmp_path, monkeypatch, capsys):
    for name, few in FEW.items():
        monkeypatch.setattr(entropy_evaluation, name, few)
    arguments = ("--num_seeds=2", "--seed=5", "--iterations=2")
    assert figures_main(["figures", "--figure=entropy", f"--output_dir={tmp_path}", *arguments]) == 0
    with (tmp_path / "entropy.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == entropy_evaluation.num_evaluations()
    assert {row["part"] for row in rows} == {
        "samplers", "kernel", "components", "variance", "drift", "joint",
    }  # fmt: skip
    assert [row["sampler"] for row in rows[:8:2]] == list(entropy_evaluation.SAMPLERS)
    assert {row["seeds"] for row in rows} == {"2"}
    # One particle's own map has a trace; the trace of SVGD's is the paper's formula.
    assert {row["density"] for row in rows if row["sampler"] != "SVGD"} == {"trace", "logdet"}
    assert {row["density"] for row in rows if row["sampler"] == "SVGD"} == {
        "printed", "logdet", entropy_evaluation.OWN_TERM, entropy_evaluation.JOINT,
    }  # fmt: skip
    for row in rows:
        assert float(row["entropy_min"]) <= float(row["entropy_mean"]) <= float(row["entropy_max"])
    for name, width in (("entropy", 2000), ("entropy_kernel", 500)):
        picture = matplotlib.image.imread(tmp_path / f"{name}.png")
        assert picture.shape[1] > width and picture[..., :3].std() > 0.01
    printed = capsys.readouterr()
    assert "| samplers | SVGD | printed | 5.0 | 2 | 12 |" in printed.out
    assert f"entropy: {len(rows)} / {len(rows)} parts (100%) | joint" in printed.err
