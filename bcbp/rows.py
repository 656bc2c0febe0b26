"""What names a row of a report: a method at an asked ratio."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bcbp.allocation import ALLOCATIONS
from bcbp.spec import DENSE, PruneSpec


def row_key(method: str, ratio: float) -> str:
    """
    >>> row_key("bcbp", 0.5), row_key("dense", 0.0)
    ('bcbp 0.5', 'dense')
    """
    return DENSE if method == DENSE else f"{method} {ratio:g}"


def key_of_spec(spec: PruneSpec) -> str:
    return row_key(spec.pattern, spec.ratio)


def key_of(row: Mapping[str, Any]) -> str:
    """The key of a row of a report, of whatever version: it has always had both."""
    return row_key(row["method"], row["asked_ratio"])


def goes_by_ratio(report: Mapping[str, Any]) -> bool:
    """Whether the rows have the ratio that was asked for; runs of old know no other, and what a report from
    elsewhere names may not exist here.
    """
    spec = (report.get("request") or {}).get("spec") or {}
    allocation = ALLOCATIONS.get(spec.get("allocation", ""))
    return allocation is None or allocation.follows_ratio


def name_of(report: Mapping[str, Any], row: Mapping[str, Any]) -> str:
    """What people read of `row`: its key, or the method alone where the ratio is an outcome."""
    return key_of(row) if goes_by_ratio(report) else str(row["method"])
