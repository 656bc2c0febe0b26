"""Whether the feature maps of a layer fit it and each other. Needs no Triton."""

from __future__ import annotations

from kernels.gpu.feature_map import FeatureMap
from kernels.layout import ConvGeometry
from kernels.precision import Precision


def check_maps(
    geometry: ConvGeometry,
    precision: Precision,
    x: FeatureMap,
    y: FeatureMap | None,
    residual: FeatureMap | None = None,
    expand: FeatureMap | None = None,
) -> tuple[int, int]:
    """The layer's output plane. ValueError unless the maps fit the layer and each other."""
    output = geometry.output_size(*x.plane)
    if x.channels != geometry.in_channels:
        raise ValueError(f"expected x of {geometry.in_channels} channels, got {x.channels}")
    if y is None and expand is None:
        raise ValueError("expected y or expand to write to, got neither")
    for name, feature_map in (("y", y), ("residual", residual), ("expand", expand)):
        if feature_map is None:
            continue
        wanted = (geometry.out_channels, *output, x.images)
        found = (feature_map.channels, *feature_map.plane, feature_map.images)
        if found != wanted:
            raise ValueError(f"expected {name} of channels, height, width, images {wanted}, got {found}")
        if feature_map.kind != x.kind:
            raise ValueError(f"expected {name} in layout {x.kind}, got {feature_map.kind}")
        if name != "expand" and feature_map.innermost != x.innermost:
            raise ValueError(f"expected {name} with rows of {x.innermost}, got {feature_map.innermost}")
    for feature_map in (x, y, residual, expand):
        if feature_map is not None and feature_map.dtype != precision.dtype:
            raise ValueError(f"expected maps of {precision.dtype}, got {feature_map.dtype}")
    return output
