"""Evaluates a run: ./bazelw run //binaries:evaluate -- --root_dir=runs/nfp_trpo/Hopper-v5/seed0"""

import sys

from expol_tf import console

if __name__ == "__main__":
    sys.exit(console.evaluate())
