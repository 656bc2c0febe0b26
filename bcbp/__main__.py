"""`python -m bcbp`: the library from the command line, and the one command that draws.

Nobody imports this script, so it alone may look up at the dashboard (`tests/test_storeys.py`).
"""

from __future__ import annotations

import sys

from app.report_command import COMMAND as REPORT
from bcbp.cli import main

if __name__ == "__main__":
    sys.exit(main(more=(REPORT,)))
