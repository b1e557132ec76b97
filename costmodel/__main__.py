"""``python -m costmodel`` is the command line."""

import sys

from costmodel.cli import main

sys.exit(main())
