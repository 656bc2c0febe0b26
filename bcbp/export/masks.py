"""Masks as a file that restores the plan: bool tensors per layer, and the plan itself in the header."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from bcbp.errors import ModelError
from bcbp.export.base import Pruned
from bcbp.geometry import TileShape
from bcbp.intake.model import LoadedModel
from bcbp.mask import Mask
from bcbp.plan import PruningPlan

FORMAT, VERSION = "bcbp-masks", "1"
_PARTS = ("keep", "rows", "order")


@dataclass(frozen=True)
class Masks:
    name: str = "masks"
    title: str = "Masks"
    description: str = (
        "masks.safetensors: for each layer LAYER.keep, which columns every tile keeps (bool, tiles x K), and "
        "LAYER.rows, which filters are kept (bool, M), and LAYER.order, which filters share a tile (int64, M). "
        "bcbp.read_masks(file, model) gives the plan back; it checks that the dense weights are the same."
    )
    needs: tuple[str, ...] = ()

    def write(self, pruned: Pruned, folder: Path) -> tuple[Path, ...]:
        path = folder / "masks.safetensors"
        tensors = {
            f"{planned.name}.{part}": getattr(planned.mask, part).contiguous()
            for planned in pruned.plan
            for part in _PARTS
        }
        plan = pruned.plan.to_json()
        for layer in plan["layers"]:
            layer["mask"] = {name: value for name, value in layer["mask"].items() if name not in _PARTS}
        header = {"format": FORMAT, "version": VERSION, "plan": json.dumps(plan)}
        save_file(tensors, path, pruned.metadata() | header)
        return (path,)


def read_masks(path: Path | str, model: LoadedModel) -> PruningPlan:
    """The plan that a file of masks was written from.

    Raises ModelError for a file that is none, of another version, or of other dense weights than the model's.
    """
    try:
        with safe_open(str(path), framework="pt") as file:
            header = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
    except (OSError, SafetensorError) as error:
        raise ModelError(f"Expected a file of masks (safetensors); {path} is none: {error}") from error
    if header.get("format") != FORMAT or header.get("version") != VERSION:
        found = f"{header.get('format', 'no format')} {header.get('version', '')}".strip()
        raise ModelError(f"Expected {FORMAT} of version {VERSION} in {path}; got {found}. Export it again.")
    if header.get("dense_digest") != model.digest:
        raise ModelError(
            f"Expected masks of {model.name} with weights {model.digest[:12]}; {path} has those of "
            f"{header.get('model')} with {header.get('dense_digest', '')[:12]}. Load that model."
        )
    try:
        plan = json.loads(header["plan"])
        for layer in plan["layers"]:
            keep, rows, order = (tensors[f"{layer['name']}.{part}"] for part in _PARTS)
            tile = TileShape(layer["mask"]["tile"], layer["mask"]["k_step"])
            layer["mask"] = Mask(keep, rows, tile, order).to_json()
        return PruningPlan.from_json(plan)
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(f"Expected a whole file of masks; {path} is damaged: {error}") from error


MASKS = Masks()
