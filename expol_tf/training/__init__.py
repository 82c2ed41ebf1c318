"""Training runs: loops, run directories, checkpoints, metrics, evaluation and export."""
