"""Runs: training loops, their directories, checkpoints, evaluation and export."""

from __future__ import annotations

from expol_tf.lazy_exports import lazy_exports

# Imported when asked for: the programs answer --help and a misspelt file name without loading TensorFlow.
_HOMES = {
    "CheckpointStore": "checkpointing",
    "Course": "settings",
    "EvaluationResult": "evaluation",
    "Evaluator": "evaluation",
    "Experiment": "settings",
    "KeepBestPolicy": "observers",
    "Learner": "settings",
    "Observer": "observers",
    "OffPolicyRunner": "runners.off_policy_runner",
    "OnPolicyRunner": "runners.on_policy_runner",
    "Records": "settings",
    "RewardNormalizer": "runners.reward_normalizer",
    "StopAtReturn": "observers",
    "Task": "settings",
    "TrainingEvent": "observers",
    "TrainingResult": "training_loop",
    "UniformReplay": "runners.replay",
    "check_experiment": "experiment",
    "check_parts": "parts",
    "check_video_path": "video",
    "configure_devices": "devices",
    "configure_if_possible": "devices",
    "evaluate_policy": "evaluation",
    "export_critic": "export",
    "export_policy": "export",
    "load_policy": "export",
    "record_video": "video",
    "RecordedTask": "task_record",
    "recorded_task": "task_record",
    "require_device_name": "devices",
    "require_iteration": "settings",
    "run_experiment": "experiment",
    "train": "experiment",
}

__getattr__, __dir__, __all__ = lazy_exports(__name__, _HOMES)
