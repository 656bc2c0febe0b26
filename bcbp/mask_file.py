"""Masks as a file that restores the plan: tensors per layer, and the plan itself in the header."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from bcbp.errors import ModelError
from bcbp.fields import FieldError, check_plain, read_fields
from bcbp.geometry import LayerInfo, TileShape
from bcbp.intake.headers import MASKS_FORMAT
from bcbp.intake.model import LoadedModel
from bcbp.mask import Mask
from bcbp.names import check_names
from bcbp.plan import Forecast, Importance, LayerPlan, PruningPlan
from bcbp.spec import PruneSpec

VERSION = "1"
_PARTS = ("keep", "rows", "order")
_AGAIN = "Export the masks again."


def write_masks(plan: PruningPlan, path: Path, metadata: Mapping[str, str]) -> None:
    """The masks of a plan, and with `metadata` the plan; one that came out of a file does not name it."""
    tensors = {
        f"{layer.name}.{part}": getattr(layer.mask, part).contiguous() for layer in plan for part in _PARTS
    }
    words = replace(plan, spec=replace(plan.spec, masks="")).to_json()
    for layer in words["layers"]:
        layer["mask"] = {name: value for name, value in layer["mask"].items() if name not in _PARTS}
    header = {"format": MASKS_FORMAT, "version": VERSION, "plan": json.dumps(words)}
    save_file(tensors, path, {**metadata, **header})


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
    return plan_of(header, tensors, model, str(path))


def plan_of(
    header: Mapping[str, str], tensors: Mapping[str, Tensor], model: LoadedModel, name: str
) -> PruningPlan:
    """The plan in the header and the tensors of the file of that name, checked against `model`.

    Raises ModelError with what was expected, what arrived, and what to do.
    """
    if header.get("format") != MASKS_FORMAT or header.get("version") != VERSION:
        found = f"{header.get('format', 'no format')} {header.get('version', '')}".strip()
        raise ModelError(f"Expected {MASKS_FORMAT} of version {VERSION} in {name}; got {found}. {_AGAIN}")
    if header.get("dense_digest") != model.digest:
        raise ModelError(
            f"Expected masks of {model.name} with weights {model.digest[:12]}; {name} has those of "
            f"{header.get('model')} with {header.get('dense_digest', '')[:12]}. Load that model."
        )
    try:
        words = _words(header.get("plan", ""))
        check_names(words.spec)
        layers = tuple(_layer(layer, tensors, model) for layer in words.layers)
        if len({layer.name for layer in layers}) != len(layers):
            raise FieldError("each of its layers once")
        if len(tensors) != len(_PARTS) * len(layers):
            raise FieldError(f"{', '.join(_PARTS)} of each of its {len(layers)} layers and nothing else")
    except FieldError as error:
        raise ModelError(f"The file of masks {name} is damaged: expected {error}. {_AGAIN}") from None
    return PruningPlan(words.spec, model.digest, layers, words.kept_dense, words.notes, words.forecast)


@dataclass(frozen=True)
class _Tiles:
    """The sizes of a mask: `filters` x `columns` in tiles of `tile` filters."""

    tile: int
    k_step: int
    filters: int
    columns: int


@dataclass(frozen=True)
class _Layer:
    """A layer of the plan without its mask's tensors."""

    name: str
    shape: tuple[int, int]
    target: float
    wit_before: float
    importance: Importance | None
    mask: _Tiles


@dataclass(frozen=True)
class _Plan:
    """The plan in the header, as `PruningPlan.to_json` has it."""

    schema: int
    spec: PruneSpec
    model_digest: str
    kept_dense: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]
    forecast: Forecast | None
    layers: tuple[_Layer, ...]


def _words(text: str) -> _Plan:
    """Raises FieldError for anything that is not what the fields are declared as, SpecError."""
    try:
        data: Any = json.loads(text)
        data["spec"]["ratios"] = list(data["spec"]["ratios"].items())
    except (ValueError, RecursionError, LookupError, TypeError, AttributeError):
        raise FieldError("its plan") from None
    check_plain(data)
    return read_fields(_Plan, data)


def _layer(layer: _Layer, tensors: Mapping[str, Tensor], model: LoadedModel) -> LayerPlan:
    """Raises FieldError for a layer that the model does not have, or a mask that does not fit it."""
    infos = {info.name: info for info in model.layers}
    if layer.name not in infos:
        raise FieldError(f"layers of {model.name} that can be pruned; got {layer.name!r:.40}")
    info = infos[layer.name]
    shape = (info.rows, info.columns)
    if layer.shape != shape:
        raise FieldError(f"a mask of {shape[0]} x {shape[1]} for {info.name}; got {layer.shape}")
    missing = [part for part in _PARTS if f"{layer.name}.{part}" not in tensors]
    if missing:
        raise FieldError(f"{', '.join(missing)} of {layer.name}")
    mask = _mask(layer, {part: tensors[f"{layer.name}.{part}"] for part in _PARTS}, info)
    return LayerPlan(layer.name, shape, layer.target, mask, layer.wit_before, layer.importance)


def _mask(layer: _Layer, parts: Mapping[str, Tensor], info: LayerInfo) -> Mask:
    """Raises FieldError for tensors of other types or sizes, or tiles across groups of a convolution."""
    types = {"keep": torch.bool, "rows": torch.bool, "order": torch.int64}
    tiles = -(-info.rows // max(1, layer.mask.tile))
    sizes = {"keep": (tiles, info.columns), "rows": (info.rows,), "order": (info.rows,)}
    for part, found in parts.items():
        whole = found.dtype == types[part] and found.shape == sizes[part]
        if not whole or (found.dtype == torch.bool and found.numel() and found.view(torch.uint8).max() > 1):
            wanted = f"{part} of {info.name} as {' x '.join(map(str, sizes[part]))} {types[part]}"
            raise FieldError(f"{wanted}; got {' x '.join(map(str, found.shape))} {found.dtype}")
    try:
        mask = Mask(
            parts["keep"], parts["rows"], TileShape(layer.mask.tile, layer.mask.k_step), parts["order"]
        )
    except ValueError as error:
        raise FieldError(f"a mask of {info.name} that makes sense; {error}") from None
    per_group = info.rows // info.geometry.groups
    if any(len(set((tile // per_group).tolist())) > 1 for tile in mask.order.split(layer.mask.tile)):
        raise FieldError(f"tiles of {info.name} that stay within its {info.geometry.groups} groups")
    return mask
