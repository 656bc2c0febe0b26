"""How a GPU kernel is launched: the sizes of its blocks, and how the grid walks over them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

USUAL_GROUP = 8
# Thread blocks of the streaming product per processor that hide each other's waiting.
STREAMING_RESIDENT = 2
# Of kernels that compute a run of positions of one channel.
RUN_WARPS = 4
RUN_THREADS = 32 * RUN_WARPS


@dataclass(frozen=True, order=True)
class LaunchConfig:
    """Block sizes of a launch.

    `width` filters share one list of columns; `block_m` of them and `block_n` positions are one thread block
    of `warps` warps, which loads `block_k` columns at a time, `stages` blocks ahead. `split_k` blocks share
    one result. `swap` exchanges the operands of the product, so that few filters still fill the tensor
    core's long side. `group` position tiles are walked for all filters before the next ones begin, so
    that the inputs stay in the second cache.
    """

    width: int
    block_m: int
    block_n: int
    block_k: int
    warps: int = 4
    stages: int = 3
    split_k: int = 1
    swap: bool = False
    group: int = USUAL_GROUP

    def __post_init__(self) -> None:
        if self.width % self.block_m:
            raise ValueError(f"expected a width of whole blocks of {self.block_m} filters, got {self.width}")
        for name in ("block_m", "block_n", "block_k"):
            size = getattr(self, name)
            if size < 16 or size & (size - 1):
                raise ValueError(f"expected {name} as a power of two from 16 on, got {size}")

    def shared_bytes(self, itemsize: int) -> int:
        """Shared memory that the blocks in flight take."""
        return self.stages * self.block_k * (self.block_m + self.block_n) * itemsize

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def __str__(self) -> str:
        split = f", split {self.split_k}" if self.split_k > 1 else ""
        swapped = ", swapped" if self.swap else ""
        walk = f", groups of {self.group}" if self.group != USUAL_GROUP else ""
        return (
            f"width {self.width}, blocks {self.block_m} x {self.block_n} x {self.block_k}, "
            f"{self.warps} warps, {self.stages} stages{split}{swapped}{walk}"
        )


def streaming_walkers(tiles: int, tiles_j: int, *, processors: int) -> int:
    """How many thread blocks of the streaming product share the `tiles_j` position tiles of a launch tile."""
    return max(1, min(tiles_j, STREAMING_RESIDENT * processors // tiles))
