"""Counts for `signals.Signalling`, apart from it: what its code names is a part of a run's configuration."""

from __future__ import annotations

# Steps taken over all environments, and those at which a SIGTERM is sent.
STEPS: list[int] = []
AT: list[int] = []
