"""Run directories as `train` leaves them, with returns that are written down instead of learned."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np

VERSIONS = {"expol_tf": "0.1.0", "python": "3.11.7", "tensorflow": "2.15.1"}


def write_run(
    directory: pathlib.Path,
    task: str = "Hopper-v4",
    seed: int = 0,
    returns: Sequence[float] = (1.0, 2.0, 3.0),
    *,
    env_steps: Sequence[int] | None = None,
    episodes: Sequence[int] | None = None,
    evaluations: Sequence[tuple[int, float]] = (),
    settings: Mapping[str, str] | None = None,
    num_env_steps: int | None = None,
    versions: Mapping[str, str] = VERSIONS,
    environment: Mapping[str, object] | None = None,
) -> pathlib.Path:
    """Writes a run: `returns` by iteration of 1,000 steps and 100 episodes, unless told otherwise."""
    directory.mkdir(parents=True)
    steps = [1000 * (i + 1) for i in range(len(returns))] if env_steps is None else list(env_steps)
    counts = [100 * (i + 1) for i in range(len(returns))] if episodes is None else list(episodes)
    target = num_env_steps if num_env_steps is not None else (steps[-1] if steps else 1000)
    settings = dict(settings or {})
    config = [
        f"TASK = {task!r}", f"NUM_ENV_STEPS = {target}", f"SEED = {seed}", "",
        "train.task = %TASK", "train.num_env_steps = %NUM_ENV_STEPS", "train.seed = %SEED",
        "train.backend = 'sync'  # default",
    ]  # fmt: skip
    defaults = {"TrustRegion.max_kl": "0.01  # default"}
    config += [f"{name} = {value}" for name, value in (defaults | settings).items()]
    (directory / "config.gin").write_text("\n".join(config) + "\n")
    fingerprint = {"train.task": repr(task), **settings}
    (directory / "fingerprint.json").write_text(json.dumps(fingerprint))
    recorded = {"seed": seed, "versions": dict(versions), **(environment or {})}
    (directory / "environment.json").write_text(json.dumps(recorded))
    lines = [
        "iteration,env_step,wall_time_s,env_steps_per_s,episode_return_mean,episode_length_mean,episodes,kl"
    ]
    for i, (step, value, count) in enumerate(zip(steps, returns, counts, strict=True)):
        cell = "" if not np.isfinite(value) else repr(float(value))
        lines.append(f"{i + 1},{step},{step / 500},500.0,{cell},100.0,{count},0.01")
    (directory / "metrics.csv").write_text("\n".join(lines) + "\n")
    if evaluations:
        rows = [f"{step},{value!r},1.0,100.0,10" for step, value in evaluations]
        text = "\n".join(["env_step,return_mean,return_std,length_mean,episodes", *rows]) + "\n"
        (directory / "evaluation.csv").write_text(text)
    return directory


def write_study(
    root: pathlib.Path,
    levels: Mapping[str, Mapping[str, float]],
    seeds: Sequence[int] = (0, 1, 2),
    rows: int = 60,
    settings: Mapping[str, Mapping[str, str]] | None = None,
) -> pathlib.Path:
    """Writes runs whose returns rise to about `levels[experiment][task]`, with evaluations somewhat above."""
    for experiment, tasks in levels.items():
        for task, level in tasks.items():
            for seed in seeds:
                rng = np.random.default_rng([seed, len(experiment), len(task), int(abs(level))])
                progress = 1 - np.exp(-np.linspace(0.05, 1, rows) * rng.uniform(2, 5))
                noise = np.cumsum(rng.normal(size=rows)) * 0.015 + rng.normal(size=rows) * 0.02
                returns = level * (progress + noise + rng.normal() * 0.05)
                steps = [8192 * (i + 1) for i in range(rows)]
                write_run(
                    root / experiment / task / f"seed{seed}",
                    task,
                    seed,
                    returns.tolist(),
                    env_steps=steps,
                    episodes=[25 * (i + 1) for i in range(rows)],
                    evaluations=[
                        (step, float(value * 1.05))
                        for step, value in zip(steps[5::6], returns[5::6], strict=True)
                    ],
                    settings=(settings or {}).get(experiment),
                )
    return root
