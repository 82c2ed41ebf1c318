"""The code of docs/samplers.md runs and says what the page says, and what quadrature says."""

from __future__ import annotations

import pathlib
import re

import numpy as np
import pytest
import tensorflow as tf

PAGE = pathlib.Path(__file__).absolute().parents[2] / "docs" / "samplers.md"


def test_the_page_s_code_fits_the_posterior(capsys):
    text = PAGE.read_text(encoding="utf-8")
    (block,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    names: dict = {}
    exec(compile(block, str(PAGE), "exec"), names)
    nodes = np.linspace(-4.0, 5.0, 301)
    grid = np.stack(np.meshgrid(nodes + 2.5, nodes - 1.5), axis=-1).reshape([-1, 2])
    log_joint = names["log_joint"](tf.constant(grid, tf.float32)).numpy().astype(np.float64)
    evidence = np.log(np.sum(np.exp(log_joint)) * 0.03**2)
    density = np.exp(log_joint - evidence) * 0.03**2
    mean = density @ grid
    std = np.sqrt(density @ (grid - mean) ** 2)
    entropy = -density @ (log_joint - evidence)
    # The page's numbers.
    assert np.round(mean, 2) == pytest.approx([2.71, -1.58]) and np.round(std, 2) == pytest.approx(
        [0.65, 0.49]
    )
    assert entropy == pytest.approx(1.454, abs=1e-3) and evidence == pytest.approx(-25.95, abs=0.005)
    weights = names["weights"].numpy()
    np.testing.assert_allclose(weights.mean(axis=0), mean, atol=0.02)
    np.testing.assert_allclose(weights.std(axis=0), std, atol=0.05)
    assert names["entropy"].numpy() == pytest.approx(entropy, abs=0.05)
    assert evidence - 0.15 < names["evidence"].numpy() < evidence
    samples = names["samples"].particles.numpy()
    np.testing.assert_allclose(samples.mean(axis=0), mean, atol=0.15)
    np.testing.assert_allclose(samples.std(axis=0), std, atol=0.08)
    printed = capsys.readouterr().out
    said = re.findall(r"-?\d+\.\d+", printed)
    assert [f"{float(each):.2f}" for each in said[:4]] == ["2.71", "-1.58", "0.62", "0.49"]
