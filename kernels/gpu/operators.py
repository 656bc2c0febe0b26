"""The table of what runs a layer between feature maps: who declines it with which reason, and its launch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from kernels.gpu import depthwise, semi_structured, stream
from kernels.gpu.gemm import GatheredGemm
from kernels.gpu.launch import LaunchConfig
from kernels.gpu.map_layer import MapLayer, Maps
from kernels.gpu.semi_structured import SemiStructuredGemm
from kernels.gpu.vendor import VendorConv

Run = Callable[[], None]
Bind = Callable[[Maps], Run]
GATHERED, STREAMING, DEPTHWISE, VENDOR = "gathered", "streaming", "depth-wise", "vendor"
SEMI_STRUCTURED = "2:4"


@dataclass(frozen=True)
class MapOperator:
    """`declines` gives the reason against a layer on these maps, or None.

    `build` puts the layer's weights on a device; what it gives binds them to any maps that fit. Those that
    are `tiled` need a LaunchConfig, the others ignore it.
    """

    declines: Callable[[MapLayer, Maps], str | None]
    build: Callable[[MapLayer, LaunchConfig, torch.device], Bind]
    tiled: bool

    def bind(self, layer: MapLayer, maps: Maps, config: LaunchConfig) -> Run:
        """The launch of `layer` on `maps`."""
        return self.build(layer, config, maps.x.device)(maps)


def _gathered_declines(layer: MapLayer, maps: Maps) -> str | None:
    groups = layer.packed.geometry.groups
    return None if groups == 1 else f"expected a layer of one group, got {groups}"


def _streaming_declines(layer: MapLayer, maps: Maps) -> str | None:
    return _copies(maps) or stream.declines(layer.packed)


def _depthwise_declines(layer: MapLayer, maps: Maps) -> str | None:
    return _copies(maps) or depthwise.declines(layer.packed)


def _semi_structured_declines(layer: MapLayer, maps: Maps) -> str | None:
    return (
        _copies(maps)
        or semi_structured.missing_reason()
        or semi_structured.declines_maps(maps.x, maps.y, maps.residual)
        or semi_structured.declines(layer.packed, layer.precision)
    )


def _copies(maps: Maps) -> str | None:
    return None if maps.expand is None else "it writes no shifted copies"


def _gathered(layer: MapLayer, config: LaunchConfig, device: torch.device) -> Bind:
    made = GatheredGemm(layer.packed, layer.epilogue, config=config, precision=layer.precision, device=device)
    return lambda maps: made.bind(maps.x, maps.y, maps.residual, expand=maps.expand)


def _streaming(layer: MapLayer, config: LaunchConfig, device: torch.device) -> Bind:
    made = stream.StreamingGemm(
        layer.packed, layer.epilogue, config=config, precision=layer.precision, device=device
    )
    return lambda maps: made.bind(maps.x, maps.written, maps.residual)


def _depthwise(layer: MapLayer, config: LaunchConfig, device: torch.device) -> Bind:
    made = depthwise.DepthwiseConv(layer.packed, layer.epilogue, precision=layer.precision, device=device)
    return lambda maps: made.bind(maps.x, maps.written, maps.residual)


def _semi_structured(layer: MapLayer, config: LaunchConfig, device: torch.device) -> Bind:
    made = SemiStructuredGemm(layer.packed, layer.epilogue, precision=layer.precision, device=device)
    return lambda maps: made.bind(maps.x, maps.written, maps.residual)


def _vendor(layer: MapLayer, config: LaunchConfig, device: torch.device) -> Bind:
    made = VendorConv(layer.packed, layer.epilogue, precision=layer.precision, device=device)
    return lambda maps: made.bind(maps.x, maps.y, maps.residual, expand=maps.expand)


# The special before the general; the last takes every layer.
OPERATORS: dict[str, MapOperator] = {
    DEPTHWISE: MapOperator(_depthwise_declines, _depthwise, tiled=False),
    SEMI_STRUCTURED: MapOperator(_semi_structured_declines, _semi_structured, tiled=False),
    STREAMING: MapOperator(_streaming_declines, _streaming, tiled=True),
    GATHERED: MapOperator(_gathered_declines, _gathered, tiled=True),
    VENDOR: MapOperator(lambda layer, maps: None, _vendor, tiled=False),
}
