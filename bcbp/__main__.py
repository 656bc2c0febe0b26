"""`python -m bcbp`: the library from the command line."""

from __future__ import annotations

import sys

from bcbp.cli import main

if __name__ == "__main__":
    sys.exit(main())
