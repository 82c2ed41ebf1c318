"""The code of the pages on writing a policy and an update rule, and on K-FAC alone, does what they say."""

from __future__ import annotations

import csv
import functools
import pathlib
import re

import gin
import numpy as np
import pytest

import expol_tf
from expol_tf.networks import CriticNetwork
from expol_tf.training import OffPolicyRunner
from tests.agents import small_agents as small

DOCS = pathlib.Path(__file__).absolute().parents[2] / "docs"


@pytest.fixture
def run_page(tmp_path, monkeypatch):
    """Returns a function that runs a page's Python from top to bottom and returns its names."""
    monkeypatch.chdir(tmp_path)

    def run(page):
        text = (DOCS / page).read_text(encoding="utf-8")
        names = {"__name__": page.removesuffix(".md")}
        for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
            exec(compile(block, page, "exec"), names)
        return names

    yield run
    gin.clear_config()


def columns(path):
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return {name: np.array([float(row[name] or "nan") for row in rows]) for name in rows[0]}


def test_writing_a_policy(run_page, capsys):
    names = run_page("writing_a_policy.md")
    offered = capsys.readouterr().out.splitlines()[0]
    assert "log_prob" in offered and "reparameterized_sample" in offered and "'kl'" not in offered
    table = columns("runs/student/metrics.csv")
    assert len(table["kl"]) == 2 and np.all(np.isfinite(table["kl"])) and np.all(table["kl"] > 0)
    assert names["result"].env_step == 512
    # Tails far beyond a Gaussian's, at the same scale.
    distribution, _ = names["actor_network"](np.zeros([1, 3], np.float32))
    samples = distribution.sample(20_000, seed=[1, 2]).numpy()
    assert np.mean(np.abs(samples) > 4.0) > 0.01


def test_writing_an_update_rule(run_page):
    names = run_page("writing_an_update_rule.md")
    table = columns("runs/penalty/metrics.csv")
    assert np.all(table["surrogate"] > 0) and np.all(table["kl"] > 0)
    # 1, adapted once a row by 2 or ½ wherever the divergence missed its aim.
    expected, penalty = [], 1.0
    for kl in table["kl"]:
        penalty *= 2.0 if kl > 1.5 * 0.02 else 0.5 if kl < 0.02 / 1.5 else 1.0
        expected.append(penalty)
    np.testing.assert_allclose(table["penalty"], expected)
    assert names["result"].env_step == 768


def test_composing_an_off_policy_agent(run_page, capsys):
    names = run_page("composing_an_off_policy_agent.md")
    value = float(capsys.readouterr().out.splitlines()[0])
    grid = np.linspace(-1, 1, 20_001)
    assert abs(value - 0.5 * np.log(np.trapz(np.exp(-(grid**2)), grid))) < 0.01
    table = columns("runs/td3/metrics.csv")
    assert np.isnan(table["critic_loss"][0]) and np.all(np.isfinite(table["critic_loss"][1:]))
    assert names["result"].env_step == 600
    critics = names["two_critics"](small.OBSERVATION, small.box())
    assert critics((np.zeros([5, 3], np.float32), np.zeros([5, 2], np.float32)))[0].shape == [5, 2]


def test_kfac_alone(capsys):
    text = (DOCS / "acktr.md").read_text(encoding="utf-8")
    _, alone = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    names: dict = {}
    exec(compile(alone, "acktr.md", "exec"), names)
    assert "2 layers with Kronecker factors" in capsys.readouterr().out
    # log N(y; f, 1) at f = y is −½·log 2π.
    assert -0.5 * np.log(2 * np.pi) - float(names["report"].objective) < 0.05


@pytest.mark.parametrize("page", ["parpi.md", "nbp.md"])
def test_the_code_of_an_agents_page_trains(page, run_page, monkeypatch):
    """As it stands, but for the length of it."""
    train = expol_tf.train
    runner = functools.partial(OffPolicyRunner, warm_up_steps=100, batch_size=8)
    small_critic = functools.partial(CriticNetwork, hidden_units=(8,))

    def short(*args, **kwargs):
        return train(*args, **kwargs, critic_network=small_critic, runner=runner, num_env_steps=120)

    monkeypatch.setattr(expol_tf, "train", short)
    run_page(page)
    (table,) = pathlib.Path("runs").glob("*/metrics.csv")
    found = columns(table)
    explained = set(re.findall(r"`([a-z_]+)`", (DOCS / page).read_text(encoding="utf-8")))
    for name in found.keys() & explained:
        assert np.isfinite(found[name][-1]), name
    assert {"critic_loss", "actor_loss", "q_mean", "temperature"} <= found.keys() & explained
