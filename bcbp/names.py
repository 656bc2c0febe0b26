"""Every name in a request is a line of its table."""

from __future__ import annotations

from collections.abc import Mapping

from bcbp.allocation import ALLOCATIONS
from bcbp.criteria import CRITERIA
from bcbp.errors import SpecError
from bcbp.measured import TIMES
from bcbp.patterns import PATTERNS
from bcbp.recovery import RECOVERIES
from bcbp.spec import PruneSpec


def check_names(spec: PruneSpec) -> None:
    """Raises SpecError for a pattern, criterion, allocation or recovery that is in no table."""
    tables: tuple[tuple[str, str, Mapping[str, object]], ...] = (
        ("pattern", spec.pattern, PATTERNS),
        ("criterion", spec.criterion, CRITERIA),
        ("allocation", spec.allocation, ALLOCATIONS),
        ("recovery", spec.recovery, RECOVERIES),
    )
    for field, name, table in tables:
        if name not in table:
            raise SpecError(f"Expected as {field} one of {', '.join(table)}; got {name!r}.")
    if (spec.budget_ms is not None) != (TIMES in ALLOCATIONS[spec.allocation].reads):
        given = "none" if spec.budget_ms is None else f"{spec.budget_ms:g} ms"
        raise SpecError(
            f"Expected a latency budget (budget_ms) with allocation latency, and with no other; got {given} "
            f"with {spec.allocation}."
        )
