"""Reports on runs: ./bazelw run //binaries:report -- --root_dir=runs --output_dir=report"""

import sys

from expol_tf import console

if __name__ == "__main__":
    sys.exit(console.report())
