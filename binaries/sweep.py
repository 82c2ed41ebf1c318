"""Runs a sweep: ./bazelw run //binaries:sweep -- --sweep_file=gin/sweeps/on_policy.gin"""

import sys

from expol_tf import console

if __name__ == "__main__":
    sys.exit(console.sweep())
