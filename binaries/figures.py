"""Makes a figure: ./bazelw run //binaries:figures -- --figure=gaussian_bandit --output_dir=figures"""

import sys

from expol_tf.analysis import figures_command

if __name__ == "__main__":
    sys.exit(figures_command.figures_main())
