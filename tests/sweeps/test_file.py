"""Sweep files as data, and the mistakes that people make in them."""

from __future__ import annotations

import math
import pathlib

import numpy as np
import pytest
from gin import config as gin_config

from expol_tf.errors import ConfigurationError
from expol_tf.sweeps import LogUniform, Sweep, Uniform, read_sweep

GOOD = """
FILES = ["gin/nfp_trpo.gin"]
Sweep.experiments = {"nfp": %FILES}
Sweep.tasks = ["gin/tasks/hopper.gin"]
Sweep.seeds = (0, 2)
Sweep.grid = {"train.actor_network": [@FlowActorNetwork, @GaussianActorNetwork]}
Sweep.draws = {"TrustRegion.max_kl": @delta/LogUniform(), "TrustRegion.damping": @Uniform()}
delta/LogUniform.low = 1e-3
delta/LogUniform.high = 1e-2
Uniform.low = 0.0
Uniform.high = 0.2
"""


@pytest.fixture
def read(tmp_path: pathlib.Path):
    def read(text: str) -> Sweep:
        (tmp_path / "sweep.gin").write_text(text)
        return read_sweep(tmp_path / "sweep.gin")

    return read


def test_a_file_is_read_and_gin_stays_as_it_is(read) -> None:
    before = gin_config.config_str()
    sweep = read(GOOD)
    assert sweep.experiments == {"nfp": ["gin/nfp_trpo.gin"]}
    assert sweep.tasks == ["gin/tasks/hopper.gin"] and sweep.seeds == (0, 2)
    assert [str(value) for value in sweep.grid["train.actor_network"]] == [
        "@FlowActorNetwork",
        "@GaussianActorNetwork",
    ]
    assert sweep.draws == {
        "TrustRegion.max_kl": LogUniform(1e-3, 1e-2),
        "TrustRegion.damping": Uniform(0.0, 0.2),
    }
    assert gin_config.config_str() == before


def test_an_include_is_overridden(read, tmp_path: pathlib.Path) -> None:
    (tmp_path / "base.gin").write_text(GOOD)
    sweep = read('include "base.gin"\nSweep.seeds = (7,)')
    assert sweep.seeds == (7,) and sweep.experiments == {"nfp": ["gin/nfp_trpo.gin"]}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Sweep.experimets = {}", "no parameter 'experimets'. Did you mean 'experiments'?"),
        ("Sweeep.seeds = (0,)", "got 'Sweeep'. Did you mean 'Sweep'?"),
        ("TrpoAgent.gamma = 0.9", 'goes into Sweep.bindings = ["TrpoAgent.gamma = 0.9"]'),
        ("NUM_ENV_STEPS = 10", "the macro NUM_ENV_STEPS is defined, but nothing uses it"),
        ("Sweep.seeds = (0, 1", "not valid gin syntax"),
        ("Sweep.seeds = (0, 1)", "Sweep.experiments must be set"),
        ("include 'nosuch.gin'", "the gin file 'nosuch.gin' does not exist"),
        ("include 'sweep.gin'", "includes itself"),
        ("A = %B\nB = %A\nSweep.seeds = %A", "is defined by itself"),
        (GOOD.replace("Uniform.low = 0.0\nUniform.high = 0.2", ""), "Uniform.high must be set"),
        (GOOD.replace("Uniform.low = 0.0", "Uniform.low = 0.3"), "low < high; got low=0.3, high=0.2"),
        (GOOD.replace("low = 1e-3", "low = 0"), "LogUniform.low must be positive; got 0."),
        (GOOD.replace("@Uniform()", "@Normal()"), "must be a Uniform or LogUniform; got @Normal()"),
        (GOOD + "other/Uniform.low = 1", "other/Uniform is bound, but Sweep.draws does not refer to it"),
        (GOOD.replace("(0, 2)", "3"), "Sweep.seeds must be a sequence of int; got 3"),
        (GOOD.replace("(0, 2)", "(0, -2)"), "Sweep.seeds must be 0 or more; got (0, -2)."),
        (GOOD.replace("(0, 2)", "(2, 2)"), "must differ"),
        (GOOD.replace("[@FlowActorNetwork, @GaussianActorNetwork]", "3"), "must be a sequence of values"),
        (GOOD.replace("train.actor_network", "TrustRegion.max_kl"), "is in Sweep.grid too"),
        (
            GOOD + "Sweep.bindings = 'NUM_ENVS = 3'",
            "Sweep.bindings must be a sequence of str; got",
        ),
        (GOOD.replace("%FILES", "[]").replace('{"nfp": []}', "{}").replace("FILES", "# "), "at least one"),
    ],
)
def test_a_mistake_is_named(read, text: str, words: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read(text)
    assert words in str(caught.value)


def test_a_missing_sweep_file_gets_the_nearest_name(tmp_path: pathlib.Path, monkeypatch) -> None:
    monkeypatch.setenv("BUILD_WORKING_DIRECTORY", str(tmp_path))
    with pytest.raises(ConfigurationError, match="Did you mean 'gin/sweeps/on_policy.gin'"):
        read_sweep("gin/sweeps/on_polcy.gin")
    assert read_sweep("sweeps/on_policy.gin").seeds == (0, 1, 2, 3, 4)


def test_draws_are_reproducible_and_have_their_distribution() -> None:
    draws = {"TrustRegion.max_kl": LogUniform(1e-3, 1e-2), "TrustRegion.damping": LogUniform(1e-3, 1e-2)}
    sweep = Sweep({"nfp": "gin/nfp_trpo.gin"}, draws=draws)
    assert sweep.drawn(3) == sweep.drawn(3)
    assert sweep.drawn(3)["TrustRegion.max_kl"] != sweep.drawn(3)["TrustRegion.damping"]
    other = Sweep({"nfp": "gin/nfp_trpo.gin"}, draws=draws, draw_seed=1)
    assert other.drawn(3) != sweep.drawn(3)
    logs = np.sort([math.log10(sweep.drawn(seed)["TrustRegion.max_kl"]) for seed in range(2000)])
    # Kolmogorov-Smirnov against U[-3, -2]; a right sampler exceeds this once in 10,000 draw seeds.
    distance = np.max(np.abs(logs + 3 - (np.arange(2000) + 0.5) / 2000))
    assert distance < 2.23 / math.sqrt(2000)
    assert -3 <= logs[0] and logs[-1] <= -2
