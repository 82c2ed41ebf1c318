"""Trains an experiment: ./bazelw run //binaries:train -- --gin_file=gin/nfp_trpo.gin"""

import sys

from expol_tf.training import command_line

if __name__ == "__main__":
    sys.exit(command_line.train_main())
