"""Feature maps in plain torch: where every tap of a convolution lies, in both layouts."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from kernels.gpu import feature_map
from kernels.gpu.feature_map import CHWN, SHIFTED, FeatureMap, Shift, chwn, layout_for, shift_of, shifted
from kernels.layout import ConvGeometry
from tests.kernels.cases import Case, conv, layers


def reading(geometry: ConvGeometry, x: Tensor, layout: str) -> FeatureMap:
    plane, options = (x.shape[2], x.shape[3]), {"dtype": x.dtype}
    if layout == CHWN:
        made = chwn(x.shape[1], plane, len(x), halo=geometry.padding, **options)
    else:
        shift, rows = shift_of(geometry), geometry.padding[0]
        made = shifted(x.shape[1], plane, len(x), halo_rows=rows, shift=shift, **options)
    made.write(x)
    return made


def gathered(source: FeatureMap, geometry: ConvGeometry) -> Tensor:
    """[N, K, Ho, Wo]: every tap at every position, read through offsets alone as the kernels do."""
    output = geometry.output_size(*source.plane)
    outer, inner, innermost = source.positions(output)
    grid = source.reading_grid(geometry)
    taps = source.tap_offsets(torch.arange(geometry.columns), geometry)
    a, b = torch.arange(outer)[:, None, None], torch.arange(inner)[:, None]
    units = grid.base + a * grid.outer + b * grid.inner
    at = units * source.unit + torch.arange(innermost)
    values = source.buffer.flatten()[taps[:, None, None, None] * source.unit + at]
    if source.kind == CHWN:  # [K, Ho, Wo, N]
        return values[..., : source.images].permute(3, 0, 1, 2)
    return values[..., : output[1]].permute(1, 0, 2, 3)  # [K, N, Ho, Wo]


@pytest.mark.parametrize("layout", [CHWN, SHIFTED])
@settings(max_examples=60, deadline=None)
@given(case=layers())
def test_the_offsets_find_every_tap_of_any_layer(layout: str, case: Case) -> None:
    g = case.geometry
    geometry = ConvGeometry(3, 8, g.kernel, g.stride, g.padding, g.dilation)
    if geometry.kernel[1] > 1 and geometry.dilation[1] > 1:
        layout = CHWN
    x = torch.randn(case.images, 3, *case.plane)
    unfolded = F.unfold(x, g.kernel, g.dilation, g.padding, g.stride)
    expected = unfolded.view(len(x), geometry.columns, *geometry.output_size(*case.plane))
    assert torch.equal(gathered(reading(geometry, x, layout), geometry), expected)


@pytest.mark.parametrize("layout", [CHWN, SHIFTED])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_what_is_written_is_read_back(dtype: torch.dtype, layout: str) -> None:
    x = torch.randn(3, 5, 4, 7).to(dtype)
    filled = reading(conv(5, 8, (1, 1), padding=(2, 0)), x, layout)
    assert torch.equal(filled.read(), x)
    assert (filled.kind, filled.dtype, filled.plane) == (layout, dtype, (4, 7))
    assert filled.innermost % filled.unit == 0


def test_what_is_read_is_a_copy_even_where_the_buffer_has_its_shape() -> None:
    full = chwn(1, (1, 1), 8, dtype=torch.float16)
    full.write(torch.ones(8, 1, 1, 1))
    read = full.read()
    full.buffer.zero_()
    assert bool((read == 1).all())


def test_writing_grids_point_at_the_interior() -> None:
    images = chwn(3, (4, 5), 2, halo=(1, 2), dtype=torch.float16)
    grid = images.writing_grid()
    assert (grid.base, grid.channel, grid.outer, grid.inner) == (9 + 2, 6 * 9, 9, 1)
    columns = shifted(3, (4, 20), 2, halo_rows=1, dtype=torch.float16)
    grid = columns.writing_grid()
    assert (grid.base, grid.channel, grid.outer, grid.inner) == (3, 2 * 6 * 3, 6 * 3, 3)


def test_a_halo_that_is_too_small_is_refused() -> None:
    with pytest.raises(ValueError, match=r"expected a halo of at least \(1, 1\), got \(1, 0\)"):
        chwn(3, (4, 4), 8, halo=(1, 0), dtype=torch.float16).reading_grid(conv(3, 8))


def test_copies_for_another_layer_are_refused() -> None:
    wrong = [
        shifted(3, (4, 4), 1, halo_rows=1, shift=Shift(3, 2, 1), dtype=torch.float16),
        shifted(3, (4, 4), 1, halo_rows=0, shift=Shift(3, 1, 1), dtype=torch.float16),
    ]
    for copies in wrong:
        with pytest.raises(ValueError, match=r"expected copies for Shift.* with a halo of 1 rows, got"):
            copies.reading_grid(conv(3, 8))


def test_shifted_copies_are_no_plain_maps() -> None:
    with pytest.raises(ValueError, match="expected a plain feature map, got one shifted for"):
        shifted(3, (4, 4), 1, shift=Shift(3, 1, 1), dtype=torch.float16).nchw()


def test_dilation_along_the_width_needs_the_other_layout() -> None:
    with pytest.raises(ValueError, match="expected no dilation along the width, got 2; use CHWN"):
        shift_of(conv(3, 8, dilation=(1, 2)))
    assert shift_of(conv(3, 8, (3, 1), dilation=(2, 2))) == Shift(1, 1, 0)


def test_planes_beyond_32_bit_offsets_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feature_map, "_LARGEST", 4 * 4 * 8)
    with pytest.raises(ValueError, match=r"expected planes below 2\^31 values, got 128; use a smaller batch"):
        chwn(2, (4, 4), 8, dtype=torch.float16)


@settings(max_examples=50)
@given(images=st.integers(1, 200), dtype=st.sampled_from((torch.float16, torch.float32)))
def test_the_layout_wastes_less_than_half(images: int, dtype: torch.dtype) -> None:
    padded = chwn(1, (1, 1), images, dtype=dtype).innermost
    assert (layout_for(images, dtype) == CHWN) == (2 * images > padded or images > 16 // dtype.itemsize)
