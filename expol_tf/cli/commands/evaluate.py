"""The program `expol-evaluate`: flags → the task and the policy of a run → their returns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from absl import flags

from expol_tf.cli import user_path
from expol_tf.cli.commands.train import import_library, run_with_gin, use_device
from expol_tf.errors import ConfigurationError, RunDirectoryError
from expol_tf.runs import LOCK, DirectoryLock, RunFiles, reading


def evaluate_main(argv: Sequence[str] | None = None) -> int:
    """Evaluates the policy of a run; returns the exit status."""
    return run_with_gin("expol-evaluate", _define_flags, _evaluate, argv)


def _define_flags(values: flags.FlagValues) -> None:
    flags.DEFINE_string("root_dir", None, "Directory of the run.", flag_values=values)
    flags.DEFINE_integer("episodes", 10, "Number of episodes.", lower_bound=1, flag_values=values)
    flags.DEFINE_bool("deterministic", True, "Greedy actions instead of sampled ones.", flag_values=values)
    flags.DEFINE_integer("seed", 0, "Seed of episodes and actions.", lower_bound=0, flag_values=values)
    flags.DEFINE_string("video_path", None, "Write a video of one episode: .gif or .mp4.", flag_values=values)
    flags.DEFINE_string("device", None, '"auto", "cpu", "gpu" or "gpu:<index>".', flag_values=values)


def _evaluate(values: flags.FlagValues, arguments: list[str]) -> int:
    del arguments
    if not values.root_dir:
        raise ConfigurationError("--root_dir must name the directory of a run; got none.")
    files = RunFiles(user_path(values.root_dir))
    if not reading.is_there(files.config):
        holder = DirectoryLock(files.root / LOCK).holder()
        raise RunDirectoryError(
            f"--root_dir must be the directory of a run; {files.root} holds no config.gin. "
            + (
                f"A run is being started there ({holder}): wait for it."
                if holder
                else "Train one with expol-train."
            )
        )
    files.read_config()
    if not reading.is_there(files.policy):
        raise RunDirectoryError(
            f"--root_dir: the run in {files.root} has exported no policy yet. {files.when_exported()}"
        )
    from expol_tf.training import check_video_path, record_video

    if values.video_path:
        video_path = user_path(values.video_path)
        check_video_path(video_path)
    import_library()
    from expol_tf.environments import load_vector
    from expol_tf.random import stream
    from expol_tf.training import evaluate_policy, load_policy, recorded_task

    with recorded_task(files) as recorded:
        use_device(values.device)
        policy = load_policy(files.root, stream(values.seed, "acting"))
        task, options = recorded.task, recorded.options

        def act(observation: Any) -> Any:
            return policy.act(observation, deterministic=values.deterministic)

        seed = stream(values.seed, "evaluation")
        env = load_vector(task, min(values.episodes, 10), seed, **options)
        try:
            result = evaluate_policy(act, env, values.episodes, **recorded.limit)
        finally:
            env.close()
        actions = "greedy" if values.deterministic else "sampled"
        print(result.table(f"{task}, {values.episodes} episodes, {actions} actions"))
        if values.video_path:
            frames = record_video(act, task, video_path, 1, seed, **options, **recorded.limit)
            print(f"{frames} frames in {video_path}")
    return 0
