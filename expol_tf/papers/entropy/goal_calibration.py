"""What densities report on the task with two goals on the left and one on the right, beside what is true.

Particles repel each other in its two components, and its critic has ReLUs, so that no density is a close
bound there. The table says by how much each of them errs.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import gin

from expol_tf.configuration import applied, read_bindings, read_files, resolve
from expol_tf.distributions import SteinSampler
from expol_tf.papers.entropy.calibration import (
    Calibration,
    Target,
    calibrate,
    critic_target,
    require_training,
    require_whole,
)
from expol_tf.training import Experiment, run_experiment

EXPERIMENT, TASK, SIZE = "gin/s2ac_multi_goal.gin", "expol/AsymmetricMultiGoal-v0", 2
TEMPERATURES = (0.2, 1.0, 5.0)
# Between the bounds that the experiment sets, 0.70 and 1.
START_STD = 0.85


def calibrate_goals(seed: int, critic_steps: int) -> Iterator[Calibration]:
    """Yields a row for each temperature, with the sampler of the experiment and a critic trained by it.

    Args:
      seed: Of everything drawn.
      critic_steps: Environment steps for which each critic is trained.
    """
    for alpha in TEMPERATURES:
        target, sampler = trained_goal_critic(alpha, critic_steps, seed)
        yield calibrate(SIZE, START_STD, target, alpha, sampler, seed)


def trained_goal_critic(alpha: float, num_env_steps: int, seed: int) -> tuple[Target, SteinSampler]:
    """Runs the experiment; returns its critic at some of the task's states, and its sampler.

    Gin holds the experiment while it runs, and nothing afterwards.

    Args:
      alpha: α.
      num_env_steps: Steps of training.
      seed: Of training, and of the states.
    """
    bindings = (
        f"FixedTemperature.temperature = {alpha}",
        f"train.num_env_steps = {num_env_steps}",
        f"train.seed = {seed}",
        "train.eval_interval = 0",
    )
    configuration = resolve(read_files([EXPERIMENT]) + read_bindings(bindings))
    require_training(num_env_steps, configuration.value("OffPolicyRunner.warm_up_steps"))
    with tempfile.TemporaryDirectory() as directory, applied(configuration):
        root_dir = Path(directory) / "run"
        keywords = gin.get_bindings("expol_tf.train")
        require_whole(run_experiment(Experiment.of(**keywords, root_dir=root_dir), configuration))
        # With the experiment's settings.
        return critic_target("critic", TASK, root_dir, seed), SteinSampler()
