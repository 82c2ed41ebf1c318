"""Reports on runs: ./bazelw run //binaries:report -- --root_dir=runs --output_dir=report"""

import sys

from expol_tf.analysis import command_line

if __name__ == "__main__":
    sys.exit(command_line.report_main())
