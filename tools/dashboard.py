"""A dashboard in a process of its own, started as a person starts it, and a browser to look at it."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parent.parent
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
COLD_START_SECONDS = 60
SERVER_THREADS = 2  # so that passports made here are those of the server's machine


@dataclass(frozen=True)
class Server:
    address: str
    process: subprocess.Popen[bytes]


@contextmanager
def running_server(home: Path, **environment: str) -> Iterator[Server]:
    """A server on a free port with its runs in `home`, until SIGTERM. Raises RuntimeError."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = home / "server.log"
    settings = {"BCBP_HOME": str(home), "OMP_NUM_THREADS": str(SERVER_THREADS), **environment}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "streamlit", "run", "streamlit_app.py", "--server.port", str(port)],
            cwd=ROOT,
            env={**os.environ, **settings},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        _wait_for(f"http://127.0.0.1:{port}/_stcore/health", process, log)
        yield Server(f"http://127.0.0.1:{port}", process)
    finally:
        process.terminate()
        process.wait(timeout=20)


def _wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(4 * COLD_START_SECONDS):
        if process.poll() is not None:
            break
        try:
            urlopen(url, timeout=2).close()
            return
        except (URLError, OSError):
            time.sleep(0.25)
    raise RuntimeError(f"The server did not start:\n{log.read_text()[-3000:]}")


def find_chromium() -> str | None:
    """A Chromium on PATH, else Playwright's own; None if there is neither."""
    for name in NAMES:
        if found := shutil.which(name):
            return found
    with sync_playwright() as playwright:
        bundled = playwright.chromium.executable_path
    return bundled if Path(bundled).exists() else None
