"""2:4 pruned 1x1 and Linear layers on the sparse tensor cores, by PyTorch's own path to cuSPARSELt.

    y[m, j] = activation(sum_k w[m, k] * x[k, j] + bias[m] + residual[m, j])

In CHWN a 1x1 layer of stride 1 is one matrix product: x is [channels, height * width * images] as it lies. Of
every four neighbouring columns each filter keeps at most two, which is all these units can skip. Bias,
residual and activation follow as ordinary operations, because the library fuses none of the last two.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.sparse import to_sparse_semi_structured

from kernels.engines import Epilogue
from kernels.gpu.checks import check_maps
from kernels.gpu.engine import missing_gpu
from kernels.gpu.feature_map import CHWN, FeatureMap
from kernels.pack import PackedWeight, unpack
from kernels.precision import Precision
from kernels.reference import activate

KEPT, GROUP = 2, 4
# What PyTorch asks of a compressed matrix of 16-bit values, in both directions.
MULTIPLE = 16


def missing_reason() -> str | None:
    """Why no 2:4 product can run in this process; None if it can."""
    if (reason := missing_gpu()) is not None:
        return reason
    return None if torch.backends.cusparselt.is_available() else "this build of torch has no cuSPARSELt"


def declines(packed: PackedWeight, precision: Precision) -> str | None:
    """Why a layer is not run by 2:4 products; None if it is."""
    g = packed.geometry
    if g.kernel != (1, 1) or g.stride != (1, 1) or g.padding != (0, 0) or g.groups != 1:
        return "expected a 1x1 layer of stride 1 without padding and of one group"
    if precision.dtype not in (torch.float16, torch.bfloat16):
        return f"expected float16 or bfloat16, got {precision.title}"
    if g.rows % MULTIPLE or g.columns % MULTIPLE:
        return f"expected multiples of {MULTIPLE} filters and channels, got {g.rows} and {g.columns}"
    for tile in packed.tiles:
        if len(tile.columns) and int(torch.bincount(tile.columns // GROUP).max()) > KEPT:
            return f"some filters keep more than {KEPT} of {GROUP} neighbouring columns"
    return None


def declines_maps(*maps: FeatureMap | None) -> str | None:
    """Why feature maps are no matrices as they lie; None if they are."""
    for one in maps:
        if one is not None and (one.kind != CHWN or one.halo != (0, 0)):
            return f"expected maps in {CHWN} without a halo, got {one.kind} with a halo of {one.halo}"
    return None


class SemiStructuredGemm:
    """A 2:4 pruned 1x1 layer for feature maps in CHWN without a halo.

    Raises ValueError with the reason for layers that `declines` has one against.
    """

    def __init__(
        self, packed: PackedWeight, epilogue: Epilogue, *, precision: Precision, device: torch.device | str
    ) -> None:
        reason = declines(packed, precision)
        if reason is not None:
            raise ValueError(reason)
        self.geometry, self.precision, self.activation = packed.geometry, precision, epilogue.activation
        self._weight = to_sparse_semi_structured(unpack(packed).to(device, precision.dtype).contiguous())
        bias = torch.zeros(packed.geometry.rows) if epilogue.bias is None else epilogue.bias.detach().float()
        self._bias = bias[:, None].to(device)

    def bind(self, x: FeatureMap, y: FeatureMap, residual: FeatureMap | None = None) -> Callable[[], None]:
        """The product for these maps: writes `y`. Raises ValueError where they do not fit or have a halo."""
        check_maps(self.geometry, self.precision, x, y, residual)
        reason = declines_maps(x, y, residual)
        if reason is not None:
            raise ValueError(reason)
        factor, result = x.matrix(), y.matrix()
        added = None if residual is None else residual.matrix()

        def run() -> None:
            total = torch.mm(self._weight, factor).float() + self._bias
            if added is not None:
                total += added
            result.copy_(activate(total, self.activation))

        return run
