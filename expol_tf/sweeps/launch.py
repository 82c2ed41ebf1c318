"""Starts a run's process so that it does not outlive the worker that watches it.

python -m expol_tf.sweeps.launch <pid of the worker> <program> <arguments>
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main(argv: list[str]) -> None:
    """Becomes the program; the kernel sends it a SIGTERM, on which it saves, when the worker ends."""
    worker, command = int(argv[0]), argv[1:]
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != worker:
            sys.exit(f"The worker {worker} has ended.")
    # Ray blocks SIGINT in its workers, which their children would inherit.
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    os.execv(command[0], command)


if __name__ == "__main__":
    main(sys.argv[1:])
