"""What a report in HTML is about: the report as JSON, and what of it stands first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from app import findings
from app.findings import Finding
from app.titles import METHOD_TITLES
from app.words import device_words, formats, run_words
from bcbp.runtime import CPU, GPU
from bcbp.spec import DENSE, PruneSpec

FIRST = PruneSpec().pattern  # the method whose verdict stands first, where it was measured


@dataclass(frozen=True)
class Subject:
    """A report of schema 1, of whatever version, finished or not."""

    report: Mapping[str, Any]

    @property
    def request(self) -> Mapping[str, Any]:
        return self.report["request"]

    @property
    def environment(self) -> Mapping[str, Any]:
        return self.report["environment"]

    @property
    def title(self) -> str:
        ratios = ", ".join(formats.ratio_percent(ratio) for ratio in findings.ratios(self.report))
        return f"{self.report['model']['title']}, tile {self.request['spec']['tile']}, {ratios} removed"

    @property
    def device(self) -> str:
        """The name of what was timed on."""
        timed = self.request.get("device", CPU)
        return str(self.environment.get("gpu" if timed == GPU else "cpu"))

    @property
    def timed_on(self) -> str:
        return run_words.timed_on(self.request.get("device", CPU), self.request.get("precision", "fp32"))

    @property
    def recorded(self) -> str:
        return device_words.recorded(self.device, self.environment["date"])

    @property
    def heading(self) -> str:
        """On what and when, what it timed, and whether it is whole."""
        timed = f"; {self.timed_on}" if self.request["batches"] else "; nothing was timed"
        unfinished = "" if self.report["finished"] else " Not finished: what is missing was not reached."
        return f"{self.recorded}{timed}.{unfinished}"

    @property
    def batches(self) -> tuple[str, ...]:
        return findings.batches(self.report)

    @property
    def several(self) -> bool:
        return len(findings.ratios(self.report)) > 1

    @cached_property
    def by_batch(self) -> dict[str | None, tuple[Finding, ...]]:
        """Every row, at each batch size, and under None without times."""
        return {
            batch: findings.findings(self.report, batch=batch, titles=METHOD_TITLES)
            for batch in (None, *self.batches)
        }

    @property
    def rows(self) -> tuple[Finding, ...]:
        return self.by_batch[None]

    @property
    def pruned(self) -> tuple[Finding, ...]:
        return tuple(row for row in self.rows if row.method != DENSE)

    @property
    def focus(self) -> Finding | None:
        """The row that stands first: of FIRST, else of any method, at the ratio of the request's spec."""
        first = [row for row in self.pruned if row.method == FIRST] or self.pruned
        asked = self.request["spec"]["ratio"]
        return next((row for row in first if row.ratio == asked), next(iter(first), None))
