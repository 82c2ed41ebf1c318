"""How much of the machine other processes used while something was measured."""

from __future__ import annotations

import os
import resource
import time
from pathlib import Path


class Interference:
    """Counts processor time from its construction on that is neither this process's nor its ended children's.

    The load average cannot tell a measurement from what disturbs it; this can. Time that the host of a
    virtual machine took away counts as others'.
    """

    def __init__(self) -> None:
        self._start = self._now()

    def cores(self) -> float:
        """Returns the mean number of cores that others used; 0 where the system does not say (not Linux)."""
        elapsed, busy, own = (now - then for now, then in zip(self._now(), self._start, strict=True))
        return max(0.0, busy - own) / elapsed if elapsed > 0 else 0.0

    @staticmethod
    def _now() -> tuple[float, float, float]:
        """Returns the seconds of the clock, of all processors' work, and of ours."""
        usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        own = sum(usage.ru_utime + usage.ru_stime for usage in usages)
        statistics = Path("/proc/stat")
        if not statistics.exists():
            return time.perf_counter(), own, own
        first_line = statistics.read_text().partition("\n")[0]
        user, nice, system, _, _, irq, softirq, steal = map(int, first_line.split()[1:9])
        ticks = user + nice + system + irq + softirq + steal
        return time.perf_counter(), ticks / os.sysconf("SC_CLK_TCK"), own
