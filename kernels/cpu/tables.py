"""Tables that the generated code reads: panels and blocks as records of addresses and byte offsets.

Each table keeps every array its records point to.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kernels.cpu.blocks import FLOAT, BlockPlan, Group
from kernels.cpu.codegen import BLOCK_FIELDS, ENDINGS, PANEL_FIELDS, ROW_FIELDS
from kernels.cpu.panels import Panel
from kernels.layout import ConvGeometry

Array = NDArray[np.generic]


def _record(fields: tuple[str, ...]) -> np.dtype[np.void]:
    return np.dtype([(name, "i8") for name in fields])


class BlockTable:
    """The blocks of one image; `kernels[layout][ending]` is the address of the code that runs a block."""

    def __init__(self, plan: BlockPlan, kernels: Sequence[dict[str, int]]) -> None:
        self._groups: dict[tuple[Group, ...], Array] = {}
        self.records = np.zeros(len(plan.blocks), _record(BLOCK_FIELDS))
        for record, block in zip(self.records, plan.blocks, strict=True):
            for ending, address in kernels[block.layout].items():
                record[ending] = address
            record["x"], record["y"] = block.x, block.y
            record["groups"], record["group_count"] = self._address(block.groups), len(block.groups)
        self.records["next_x"] = np.append(self.records["x"][1:], self.records["x"][-1:])

    @property
    def address(self) -> int:
        return self.records.ctypes.data

    def _address(self, groups: tuple[Group, ...]) -> int:
        """Where the int32 triples of `groups` lie; blocks with the same groups share them."""
        if groups not in self._groups:
            self._groups[groups] = np.array(groups, np.int32)
        return self._groups[groups].ctypes.data


class PanelTable:
    """The panels of one layer on planes of one width, as the driver reads them. Keeps every array alive."""

    def __init__(
        self, panels: list[Panel], bias: Tensor | None, *, geometry: ConvGeometry, width: int, lanes: int
    ) -> None:
        self._alive: list[Array | Tensor] = []
        self.records = np.zeros(len(panels), _record(PANEL_FIELDS))
        for record, panel in zip(self.records, panels, strict=True):
            record["weight"] = self._keep(panel.weight)
            record["offsets"] = self._keep(_offsets(panel, geometry, width))
            record["segments"] = self._keep(_segments(panel, geometry))
            record["bias"] = self._keep(_lane_bias(panel, bias, lanes))
            scattered = panel.ending == "scattered"
            record["channel"] = 0 if scattered else int(panel.filters[0]) * FLOAT
            record["outputs"] = -(-len(panel.kept) // lanes)
            record["rows"] = self._keep(_lane_places(panel) if scattered else _rows(panel.kept, lanes))
            record["ending"] = ENDINGS.index(panel.ending)

    @property
    def address(self) -> int:
        return self.records.ctypes.data

    def _keep(self, array: Array | Tensor) -> int:
        self._alive.append(array)
        return array.data_ptr() if isinstance(array, Tensor) else array.ctypes.data


def _offsets(panel: Panel, geometry: ConvGeometry, width: int) -> NDArray[np.int32]:
    """Byte distance of each column's input value from the pixel under tap (0, 0), int32 [k]."""
    taps, channels = panel.taps.numpy(), panel.channels.numpy()
    row = taps // geometry.kernel[1] * geometry.dilation[0] - geometry.padding[0]
    column = taps % geometry.kernel[1] * geometry.dilation[1] - geometry.padding[1]
    return (((row * width + column) * geometry.in_channels + channels) * FLOAT).astype(np.int32)


def _segments(panel: Panel, geometry: ConvGeometry) -> NDArray[np.int32]:
    """Columns of tap t are segments[t] ... segments[t + 1] - 1."""
    taps = np.arange(geometry.kernel[0] * geometry.kernel[1] + 1)
    return np.searchsorted(panel.taps.numpy(), taps).astype(np.int32)


def _lane_bias(panel: Panel, bias: Tensor | None, lanes: int) -> Tensor:
    """The bias of the panel's outputs, the last one's to whole vectors; zero without a bias."""
    width = max(-(-len(panel.filters) // lanes) * lanes, panel.weight.shape[1])
    if bias is None:
        return torch.zeros(width, dtype=torch.float32, device="cpu")
    return bias.detach().float()[_stretched(panel.filters, width)]


def _lane_places(panel: Panel) -> NDArray[np.int32]:
    """Byte distance of each lane's output from the pixel's first one; spare lanes go where the last goes."""
    return (_stretched(panel.filters, panel.weight.shape[1]) * FLOAT).numpy().astype(np.int32)


def _stretched(filters: Tensor, width: int) -> Tensor:
    """The last filter is repeated up to `width`."""
    return filters[torch.arange(width).clamp_max(len(filters) - 1)]


def _rows(kept: Tensor, lanes: int) -> NDArray[np.int32]:
    """ROW_FIELDS of each output vector; a bit per lane, the lowest first."""
    count = -(-len(kept) // lanes)
    bits = np.zeros((2, count * lanes), np.int64)
    bits[0, : len(kept)] = kept.numpy()
    bits[1, : len(kept)] = 1
    masks = (bits.reshape(2, count, lanes) << np.arange(lanes)).sum(-1)
    computed = bits[0].reshape(count, lanes).sum(-1)
    table = np.zeros((count, len(ROW_FIELDS)), np.int32)
    table[:, 0], table[:, 1], table[:, 2] = masks[0], masks[1], np.cumsum(computed) - computed
    return table
