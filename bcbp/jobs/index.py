"""What is known of ended runs without opening their files: an SQLite table beside the folders.

The folders are the truth. A line holds only as long as the folder has the time of change it was read at; the
file is made anew whenever it is missing, damaged or of another version, and nothing is lost with it.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

Json = dict[str, Any]
Known = Mapping[str, tuple[int, Json]]

INDEX_FILE = "index.sqlite"
_VERSION = 1
# A folder that changed so recently may change again within the same tick of its clock.
_SETTLED_NS = 2_000_000_000
_WAIT_SECONDS = 2.0


class RunIndex:
    """Lines by run id: (the folder's time of change in ns, what was read); none where anything fails."""

    def __init__(self, root: Path) -> None:
        self._path = root / INDEX_FILE
        self._guard = threading.Lock()

    def known(self) -> Known:
        """Every line there is."""
        with self._guard, suppress(OSError, sqlite3.Error, ValueError):
            try:
                return self._read()
            except sqlite3.OperationalError:  # somebody else writes for long, or it cannot be opened
                return {}
            except (sqlite3.DatabaseError, ValueError):  # damaged, of another version, or no index at all
                self._forget()
        return {}

    def keep(self, lines: Iterable[tuple[str, int, Json]], gone: Iterable[str] = ()) -> None:
        """Add lines of (run id, the folder's time of change, what was read), and drop those `gone`."""
        settled = time.time_ns() - _SETTLED_NS
        rows = [(run, changed, json.dumps(read)) for run, changed, read in lines if changed < settled]
        dropped = [(run,) for run in gone]
        if not rows and not dropped:
            return
        with self._guard, suppress(OSError, sqlite3.Error):
            with self._open() as database:
                database.executemany("INSERT OR REPLACE INTO runs VALUES (?, ?, ?)", rows)
                database.executemany("DELETE FROM runs WHERE id = ?", dropped)
            database.close()

    def _read(self) -> Known:
        if not self._path.exists():
            return {}
        database = self._open()
        try:
            rows = database.execute("SELECT id, changed, read FROM runs").fetchall()
        finally:
            database.close()
        return {run: (changed, json.loads(read)) for run, changed, read in rows}

    def _open(self) -> sqlite3.Connection:
        """A connection of its own for each look: it survives forks, threads and the file's replacement."""
        database = sqlite3.connect(self._path, timeout=_WAIT_SECONDS)
        try:
            (version,) = database.execute("PRAGMA user_version").fetchone()
            if version not in (0, _VERSION):
                raise sqlite3.DatabaseError(f"expected version {_VERSION}, got {version}")
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("PRAGMA synchronous = NORMAL")
            with database:
                database.execute(
                    "CREATE TABLE IF NOT EXISTS runs (id TEXT PRIMARY KEY, changed INTEGER, read TEXT)"
                )
                database.execute(f"PRAGMA user_version = {_VERSION}")
        except BaseException:
            database.close()
            raise
        return database

    def _forget(self) -> None:
        """Remove the file with what SQLite keeps beside it; the next look begins anew."""
        for end in ("", "-wal", "-shm"):
            self._path.with_name(self._path.name + end).unlink(missing_ok=True)
