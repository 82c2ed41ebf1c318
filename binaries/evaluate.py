"""Evaluates a run: ./bazelw run //binaries:evaluate -- --root_dir=runs/nfp_trpo/Hopper-v5/seed0"""

import sys

from expol_tf.training import command_line

if __name__ == "__main__":
    sys.exit(command_line.evaluate_main())
