"""Runs a sweep: ./bazelw run //binaries:sweep -- --sweep_file=gin/sweeps/on_policy.gin"""

import sys

from expol_tf.cli.commands.sweep import sweep_main

if __name__ == "__main__":
    sys.exit(sweep_main())
