"""Makes a figure: ./bazelw run //binaries:figures -- --figure=gaussian_bandit --output_dir=figures"""

import sys

from expol_tf.cli.commands.figures import figures_main

if __name__ == "__main__":
    sys.exit(figures_main())
