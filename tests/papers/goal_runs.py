"""Directories like those of trained runs on the tasks with several goals, made by hand."""

from __future__ import annotations

import json

import tensorflow as tf


class Policy(tf.Module):
    """Walks to one of two goals by the sign of a coin, or greedily to the right, with some noise."""

    def __init__(self, std):
        super().__init__()
        self.std = std
        self.generator = tf.random.Generator.from_seed(0)
        self.generator_state = self.generator.state
        spec = [tf.TensorSpec([None, 2], tf.float32, "observation")]
        self.deterministic = tf.function(self._deterministic, input_signature=spec, autograph=False)
        self.sample = tf.function(self._sample, input_signature=spec, autograph=False)

    def _deterministic(self, observation):
        return {"action": tf.zeros_like(observation) + tf.constant([0.6, 0.0])}

    def _sample(self, observation):
        side = tf.where(observation[:, :1] >= 0, 0.6, -0.6)
        mean = tf.concat([side, -0.2 * observation[:, 1:]], axis=1)
        noise = self.std * self.generator.normal(tf.shape(observation))
        return {"action": tf.clip_by_value(mean + noise, -1.0, 1.0)}


class Critic(tf.Module):
    """Q(s, a) = −30‖a‖² + 8·a₁ − 0·s: derivatives are known."""

    def __init__(self):
        super().__init__()
        spec = [
            tf.TensorSpec([None, 2], tf.float32, "observation"),
            tf.TensorSpec([None, 2], tf.float32, "action"),
        ]
        self.q = tf.function(self._q, input_signature=spec, autograph=False)

    def _q(self, observation, action):
        bend = -30.0 * tf.reduce_sum(action**2, axis=1)
        return {"q": bend + 8.0 * action[:, 0] + 0.0 * observation[:, 0]}


def write_run(
    directory,
    task="expol/MultiGoal-v0",
    seed=0,
    critic=True,
    temperature=10.0,
    gamma=0.9,
    std=0.2,
    make_kwargs=None,
):
    """Writes a run's record, policy and critic."""
    directory.mkdir(parents=True)
    lines = [f"train.task = '{task}'", f"train.seed = {seed}", "train.num_env_steps = 100"]
    if gamma is not None:
        lines += [f"GAMMA = {gamma}", "expol_tf.CriticFit.gamma = %GAMMA"]
    if make_kwargs:
        lines.append(f"train.make_kwargs = {make_kwargs!r}")
    (directory / "config.gin").write_text("\n".join(lines) + "\n")
    (directory / "environment.json").write_text(json.dumps({"seed": seed, "versions": {}}))
    lines = ["env_step,episode_return_mean,episodes,wall_time_s"]
    lines += [f"{5 * row},-200.0,10,1.0" for row in range(1, 21)]
    if temperature is not None:
        # Entropies from 0.1 to 2.
        cells = ["temperature,entropy", *(f"{temperature},{0.1 * row}" for row in range(1, 21))]
        lines = [f"{line},{more}" for line, more in zip(lines, cells, strict=True)]
    (directory / "metrics.csv").write_text("\n".join(lines) + "\n")
    policy = Policy(std)
    signatures = {"deterministic": policy.deterministic, "sample": policy.sample}
    tf.saved_model.save(policy, str(directory / "policy"), signatures=signatures)
    if critic:
        module = Critic()
        tf.saved_model.save(module, str(directory / "critic"), signatures={"q": module.q})
    return directory
