"""The code of algorithms' pages does what they say."""

from __future__ import annotations

import csv
import functools
import pathlib
import re

import gin
import numpy as np
import pytest
from scipy import integrate

import expol_tf
from expol_tf.distributions import capabilities, greedy_action
from expol_tf.networks import CriticNetwork
from expol_tf.testing import check_actor_network
from expol_tf.training import OffPolicyRunner
from tests.agents import small_agents as small

DOCS = pathlib.Path(__file__).absolute().parents[2] / "docs"


@pytest.fixture
def run_page(tmp_path, monkeypatch):
    """Returns a function that runs a page's Python from top to bottom and returns its names."""
    monkeypatch.chdir(tmp_path)

    def run(page):
        names = {"__name__": page.removesuffix(".md")}
        for block in blocks(page):
            exec(compile(block, page, "exec"), names)
        return names

    yield run
    gin.clear_config()


def columns(path):
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return {name: np.array([float(row[name] or "nan") for row in rows]) for name in rows[0]}


def blocks(page):
    """Returns the Python of a page."""
    return re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(encoding="utf-8"), re.DOTALL)


def test_the_value_alone_and_a_policy_without_a_density(capsys):
    names: dict = {}
    for block in blocks("sql.md")[-2:]:
        exec(compile(block, "sql.md", "exec"), names)
    value = float(capsys.readouterr().out)
    grid = np.linspace(-1, 1, 20_001)
    assert abs(value - 0.5 * np.log(integrate.trapezoid(np.exp(-(grid**2)), grid))) < 0.01
    check_actor_network(names["RingActorNetwork"])
    ring = names["RingActorNetwork"](small.OBSERVATION, small.box())(np.zeros([4, 3], np.float32))[0]
    assert ring.sample(100, seed=(0, 1)).shape == [100, 4, 2] and greedy_action(ring).shape == [4, 2]
    offered = capabilities(ring)
    assert "reparameterized_sample" in offered and not offered & {"log_prob", "sample_and_log_prob"}


def test_critics_of_your_own():
    names: dict = {}
    exec(compile(blocks("sac.md")[-1], "sac.md", "exec"), names)
    critics = names["two_critics"](small.OBSERVATION, small.box())
    assert critics((np.zeros([5, 3], np.float32), np.zeros([5, 2], np.float32)))[0].shape == [5, 2]


def test_kfac_alone(capsys):
    _, alone = blocks("acktr.md")
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
