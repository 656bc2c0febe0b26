"""Every layer gets a launch, in the interpreter too, and the library's own convolution takes them all."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from kernels.gpu.feature_map import CHWN, SHIFTED, chwn, shift_of, shifted
from kernels.gpu.operators import OPERATORS, VENDOR
from kernels.gpu.vendor import MOST_STORES, VendorConv
from kernels.pack import pack_dense
from kernels.precision import FP16, FP32
from kernels.testing import assert_close
from tests.kernels.cases import CASES, Case, conv, make
from tests.kernels.gpu.interpreted import maps_of

ROOT = Path(__file__).resolve().parents[3]


def test_every_operator_is_right_in_the_interpreter() -> None:
    """In a process of its own: Triton reads the variable when it is imported."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.kernels.gpu.interpreted"],
        cwd=ROOT,
        env={**os.environ, "TRITON_INTERPRET": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("precision", [FP16, FP32], ids=lambda precision: precision.name)
@pytest.mark.parametrize(("images", "kind"), [(1, SHIFTED), (3, CHWN)])
@pytest.mark.parametrize("name", CASES)
def test_the_library_takes_every_layer_in_both_layouts(name, images, kind, precision) -> None:
    case = replace(CASES[name], images=images)
    if kind == SHIFTED and case.geometry.dilation[1] > 1:
        pytest.skip("the shifted layout knows no dilation along the width")
    layer, maps, exact = maps_of(case, kind, precision)
    assert OPERATORS[VENDOR].declines(layer, maps) is None
    VendorConv(layer.packed, layer.epilogue, precision=precision, device="cpu").bind(
        maps.x, maps.y, maps.residual
    )()
    assert_close(maps.written.read(), stores=MOST_STORES, **exact)


@pytest.mark.parametrize("activation", ["none", "silu", "gelu"])
def test_the_library_applies_every_activation_with_and_without_a_conversion(activation: str) -> None:
    for geometry in (conv(32, 64, (1, 1)), conv(8, 16)):
        case = Case(geometry, plane=(4, 5), images=8, activation=activation, residual=True)
        layer, maps, exact = maps_of(case, CHWN, FP32)
        VendorConv(layer.packed, layer.epilogue, precision=FP32, device="cpu").bind(
            maps.x, maps.y, maps.residual
        )()
        assert_close(maps.written.read(), stores=MOST_STORES, **exact)


def test_the_library_keeps_the_halo_of_what_it_writes_zero_and_reads_beyond_no_halo() -> None:
    layer, maps, exact = maps_of(Case(conv(8, 16, (1, 1)), plane=(4, 5), images=8), CHWN, FP32)
    haloed = chwn(16, (4, 5), 8, halo=(1, 1), dtype=torch.float32)
    VendorConv(layer.packed, layer.epilogue, precision=FP32, device="cpu").bind(maps.x, haloed)()
    assert_close(haloed.read(), stores=MOST_STORES, **exact)
    assert haloed.buffer.abs().sum() == pytest.approx(float(haloed.nchw().abs().sum()))


def test_the_library_writes_copies_for_the_reader_too() -> None:
    layer, maps, _ = maps_of(Case(conv(8, 16), plane=(4, 5)), SHIFTED, FP32)
    copies = shifted(16, (4, 5), 1, halo_rows=1, shift=shift_of(conv(16, 8)), dtype=torch.float32)
    VendorConv(layer.packed, layer.epilogue, precision=FP32, device="cpu").bind(
        maps.x, maps.y, expand=copies
    )()
    expected = shifted(16, (4, 5), 1, halo_rows=1, shift=shift_of(conv(16, 8)), dtype=torch.float32)
    expected.write(maps.written.read())
    assert torch.equal(copies.buffer, expected.buffer)


def test_maps_of_another_layer_are_refused() -> None:
    packed, epilogue, _, _ = make(Case(conv(8, 16)))
    vendor = VendorConv(packed, epilogue, precision=FP32, device="cpu")
    x = chwn(8, (7, 9), 1, dtype=torch.float32)
    y = chwn(16, (7, 9), 1, dtype=torch.float32)
    with pytest.raises(ValueError, match="expected a halo of at least"):
        vendor.bind(x, y)
    dense = pack_dense(torch.ones(16, 8), conv(8, 16, (1, 1)))
    with pytest.raises(ValueError, match="expected y or expand to write to"):
        VendorConv(dense, epilogue, precision=FP32, device="cpu").bind(x, None)


def test_more_stores_allow_more_error_and_no_more() -> None:
    """The tolerance counts what a library rounds on its way: one fp16 rounding of 1 + 2^-11 each."""
    layer, maps, exact = maps_of(Case(conv(8, 16, (1, 1)), plane=(4, 5), images=8), CHWN, FP16)
    VendorConv(layer.packed, layer.epilogue, precision=FP16, device="cpu").bind(maps.x, maps.y)()
    y = maps.written.read()
    with pytest.raises(AssertionError):
        assert_close(y * (1 + 8 * FP16.roundoff), **exact)
    with pytest.raises(AssertionError):
        assert_close(y * (1 + 40 * FP16.roundoff), stores=MOST_STORES, **exact)
