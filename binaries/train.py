"""Trains an experiment: ./bazelw run //binaries:train -- --gin_file=gin/nfp_trpo.gin"""

import sys

from expol_tf import console

if __name__ == "__main__":
    sys.exit(console.train())
