"""What an export is asked to do, as one frozen value, checked where it enters."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, fields
from typing import Any

from bcbp.errors import SpecError
from bcbp.export import EXPORTS
from bcbp.intake.architectures import check_model
from bcbp.names import check_names
from bcbp.preprocessing import Adjustment
from bcbp.recovery.tuning import Tuning
from bcbp.request import check_distinct, listed
from bcbp.spec import PruneSpec

# ONNX needs libraries beyond those of this project, so it is there for who asks.
USUAL = tuple(name for name, export in EXPORTS.items() if not export.needs)


@dataclass(frozen=True)
class ExportRequest:
    """Prune and recover `model` by `spec`, and write it in each of `forms`, names out of EXPORTS.

    `tuning` holds where the spec's recovery is "finetune"; `data` and `adjustment` are those
    of a comparison.
    """

    model: str = "sample"
    spec: PruneSpec = field(default_factory=PruneSpec)
    tuning: Tuning = field(default_factory=Tuning)
    forms: tuple[str, ...] = USUAL
    data: str | None = None
    adjustment: Adjustment = field(default_factory=Adjustment)

    def __post_init__(self) -> None:
        """Raises SpecError or ModelError for anything that cannot be carried out."""
        check_model(self.model)
        check_names(self.spec)
        check_distinct("forms", self.forms)
        unknown = [form for form in self.forms if form not in EXPORTS]
        if unknown or not self.forms:
            raise SpecError(f"Expected forms out of {listed(EXPORTS)}; got {listed(unknown) or 'none'}.")

    @property
    def title(self) -> str:
        """The request in a few words, for lists of runs."""
        masks = f" · masks {self.spec.masks}" if self.spec.masks else ""
        return f"export of {self.model} · {self.spec.pattern} · ratio {self.spec.ratio:g}{masks}"

    @property
    def id(self) -> str:
        """Twelve digits of the content: the name of its folder, which no later field changes while empty."""
        content = self.to_json()
        if not self.adjustment:
            del content["adjustment"]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]

    def to_json(self) -> dict[str, Any]:
        return {
            "model": self.model,
            "spec": self.spec.to_json(),
            "tuning": self.tuning.to_json(),
            "forms": list(self.forms),
            "data": self.data,
            "adjustment": self.adjustment.to_json(),
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> ExportRequest:
        """Inverse of `to_json`; fields left out keep their default. Raises SpecError for unknown fields."""
        unknown = set(data) - {known.name for known in fields(cls)}
        if unknown:
            raise SpecError(f"Unknown field in a request to export: {listed(sorted(unknown))}.")
        values = dict(data)
        if "spec" in values:
            values["spec"] = PruneSpec.from_json(values["spec"])
        if "tuning" in values:
            values["tuning"] = Tuning.from_json(values["tuning"])
        if "adjustment" in values:
            values["adjustment"] = Adjustment.from_json(values["adjustment"])
        if "forms" in values:
            values["forms"] = tuple(values["forms"])
        return cls(**values)
