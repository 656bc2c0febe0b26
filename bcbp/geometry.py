"""Tiles over the GEMM view of a layer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from bcbp.errors import SpecError
from kernels.layout import ConvGeometry

TILE_ROWS = (1, 8, 16, 32, 64, 128)


@dataclass(frozen=True)
class TileShape:
    """A tile: `rows` (V) consecutive filters over all columns; columns kept come in `k_step`s (Tk).

    >>> TileShape(32).heights(70).tolist()
    [32, 32, 6]
    """

    rows: int
    k_step: int = 1

    def __post_init__(self) -> None:
        if self.rows < 1 or self.k_step < 1:
            raise SpecError(f"Expected a tile of at least 1 x 1; got {self.rows} x {self.k_step}.")

    def count(self, filters: int) -> int:
        """Tiles in a layer of `filters` filters; the last may be ragged."""
        return -(-filters // self.rows)

    def heights(self, filters: int) -> Tensor:
        """Filters in each tile, int64 [tiles]."""
        heights = torch.full((self.count(filters),), self.rows)
        heights[-1] = filters - self.rows * (len(heights) - 1)
        return heights


@dataclass(frozen=True)
class LayerInfo:
    """A prunable layer: its module `name`, `kind` (conv or linear) and geometry.

    `plane` is the height and width of the layer's input at the model's input size; a Linear layer has
    (positions, 1), which is (1, 1) for one vector per image.
    """

    name: str
    kind: str
    geometry: ConvGeometry
    plane: tuple[int, int]

    @property
    def rows(self) -> int:
        return self.geometry.rows

    @property
    def columns(self) -> int:
        return self.geometry.columns

    @property
    def weights(self) -> int:
        return self.rows * self.columns

    @property
    def own_order(self) -> Tensor:
        """The filters as they come, int64 [M]."""
        return torch.arange(self.rows)

    @property
    def macs(self) -> int:
        """Multiply-accumulates per image of the dense layer."""
        return self.geometry.macs(*self.plane)

    def tile_reason(self, rows: int) -> str | None:
        """Why tiles of `rows` filters do not fit this layer; None if they do: no tile straddles groups."""
        groups = self.geometry.groups
        if groups == 1 or (self.rows // groups) % rows == 0:
            return None
        return (
            f"a tile of {rows} filters would straddle its {groups} groups of {self.rows // groups} filters; "
            f"choose a tile that divides {self.rows // groups}"
        )


def geometry_of(layer: nn.Conv2d | nn.Linear) -> ConvGeometry:
    """The layer as engines see it. Zero padding in numbers is assumed: other kinds have no geometry."""
    if isinstance(layer, nn.Linear):
        return ConvGeometry(layer.in_features, layer.out_features)
    return ConvGeometry(
        layer.in_channels,
        layer.out_channels,
        _pair(layer.kernel_size),
        _pair(layer.stride),
        _pair(layer.padding),
        _pair(layer.dilation),
        layer.groups,
    )


def _pair(value: object) -> tuple[int, int]:
    first, second = cast("tuple[int, int]", value)
    return int(first), int(second)
