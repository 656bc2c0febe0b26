"""2:4 products: who is declined, and everything around the library's product, which needs a GPU."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from bcbp.patterns.n_of_m import best_of_groups
from kernels.engines import Epilogue
from kernels.gpu import semi_structured
from kernels.gpu.feature_map import FeatureMap, chwn, shifted
from kernels.gpu.semi_structured import MULTIPLE, SemiStructuredGemm, declines, missing_reason
from kernels.layout import ConvGeometry
from kernels.pack import PackedWeight, pack, pack_dense
from kernels.precision import FP16, TF32
from kernels.testing import assert_close
from tests.kernels.cases import conv

ROWS, COLUMNS, PLANE = 48, 32, (5, 6)


def two_of_four(images: int) -> tuple[PackedWeight, Epilogue, Tensor, Tensor]:
    """A 2:4 pruned 1x1 layer as the pattern makes it, its epilogue, input and residual."""
    random = torch.Generator().manual_seed(4)
    weight = torch.randn(ROWS, COLUMNS, generator=random)
    keep = best_of_groups(weight.abs(), 1, n=2, m=4)
    packed = pack(weight, keep, torch.ones(ROWS, dtype=torch.bool), 1, conv(COLUMNS, ROWS, (1, 1)))
    epilogue = Epilogue(torch.randn(ROWS, generator=random), "gelu")
    x = torch.randn(images, COLUMNS, *PLANE, generator=random)
    return packed, epilogue, x, torch.randn(images, ROWS, *PLANE, generator=random)


def maps(images: int) -> tuple[FeatureMap, FeatureMap, FeatureMap]:
    made = [chwn(channels, PLANE, images, dtype=torch.float16) for channels in (COLUMNS, ROWS, ROWS)]
    return made[0], made[1], made[2]


@pytest.fixture
def uncompressed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The weight stays dense, so that everything but the library's product runs without a GPU."""
    monkeypatch.setattr(semi_structured, "to_sparse_semi_structured", lambda dense: dense)


@pytest.mark.parametrize("images", [8, 3])
def test_all_around_the_product_computes_the_layer(images: int, uncompressed: None) -> None:
    packed, epilogue, x, residual = two_of_four(images)
    source, y, added = maps(images)
    source.write(x)
    added.write(residual)
    y.buffer.fill_(torch.nan)
    SemiStructuredGemm(packed, epilogue, precision=FP16, device="cpu").bind(source, y, added)()
    result = y.read()
    assert_close(
        result,
        packed=packed,
        x=x,
        epilogue=epilogue,
        residual=residual,
        precision=FP16,
        stores=2,
    )


def test_a_2_to_4_layer_is_not_declined() -> None:
    assert declines(two_of_four(1)[0], FP16) is None


@pytest.mark.parametrize(
    "geometry",
    [
        conv(32, 48),
        conv(32, 48, (1, 1), stride=(2, 2)),
        conv(32, 48, (1, 1), padding=(1, 1)),
        conv(32, 48, (1, 1), groups=2),
    ],
    ids=["3x3", "stride", "padding", "groups"],
)
def test_other_geometries_are_declined(geometry: ConvGeometry) -> None:
    packed = replace(two_of_four(1)[0], geometry=geometry)
    assert "expected a 1x1 layer of stride 1" in (declines(packed, FP16) or "")


def test_other_types_sizes_and_masks_are_declined_with_the_reason() -> None:
    packed = two_of_four(1)[0]
    assert declines(packed, TF32) == "expected float16 or bfloat16, got TensorFloat-32"
    small = pack_dense(torch.randn(8, 32), conv(32, 8, (1, 1)))
    assert declines(small, FP16) == "expected multiples of 16 filters and channels, got 8 and 32"
    dense = pack_dense(torch.randn(ROWS, COLUMNS), packed.geometry)
    assert declines(dense, FP16) == "some filters keep more than 2 of 4 neighbouring columns"
    with pytest.raises(ValueError, match="more than 2 of 4"):
        SemiStructuredGemm(dense, Epilogue(), precision=FP16, device="cpu")


def test_the_sizes_are_those_torch_asks_for() -> None:
    limits = torch.sparse.SparseSemiStructuredTensorCUSPARSELT._DTYPE_SHAPE_CONSTRAINTS
    for dtype in (torch.float16, torch.bfloat16):
        assert (limits[dtype].sparse_min_rows, limits[dtype].sparse_min_cols) == (MULTIPLE, MULTIPLE)


def test_maps_with_a_halo_or_shifted_are_refused(uncompressed: None) -> None:
    packed, epilogue, _, _ = two_of_four(8)
    product = SemiStructuredGemm(packed, epilogue, precision=FP16, device="cpu")
    _, y, _ = maps(8)
    with_halo = chwn(COLUMNS, PLANE, 8, halo=(1, 1), dtype=torch.float16)
    with pytest.raises(ValueError, match=r"without a halo, got chwn with a halo of \(1, 1\)"):
        product.bind(with_halo, y)
    few, out = (shifted(channels, PLANE, 1, dtype=torch.float16) for channels in (COLUMNS, ROWS))
    with pytest.raises(ValueError, match="expected maps in chwn without a halo, got shifted"):
        product.bind(few, out)


def test_networks_take_it_where_masks_types_maps_and_card_allow(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("triton", reason="the table of operators holds Triton's kernels")
    from kernels.gpu.map_layer import MapLayer, Maps
    from kernels.gpu.operators import OPERATORS, SEMI_STRUCTURED

    operator = OPERATORS[SEMI_STRUCTURED]
    packed, epilogue, _, _ = two_of_four(8)
    source, y, added = maps(8)
    layer, given = MapLayer(packed, epilogue, FP16), Maps(source, y, added)
    assert operator.declines(layer, given) == missing_reason()
    monkeypatch.setattr(semi_structured, "missing_reason", lambda: None)
    assert operator.declines(layer, given) is None
    with_halo = chwn(COLUMNS, PLANE, 8, halo=(1, 1), dtype=torch.float16)
    assert "halo of (1, 1)" in (operator.declines(layer, Maps(with_halo, y)) or "")
    assert "no shifted copies" in (operator.declines(layer, Maps(source, None, expand=y)) or "")
    everything = MapLayer(pack_dense(torch.ones(ROWS, COLUMNS), packed.geometry), epilogue, FP16)
    assert "more than 2 of 4" in (operator.declines(everything, given) or "")


def test_what_is_missing_is_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert missing_reason() == "torch sees no NVIDIA GPU"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (7, 5))
    assert missing_reason() == "the GPU has compute capability 7.5, the kernels need 8.0"
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (9, 0))
    monkeypatch.setattr(torch.backends.cusparselt, "is_available", lambda: False)
    assert missing_reason() == "this build of torch has no cuSPARSELt"
    monkeypatch.setattr(torch.backends.cusparselt, "is_available", lambda: True)
    assert missing_reason() is None
