"""The least time a machine needs for some arithmetic and some traffic, from its measured rates."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Ceiling:
    """Operations per second in `precision` (a multiply-add is two), and bytes read plus written by a copy.

    `threads` is None on a GPU; `cache_bytes` is what its second cache reads per second, None on a CPU.
    """

    flops: float
    bytes: float
    threads: int | None = None
    precision: str = "fp32"
    cache_bytes: float | None = None

    def seconds(self, *, flops: float, moved: float) -> float:
        """The least time for that much arithmetic and traffic, whichever takes longer."""
        return max(flops / self.flops, moved / self.bytes)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)
