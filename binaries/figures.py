"""Makes a figure: ./bazelw run //binaries:figures -- --figure=gaussian_bandit --output_dir=figures"""

import sys

from expol_tf import console

if __name__ == "__main__":
    sys.exit(console.figures())
