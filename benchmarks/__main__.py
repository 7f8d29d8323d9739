"""The command line of the benchmarks: ``python -m benchmarks --help``."""

import sys

from benchmarks.commands import main

sys.exit(main())
