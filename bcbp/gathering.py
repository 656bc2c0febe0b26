"""Finds what was measured of a model among the files of this machine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bcbp.allocation import ALLOCATIONS
from bcbp.crossover import Slice
from bcbp.devices import DEVICES
from bcbp.intake.model import LoadedModel
from bcbp.measured import SCAN, TIMES, LayerTimes, Measured
from bcbp.passport import PATTERN
from bcbp.passport_store import PassportStore
from bcbp.sensitivity import Scan, ScanStore
from bcbp.spec import PruneSpec


def gather(
    model: LoadedModel,
    spec: PruneSpec,
    *,
    scans: ScanStore,
    passports: PassportStore,
    device: str,
    conditions: Mapping[str, Any],
) -> Measured:
    """What the allocation of `spec` goes by: a sensitivity scan, and the times of this machine's `device`.

    `conditions` are those of `kernels.device.environment`. Raises PassportError for a damaged passport.
    """
    reads = ALLOCATIONS[spec.allocation].reads
    times = None
    if TIMES in reads and (passport := passports.live(device, conditions)) is not None:
        times = LayerTimes.of(model, passport, Slice(spec.tile, DEVICES[device].dtype), spec.batch)
    return Measured(find_scan(model, spec, scans) if SCAN in reads else None, times)


def find_scan(model: LoadedModel, spec: PruneSpec, store: ScanStore) -> Scan | None:
    """The scan of the pattern of `spec`, else of BCBP.

    Where times decide it is BCBP's for every pattern, like the times: all patterns get the same ratios.
    """
    timed = TIMES in ALLOCATIONS[spec.allocation].reads
    patterns = (PATTERN,) if timed else (spec.pattern, PATTERN)
    found = (
        store.find(
            digest=model.digest,
            source=model.images_digest,
            pattern=pattern,
            criterion=spec.criterion,
            tile=spec.tile,
            seed=spec.seed,
        )
        for pattern in patterns
    )
    return next((scan for scan in found if scan is not None), None)
