"""Scans and layer times with invented figures: falling times, rising losses, as measurements have them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from bcbp.device_request import RATIOS
from bcbp.evaluation import drop_interval
from bcbp.intake.model import LoadedModel
from bcbp.measured import LayerTimes, Measured
from bcbp.sensitivity import Scan, ScanKey, Sensitivity

IMAGES = 1000


def scan_of(
    model: LoadedModel,
    *,
    tile: int = 32,
    pattern: str = "bcbp",
    drops: Mapping[str, Sequence[float]] | None = None,
    reasons: Mapping[str, str] | None = None,
    seed: int = 0,
) -> Scan:
    """Every layer at RATIOS: `drops` by layer, else invented ones; layers with a reason are not measured."""
    generator = np.random.default_rng(seed)
    scan = Scan(ScanKey(model.digest, pattern, "l2", tile, IMAGES, 500, 0), 930)
    for info in model.layers:
        invented = np.sort(generator.integers(0, 200, len(RATIOS))) / IMAGES
        for ratio, drop in zip(RATIOS, (drops or {}).get(info.name, invented), strict=True):
            if info.name in (reasons or {}):
                row = Sensitivity(info.name, ratio, reason=reasons[info.name])  # type: ignore[index]
            else:
                lost = round(drop * IMAGES)
                interval = drop_interval(0, lost, IMAGES)
                row = Sensitivity(info.name, ratio, 0, lost, lost / IMAGES, interval)
            scan = scan.with_row(row)
    return scan


def times_of(
    model: LoadedModel, *, ratios: Sequence[float] = RATIOS, without: Iterable[str] = ()
) -> LayerTimes:
    """Dense times in proportion to the work; a fifth of it stays whatever is removed."""
    layers = [info for info in model.layers if info.name not in set(without)]
    dense = {info.name: 1e-6 * info.macs + 0.01 for info in layers}
    shares = {ratio: 0.2 + 0.85 * (1 - ratio) for ratio in ratios}
    sparse = {name: {ratio: ms * share for ratio, share in shares.items()} for name, ms in dense.items()}
    return LayerTimes("Test processor", dense, sparse)


def measured_of(model: LoadedModel, **options: object) -> Measured:
    return Measured(scan_of(model, **options), times_of(model))  # type: ignore[arg-type]
