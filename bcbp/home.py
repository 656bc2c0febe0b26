"""Where this user's runs, measurements and models are kept."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def default_root() -> Path:
    """$BCBP_HOME, else the folder for application data of this user and platform."""
    if home := os.environ.get("BCBP_HOME"):
        return Path(home)
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData/Local")) / "bcbp"
    if sys.platform == "darwin":
        return Path.home() / "Library/Application Support/bcbp"
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local/share") / "bcbp"
