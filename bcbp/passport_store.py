"""Passports as files: this machine's own, those imported from others, and those that ship as recorded.

ROOT/passports/live holds a file per device and conditions, ROOT/passports/imported one per imported file.
What is recorded ships with the product and is only read. The three never mix.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bcbp.files import is_disk_full, write_json
from bcbp.passport import HARDWARE, Passport, PassportError, check_size, read_passport

LIVE, EARLIER, IMPORTED, RECORDED = "live", "earlier", "imported", "recorded"
RECORDED_FOLDER = Path(__file__).resolve().parent.parent / "assets" / "recorded"

# What a time depends on beside the layer. With any of these changed, a new passport is begun.
_CONDITIONS = ("instruction_set", "usable_cores", "threads")
_VERSIONS = ("torch", "llvmlite", "triton")
_CACHED = 64  # parsed passports in memory


@dataclass(frozen=True)
class Stored:
    """A passport on disk, or the `problem` with it in one sentence. `id` is what links call it."""

    id: str
    origin: str
    path: Path
    passport: Passport | None
    problem: str | None = None


def identity(device: str, environment: Mapping[str, Any]) -> str:
    """Twelve digits that are the same for the same device under the same conditions."""
    versions = environment.get("versions") or {}
    parts = [device, environment.get(HARDWARE[device])]
    parts += [environment.get(name) for name in _CONDITIONS] + [versions.get(name) for name in _VERSIONS]
    return _digest(json.dumps(parts).encode())


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:12]


class PassportStore:
    """The passports under `root` and those in `recorded`."""

    def __init__(self, root: Path, *, recorded: Path = RECORDED_FOLDER) -> None:
        self._folder, self._recorded = root / "passports", recorded
        self._read: dict[Path, tuple[tuple[int, int], Stored]] = {}

    def live_path(self, device: str, environment: Mapping[str, Any]) -> Path:
        """The file of this device under these conditions, whether or not it is there yet."""
        return self._folder / LIVE / f"{device}-{identity(device, environment)}.json"

    def live(self, device: str, environment: Mapping[str, Any]) -> Passport | None:
        """What was measured here under these conditions; None if nothing was. Raises PassportError."""
        path = self.live_path(device, environment)
        if not path.exists():
            return None
        stored = self._stored(path, LIVE)
        if stored.passport is None:
            raise PassportError(f"{stored.problem} It is {path}: move it away and measure again.")
        return stored.passport

    def write_live(self, passport: Passport) -> None:
        """Put the passport where `live` finds it. Raises OSError."""
        path = self.live_path(passport.device, passport.environment)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, passport.to_json())

    def others(self, environment: Mapping[str, Any]) -> tuple[Stored, ...]:
        """Every passport but the live ones: recorded, imported, then earlier ones of other conditions."""
        here = {self.live_path(device, environment) for device in HARDWARE}
        return tuple(
            self._stored(path, origin)
            for origin, folder, pattern in (
                (RECORDED, self._recorded, "passport-*.json"),
                (IMPORTED, self._folder / IMPORTED, "*.json"),
                (EARLIER, self._folder / LIVE, "*.json"),
            )
            for path in sorted(folder.glob(pattern))
            if path not in here
        )

    def take_in(self, content: bytes) -> Stored:
        """Keep an imported file after it was checked. Raises PassportError."""
        passport = read_passport(content)
        path = self._folder / IMPORTED / f"{passport.device}-{_digest(content)}.json"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_json(path, passport.to_json())
        except OSError as error:
            cause = "the disk is full" if is_disk_full(error) else str(error.strerror)
            raise PassportError(
                f"Expected to store the passport in {path.parent}, but {cause}. Free some space."
            ) from error
        return self._stored(path, IMPORTED)

    def forget(self, stored: Stored) -> None:
        """Delete an imported passport."""
        assert stored.origin == IMPORTED, "only what was imported is ours to delete"
        stored.path.unlink(missing_ok=True)

    def _stored(self, path: Path, origin: str) -> Stored:
        """The file, parsed once per version of it."""
        stored_id = f"{origin}:{path.stem.removeprefix('passport-')}"
        try:
            stat = path.stat()
            version = (stat.st_mtime_ns, stat.st_size)
            cached = self._read.get(path)
            if cached and cached[0] == version:
                return cached[1]
            check_size(stat.st_size)
            found = Stored(stored_id, origin, path, read_passport(path.read_bytes()))
        except PassportError as error:
            found = Stored(stored_id, origin, path, None, str(error))
        except OSError as error:
            return Stored(stored_id, origin, path, None, f"The passport cannot be read: {error.strerror}.")
        while len(self._read) >= _CACHED:
            self._read.pop(next(iter(self._read)), None)
        self._read[path] = (version, found)
        return found
