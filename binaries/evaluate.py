"""Evaluates a run: ./bazelw run //binaries:evaluate -- --root_dir=runs/nfp_trpo/Hopper-v5/seed0"""

import sys

from expol_tf.cli.commands.evaluate import evaluate_main

if __name__ == "__main__":
    sys.exit(evaluate_main())
