"""What pruning one layer alone costs in accuracy, as measured: rows, and one file a scan that each row joins.

A scan is found by its content: the weights of the model, what was pruned how, and the images. A row holds a
drop with its interval, or the reason why there is none. "Not measured" is never "robust".
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from bcbp.fields import FieldError, check_environment, read_fields
from bcbp.files import read_json, write_json

SCHEMA = 1
Json = dict[str, Any]


@dataclass(frozen=True)
class ScanKey:
    """All that the drops of a scan follow from, besides layer and ratio.

    `digest` is that of the model; `images` of the validation part are answered, batch norms re-estimated on
    `calibration` images. `source` is the digest of a data set of one's own.
    """

    digest: str
    pattern: str
    criterion: str
    tile: int
    images: int
    calibration: int
    seed: int
    source: str = ""

    @property
    def id(self) -> str:
        """Twelve digits of the content, without a source where that is none: so are earlier scans named."""
        content = asdict(self)
        if not self.source:
            del content["source"]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]


@dataclass(frozen=True)
class Sensitivity:
    """One layer at one ratio: answers `gained` and `lost` against dense, and the accuracy `drop` as a share.

    The drop has a 95 % `interval`. All are None where nothing was measured, for the `reason`.
    """

    layer: str
    ratio: float
    gained: int | None = None
    lost: int | None = None
    drop: float | None = None
    interval: tuple[float, float] | None = None
    reason: str = ""


@dataclass(frozen=True)
class Scan:
    """The rows of one key, in the order of measuring; `correct` answers of the dense network.

    `model` is what it was called, and `environment` where it was, when a row was last measured.
    """

    key: ScanKey
    correct: int
    rows: tuple[Sensitivity, ...] = ()
    model: str = field(default="", compare=False)
    environment: Json = field(default_factory=dict, compare=False)

    def __iter__(self) -> Iterator[Sensitivity]:
        return iter(self.rows)

    @property
    def accuracy(self) -> float | None:
        """Of the dense network on the validation images, as a share; None while none is known as right."""
        return self.correct / self.key.images if self.correct else None

    def with_row(self, row: Sensitivity) -> Scan:
        """With that row added, in place of an older one of the same layer and ratio."""
        others = tuple(one for one in self.rows if (one.layer, one.ratio) != (row.layer, row.ratio))
        return replace(self, rows=(*others, row))

    def of(self, layer: str) -> dict[float, Sensitivity]:
        """A layer's rows by ratio, ascending."""
        return {row.ratio: row for row in sorted(self.rows, key=lambda row: row.ratio) if row.layer == layer}

    @property
    def covered(self) -> int:
        """How many layers have a row at each ratio of the scan."""
        layers = Counter(row.layer for row in self.rows)
        return list(layers.values()).count(len({row.ratio for row in self.rows}))

    def to_json(self) -> Json:
        return {"schema": SCHEMA} | asdict(self) | {"rows": [asdict(row) for row in self.rows]}

    @classmethod
    def from_json(cls, data: Json) -> Scan:
        """Inverse of `to_json`. Raises FieldError for whatever else arrives."""
        if data.get("schema") != SCHEMA:
            raise FieldError(f"a sensitivity scan of schema {SCHEMA}")
        conditions = data.get("environment") or {}
        outer = ("schema", "environment")
        head = read_fields(_Head, {name: value for name, value in data.items() if name not in outer})
        rows = tuple(read_fields(Sensitivity, row) for row in head.rows)
        if conditions:
            check_environment(conditions, needs=("cpu", "date"))
        return cls(head.key, head.correct, rows, head.model, conditions)


@dataclass(frozen=True)
class _Head:
    key: ScanKey
    correct: int
    rows: list[Any]
    model: str = ""


class ScanStore:
    """The scans under `root`, one file each."""

    def __init__(self, root: Path) -> None:
        self._folder = root / "sensitivity"

    def path(self, key: ScanKey) -> Path:
        return self._folder / f"{key.id}.json"

    def read(self, key: ScanKey) -> Scan | None:
        """What was measured of it; None if nothing was, or nothing that can be read."""
        found = _scan_of(read_json(self.path(key)))
        return found if found is not None and found.key == key else None

    def find(self, **wanted: object) -> Scan | None:
        """Of the scans whose key has these values, the one that covers the most layers, of equals the one
        with the most images: one that has just begun stands behind a whole one. None if there is none.
        """
        files = map(read_json, sorted(self._folder.glob("*.json")))
        fit = (
            data
            for data in files
            if (key := _key_of(data)) and all(getattr(key, name) == one for name, one in wanted.items())
        )
        scans = [scan for scan in map(_scan_of, fit) if scan is not None]
        return max(scans, key=lambda scan: (scan.covered, scan.key.images), default=None)

    def write(self, scan: Scan) -> None:
        """Put the scan where `read` finds it. Raises OSError."""
        self._folder.mkdir(parents=True, exist_ok=True)
        write_json(self.path(scan.key), scan.to_json())


def _scan_of(data: Json | None) -> Scan | None:
    try:
        return Scan.from_json(data) if data is not None else None
    except FieldError:  # edited, or of another version: measured again
        return None


def _key_of(data: Json | None) -> ScanKey | None:
    try:
        return read_fields(ScanKey, (data or {}).get("key"))
    except FieldError:
        return None
