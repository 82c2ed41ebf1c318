"""The code of docs/composing_a_flow.md runs, and does what the page says."""

from __future__ import annotations

import pathlib
import re

import numpy as np

PAGE = pathlib.Path(__file__).absolute().parents[2] / "docs" / "composing_a_flow.md"


def test_the_page_runs(tmp_path, monkeypatch, capsys):
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) == 5
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), names)
    assert names["actions"].shape == (5, 2, 2) and names["log_prob"].shape == (5, 2)
    # What the comments say.
    said = "greedy_action, log_prob, reparameterized_sample, sample, sample_and_log_prob"
    assert said in PAGE.read_text(encoding="utf-8")
    first_line = capsys.readouterr().out.splitlines()[0]
    assert first_line == str(said.split(", "))
    # New couplings are close to the identity: the policy is close to N(L(s), I).
    np.testing.assert_allclose(names["greedy"], names["shift"], atol=0.02)
    np.testing.assert_allclose(names["entropy"], np.full(2, np.log(2 * np.pi * np.e)), atol=0.3)
    assert 0 < names["iteration"].metrics["kl"] <= 0.015
    assert names["agent"].train_step_counter == 3
