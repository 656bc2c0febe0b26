"""The least time a machine needs for some arithmetic and some traffic, from its measured rates."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Ceiling:
    """float32 operations per second (a multiply-add is two), and bytes read plus written by a copy."""

    flops: float
    bytes: float
    threads: int

    def seconds(self, *, flops: float, moved: float) -> float:
        """The least time for that much arithmetic and traffic, whichever takes longer."""
        return max(flops / self.flops, moved / self.bytes)
