"""Reports on runs: ./bazelw run //binaries:report -- --root_dir=runs --output_dir=report"""

import sys

from expol_tf.cli.commands.report import report_main

if __name__ == "__main__":
    sys.exit(report_main())
