"""Trains an experiment: ./bazelw run //binaries:train -- --gin_file=gin/nfp_trpo.gin"""

import sys

from expol_tf.cli.commands.train import train_main

if __name__ == "__main__":
    sys.exit(train_main())
