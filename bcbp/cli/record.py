"""A benchmark's JSON file: written after every row, taken up again by the next run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bcbp.errors import SpecError
from bcbp.files import read_json, write_json
from bcbp.runtime import CPU, GPU
from kernels.device import gpu_state

Json = dict[str, Any]
SCHEMA = 1
ACCURACY = "accuracy"
# What two runs must share for their rows to stand in one file, by what is measured: a device, or accuracy.
_CONDITIONS = {CPU: ("cpu", "threads", "versions"), GPU: ("gpu", "versions"), ACCURACY: ("study", "versions")}


class Record:
    """The rows of a benchmark `kind` and the conditions it ran under; `path` None keeps them in memory."""

    def __init__(self, path: Path | None, kind: str, environment: Json) -> None:
        self.path, self.kind, self.environment = path, kind, environment
        self.rows: list[Json] = []
        self._earlier: list[Json] = []

    def resume(self, measured: str) -> int:
        """Take over the rows that the file holds already, of a device or ACCURACY; gives their number.

        Raises SpecError for a file that is no record of this kind, or of another machine or version.
        """
        if self.path is None or not self.path.exists() or not self.path.stat().st_size:
            return 0
        held = read_json(self.path) or {}
        environment, rows = held.get("environment"), held.get("rows")
        if held.get("kind") != self.kind or not isinstance(environment, dict) or not isinstance(rows, list):
            raise SpecError(
                f"Expected {self.path} to hold rows of {self.kind}; it does not. Name another file."
            )
        for name in _CONDITIONS[measured]:
            if environment.get(name) != self.environment[name]:
                raise SpecError(
                    f"Expected rows measured with {name} {self.environment[name]} in {self.path}; "
                    f"they were with {environment.get(name)}. Name another file."
                )
        self.rows = rows
        self._earlier = [*held.get("earlier", []), environment]
        return len(rows)

    def measured(self) -> None:
        """Save, with the state of the GPU now that it has just worked."""
        self.environment["gpu_state"] = gpu_state()
        self.save()

    def save(self) -> None:
        """Replace the file in one step; `earlier` lists the conditions of the runs before this one."""
        if self.path is not None and self.rows:
            data = {"schema": SCHEMA, "kind": self.kind, "environment": self.environment, "rows": self.rows}
            write_json(self.path, data | ({"earlier": self._earlier} if self._earlier else {}))
