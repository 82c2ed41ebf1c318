"""Runs a sweep: ./bazelw run //binaries:sweep -- --sweep_file=gin/sweeps/on_policy.gin"""

import sys

from expol_tf.distributed import sweep_command

if __name__ == "__main__":
    sys.exit(sweep_command.sweep_main())
