"""The reader of uploads as it is, which then notes how much memory it took at most."""

from __future__ import annotations

import sys
from pathlib import Path

from bcbp.intake.child import main

PEAK = "peak-kib"

if __name__ == "__main__":
    main(*sys.argv[1:])
    status = (
        Path("/proc/self/status").read_text().split()
    )  # of this program, where getrusage counts its parent's
    (Path(sys.argv[2]) / PEAK).write_text(status[status.index("VmHWM:") + 1])
