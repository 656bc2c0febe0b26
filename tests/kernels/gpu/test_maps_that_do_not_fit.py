"""Binding refuses maps that do not fit the layer or each other, before anything is launched."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

pytest.importorskip("triton", reason="triton is not installed")

from kernels.engines import Epilogue
from kernels.gpu import gemm
from kernels.gpu.copies import write_copies
from kernels.gpu.depthwise import DepthwiseConv
from kernels.gpu.feature_map import PLAIN, FeatureMap, Shift, chwn, shifted
from kernels.gpu.gemm import GatheredGemm
from kernels.gpu.launch import LaunchConfig
from kernels.gpu.pooling import Pool
from kernels.gpu.stream import MOST_COLUMNS, StreamingGemm
from kernels.gpu.stream import declines as not_streamed
from kernels.gpu.transpose import convert_in
from kernels.precision import FP16
from tests.kernels.cases import CASES, Case, conv, make

HALF = torch.float16
CONFIG = LaunchConfig(32, 32, 64, 16)


def image(channels: int, images: int = 8, *, size: int = 5, dtype: torch.dtype = HALF) -> FeatureMap:
    return chwn(channels, (size, size), images, halo=(1, 1), dtype=dtype)


def few(channels: int, size: int = 5, shift: Shift = PLAIN) -> FeatureMap:
    return shifted(channels, (size, size), 8, halo_rows=1, shift=shift, dtype=HALF)


@pytest.fixture(scope="module")
def product() -> GatheredGemm:
    packed, epilogue, _, _ = make(Case(conv(6, 40)))
    return GatheredGemm(packed, epilogue, config=CONFIG, precision=FP16, device="cpu")


def test_maps_of_other_sizes_are_refused(product: GatheredGemm) -> None:
    with pytest.raises(ValueError, match="expected x of 6 channels, got 7"):
        product.bind(image(7), image(40))
    wanted = r"of channels, height, width, images \(40, 5, 5, 8\), got"
    with pytest.raises(ValueError, match=rf"expected y {wanted} \(41, 5, 5, 8\)"):
        product.bind(image(6), image(41))
    with pytest.raises(ValueError, match=rf"expected residual {wanted} \(40, 4, 4, 8\)"):
        product.bind(image(6), image(40), image(40, size=4))
    with pytest.raises(ValueError, match=rf"expected y {wanted} \(40, 5, 5, 16\)"):
        product.bind(image(6), image(40, 16))


def test_nowhere_to_write_is_refused(product: GatheredGemm) -> None:
    with pytest.raises(ValueError, match="expected y or expand to write to, got neither"):
        product.bind(image(6), None)


def test_mixed_layouts_are_refused(product: GatheredGemm) -> None:
    with pytest.raises(ValueError, match="expected y in layout chwn, got shifted"):
        product.bind(image(6), few(40))
    with pytest.raises(ValueError, match="expected shifted copies to expand into, got layout chwn"):
        product.bind(image(6), image(40), expand=image(40))


def test_rows_of_another_length_are_refused(product: GatheredGemm) -> None:
    wider = shifted(40, (5, 5), 8, halo_rows=1, shift=Shift(1, 1, 4), dtype=HALF)
    with pytest.raises(ValueError, match="expected y with rows of 8, got 16"):
        product.bind(few(6, shift=Shift(3, 1, 1)), wider)


def test_other_types_are_refused(product: GatheredGemm) -> None:
    with pytest.raises(ValueError, match=r"expected maps of torch.float16, got torch.float32"):
        product.bind(image(6, dtype=torch.float32), image(40, dtype=torch.float32))


def test_offsets_beyond_32_bits_are_refused(product: GatheredGemm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gemm, "_LARGEST", 100)
    with pytest.raises(ValueError, match=r"expected offsets below 2\^31 units, got \d+; use a smaller batch"):
        product.bind(image(6), image(40))


def test_grouped_layers_are_refused() -> None:
    packed, epilogue, _, _ = make(CASES["grouped"])
    for build in (GatheredGemm, StreamingGemm):
        with pytest.raises(ValueError, match="expected a layer of one group, got 4"):
            build(packed, epilogue, config=CONFIG, precision=FP16, device="cpu")
    with pytest.raises(ValueError, match="as many groups as channels and filters, got 4 groups of 32"):
        DepthwiseConv(packed, epilogue, precision=FP16, device="cpu")


def test_what_cannot_stream_is_declined_with_the_reason() -> None:
    assert not_streamed(make(CASES["1x1"])[0]) is None
    assert not_streamed(make(CASES["3x3"])[0]) == (
        f"its sums of 288 columns do not stay on the chip (at most {MOST_COLUMNS})"
    )
    removed = make(Case(conv(16, 64, (1, 1)), rows=0.3))[0]
    assert not_streamed(removed) == "some filters keep nothing, and streaming has no tile without columns"
    nothing = make(replace(CASES["nothing kept"], geometry=conv(16, 40, (1, 1))))[0]
    assert not_streamed(nothing) == "some tiles keep nothing, and streaming has no tile without columns"
    with pytest.raises(ValueError, match="some tiles keep nothing"):
        StreamingGemm(nothing, Epilogue(), config=CONFIG, precision=FP16, device="cpu")


def test_pooling_refuses_other_sizes_and_layouts() -> None:
    pool = Pool((2, 2), (2, 2))
    with pytest.raises(ValueError, match=r"expected y of .* \(3, 2, 2, 8\), got \(3, 5, 5, 8\)"):
        pool.bind(image(3), image(3))
    with pytest.raises(ValueError, match=r"of one type, got shifted torch.float16, chwn torch.float16"):
        pool.bind(few(3), image(3, size=2))
    with pytest.raises(ValueError, match=r"expected a plain x .*, x shifted for Shift\(taps=3, "):
        pool.bind(few(3, shift=Shift(3, 1, 1)), few(3, size=2))
    with pytest.raises(ValueError, match=r"of one type, got chwn torch.float16, chwn torch.float32"):
        pool.bind(image(3), image(3, size=2, dtype=torch.float32))


def test_copies_refuse_other_sizes_layouts_and_strides() -> None:
    wanted = r"expected x of \(8, 3, 5, 5\) with columns side by side for shifted, got"
    with pytest.raises(ValueError, match=rf"{wanted} \(8, 4, 5, 5\)"):
        write_copies(torch.zeros(8, 4, 5, 5), few(3))
    with pytest.raises(ValueError, match=wanted):
        write_copies(torch.zeros(8, 3, 5, 5).contiguous(memory_format=torch.channels_last), few(3))
    with pytest.raises(ValueError, match="for chwn"):
        write_copies(torch.zeros(8, 3, 5, 5), image(3))


def test_conversion_refuses_other_sizes_layouts_and_strides() -> None:
    wanted = r"expected a contiguous x of \(8, 3, 5, 5\) for chwn, got"
    with pytest.raises(ValueError, match=rf"{wanted} \(8, 4, 5, 5\)"):
        convert_in(torch.zeros(8, 4, 5, 5), image(3))
    with pytest.raises(ValueError, match=wanted):
        convert_in(torch.zeros(8, 3, 5, 5).contiguous(memory_format=torch.channels_last), image(3))
    with pytest.raises(ValueError, match="for shifted"):
        convert_in(torch.zeros(8, 3, 5, 5), few(3))
