"""What a layer on its feature maps asks of a launch, in the numbers that decide how it is best launched."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from kernels.gpu import semi_structured
from kernels.gpu.feature_map import PLAIN, FeatureMap
from kernels.gpu.launch_tiles import growth, launch_columns
from kernels.gpu.map_layer import MapLayer, Maps
from kernels.precision import Precision

WIDTHS = (32, 64, 128, 256)


@dataclass(frozen=True)
class Work:
    """`rows` filters at `positions` outputs of all images, padding included.

    `columns` lists for each launch width how many columns each of its launch tiles has, `growth` what joining
    tiles to that width adds (>= 1). `moved` counts the bytes of maps that are read and written once.
    """

    rows: int
    positions: int
    precision: Precision
    columns: Mapping[int, tuple[int, ...]]
    growth: Mapping[int, float]
    moved: float

    @property
    def itemsize(self) -> int:
        return self.precision.dtype.itemsize

    def longest(self, width: int) -> int:
        """The most columns of any launch tile of that width."""
        return max(self.columns[width])


def work_of(layer: MapLayer, maps: Maps) -> Work:
    """The work of `layer` on `maps`."""
    geometry, packed = layer.packed.geometry, layer.packed
    outer, inner, innermost = maps.x.positions(geometry.output_size(*maps.x.plane))
    written = [one for one in (maps.y, maps.expand, maps.residual) if one is not None]
    values = sum(one.buffer.numel() for one in (maps.x, *written))
    return Work(
        geometry.rows,
        outer * inner * innermost,
        layer.precision,
        {width: launch_columns(packed, width) for width in WIDTHS},
        {width: growth(packed, width) for width in WIDTHS},
        float(values * layer.precision.dtype.itemsize),
    )


def problem_of(layer: MapLayer, maps: Maps, work: Work) -> str:
    """A name for everything that decides which launch is fastest: equal names, equal answers.

    Halos and copies are in it, and whether the columns happen to be 2:4: on them depends which operators take
    the layer. Activations are left out, as they cost next to nothing beside the sum.
    """
    g, x = layer.packed.geometry, maps.x
    counts = work.columns[min(WIDTHS)]
    parts = [
        f"{g.kernel[0]}x{g.kernel[1]} {g.in_channels}-{g.out_channels}",
        f"stride {g.stride[0]},{g.stride[1]} padding {g.padding[0]},{g.padding[1]}",
        f"dilation {g.dilation[0]},{g.dilation[1]} groups {g.groups}",
        f"plane {x.height}x{x.width} images {x.images} {x.kind}",
        layer.precision.name,
        f"tile {layer.packed.tile} columns {min(counts)}-{max(counts)} of {g.columns}",
        "growth " + ",".join(f"{work.growth[width]:.1f}" for width in WIDTHS),
    ]
    if semi_structured.declines(layer.packed, layer.precision) is None:
        parts.append("2:4")
    named = {"x": x, "residual": maps.residual, "y": maps.y, "expand": maps.expand}
    return " | ".join([*parts, *(_described(name, one) for name, one in named.items() if one is not None)])


def _described(name: str, feature_map: FeatureMap) -> str:
    """A map by what its size does not say: its halo, and the copies it holds."""
    shift = feature_map.shift or PLAIN
    copies = "" if shift == PLAIN else f" copies {shift.taps}/{shift.stride} padding {shift.padding}"
    return f"{name} halo {feature_map.halo[0]}x{feature_map.halo[1]}{copies}"
