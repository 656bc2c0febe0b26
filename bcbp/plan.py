"""What a planner decides: a mask for each pruned layer, as frozen values that JSON can hold."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, astuple, dataclass
from typing import Any

from bcbp.mask import Mask
from bcbp.spec import PruneSpec


@dataclass(frozen=True)
class Importance:
    """What is kept of an importance `total`, `before` and `after` filters were permuted.

    >>> Importance(10.0, 6.0, 7.0).shares
    (0.6, 0.7)
    """

    total: float
    before: float
    after: float

    @property
    def shares(self) -> tuple[float, float]:
        """Before and after, of the total; of nothing everything is kept."""
        total = self.total or 1.0
        return (self.before / total, self.after / total) if self.total else (1.0, 1.0)


@dataclass(frozen=True)
class LayerPlan:
    """One layer: GEMM `shape` (M, K), the `target` ratio asked of it, its `mask`, WIT before balancing.

    `importance` is there where a permutation was looked for, found or not.
    """

    name: str
    shape: tuple[int, int]
    target: float
    mask: Mask
    wit_before: float = 0.0
    importance: Importance | None = None

    @property
    def ratio(self) -> float:
        """Share of the layer's weights that the mask removes."""
        return self.mask.sparsity


@dataclass(frozen=True)
class Forecast:
    """What a plan under a latency budget is expected to take: the sum of its layers, each timed alone.

    `ms` and `dense_ms` are of the measured layers at `batch` images on `device`, pruned and dense; what lies
    between layers is not in them. `loss` is the sum of the layers' losses, shares of accuracy or importance
    as `loss_of` says; no choice within the budget has one below `bound`. `price` is a sentence on the next
    step, `reasons` one on every layer.
    """

    device: str
    batch: int
    budget_ms: float
    ms: float
    dense_ms: float
    loss: float
    bound: float
    loss_of: str
    price: str
    reasons: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class PruningPlan:
    """Every layer in scope of one model under one spec; layers that are not listed stay dense.

    `kept_dense` says (name, reason) for prunable layers that were left whole: excluded ones, which are not
    in `layers`, and those that cannot take the pattern, which are, with a full mask. `notes` are remarks
    for people. `forecast` is there under a latency budget.
    """

    spec: PruneSpec
    model_digest: str
    layers: tuple[LayerPlan, ...]
    kept_dense: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()
    forecast: Forecast | None = None

    def __iter__(self) -> Iterator[LayerPlan]:
        return iter(self.layers)

    def __getitem__(self, name: str) -> LayerPlan:
        return {layer.name: layer for layer in self.layers}[name]

    @property
    def sparsity(self) -> float:
        """Share of weights removed over the layers in scope, those with a full mask included."""
        total = sum(layer.shape[0] * layer.shape[1] for layer in self.layers)
        kept = sum(layer.mask.kept for layer in self.layers)
        return 1 - kept / total if total else 0.0

    @property
    def importance(self) -> Importance | None:
        """The sum over the layers that a permutation was looked for in; None if it was in none."""
        found = [layer.importance for layer in self.layers if layer.importance]
        sums = [sum(values) for values in zip(*map(astuple, found), strict=True)]
        return Importance(*sums) if found else None

    def to_json(self) -> dict[str, Any]:
        return {
            "schema": 1,
            "spec": self.spec.to_json(),
            "model_digest": self.model_digest,
            "kept_dense": [list(pair) for pair in self.kept_dense],
            "notes": list(self.notes),
            "forecast": asdict(self.forecast) if self.forecast else None,
            "layers": [
                {
                    "name": layer.name,
                    "shape": list(layer.shape),
                    "target": layer.target,
                    "wit_before": layer.wit_before,
                    "importance": asdict(layer.importance) if layer.importance else None,
                    "mask": layer.mask.to_json(),
                }
                for layer in self.layers
            ],
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> PruningPlan:
        """Inverse of `to_json`."""
        layers = tuple(
            LayerPlan(
                entry["name"],
                (entry["shape"][0], entry["shape"][1]),
                entry["target"],
                Mask.from_json(entry["mask"]),
                entry["wit_before"],
                Importance(**entry["importance"]) if entry.get("importance") else None,
            )
            for entry in data["layers"]
        )
        kept_dense = tuple((name, reason) for name, reason in data["kept_dense"])
        spec = PruneSpec.from_json(data["spec"])
        forecast = _read_forecast(data.get("forecast"))
        return cls(spec, data["model_digest"], layers, kept_dense, tuple(data["notes"]), forecast)


def _read_forecast(data: dict[str, Any] | None) -> Forecast | None:
    if data is None:
        return None
    return Forecast(**data | {"reasons": tuple((name, reason) for name, reason in data["reasons"])})
