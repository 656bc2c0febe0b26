"""What a planner decides: a mask for each pruned layer, as frozen values that JSON can hold."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from bcbp.mask import Mask
from bcbp.spec import PruneSpec


@dataclass(frozen=True)
class LayerPlan:
    """One layer: its GEMM `shape` (M, K), the `target` ratio asked of it, its `mask`, and WIT before balancing."""

    name: str
    shape: tuple[int, int]
    target: float
    mask: Mask
    wit_before: float = 0.0

    @property
    def ratio(self) -> float:
        """Share of the layer's weights that the mask removes."""
        return self.mask.sparsity


@dataclass(frozen=True)
class PruningPlan:
    """Every pruned layer of one model under one spec; layers that are not listed stay dense."""

    spec: PruneSpec
    model_digest: str
    layers: tuple[LayerPlan, ...]

    def __iter__(self) -> Iterator[LayerPlan]:
        return iter(self.layers)

    def __getitem__(self, name: str) -> LayerPlan:
        return {layer.name: layer for layer in self.layers}[name]

    @property
    def sparsity(self) -> float:
        """Share of weights removed over the planned layers."""
        total = sum(layer.shape[0] * layer.shape[1] for layer in self.layers)
        kept = sum(layer.mask.kept for layer in self.layers)
        return 1 - kept / total if total else 0.0

    def to_json(self) -> dict[str, Any]:
        return {
            "schema": 1,
            "spec": self.spec.to_json(),
            "model_digest": self.model_digest,
            "layers": [
                {
                    "name": layer.name,
                    "shape": list(layer.shape),
                    "target": layer.target,
                    "wit_before": layer.wit_before,
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
            )
            for entry in data["layers"]
        )
        return cls(PruneSpec.from_json(data["spec"]), data["model_digest"], layers)
