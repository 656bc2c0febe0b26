"""A layer to be run on feature maps, and the maps it is given: what every GPU operator is built from."""

from __future__ import annotations

from dataclasses import dataclass

from kernels.engines import Epilogue
from kernels.gpu.feature_map import FeatureMap
from kernels.pack import PackedWeight
from kernels.precision import Precision


@dataclass(frozen=True, eq=False)
class MapLayer:
    """A packed layer with what is fused behind it, and the number format it runs in."""

    packed: PackedWeight
    epilogue: Epilogue
    precision: Precision


@dataclass(frozen=True, eq=False)
class Maps:
    """What a layer reads and writes: the interior of `y`, and in `expand` the copies that it holds.

    At least one of the two is given; `expand` is for the shifted layout.
    """

    x: FeatureMap
    y: FeatureMap | None
    residual: FeatureMap | None = None
    expand: FeatureMap | None = None

    @property
    def written(self) -> FeatureMap:
        """y. ValueError where there is none."""
        if self.y is None:
            raise ValueError("expected y to write to, got none")
        return self.y
