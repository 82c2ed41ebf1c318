"""Expressive policies for reinforcement learning on TensorFlow, TensorFlow Probability and TF-Agents."""

from __future__ import annotations

__version__ = "0.1.0"
