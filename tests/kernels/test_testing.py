"""The checker itself must be able to fail."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from kernels.engines import engine
from kernels.pack import PackedTile
from kernels.testing import assert_close
from tests.kernels.cases import CASES, make


def test_one_weight_off_by_a_hundredth_is_seen() -> None:
    packed, epilogue, x, residual = make(CASES["3x3"])
    values = packed.tiles[0].values.clone()
    values[3, 5] *= 1.01
    tile = packed.tiles[0]
    other = replace(packed, tiles=(PackedTile(tile.rows, tile.columns, values), *packed.tiles[1:]))
    y = engine("reference").build(other, epilogue)(x, residual)
    with pytest.raises(AssertionError, match="the limit is"):
        assert_close(y, packed=packed, x=x, epilogue=epilogue, residual=residual)


def test_one_nan_is_seen() -> None:
    packed, epilogue, x, residual = make(CASES["3x3"])
    y = engine("reference").build(packed, epilogue)(x, residual)
    y[0, 0, 0, 0] = torch.nan
    with pytest.raises(AssertionError, match="element 0"):
        assert_close(y, packed=packed, x=x, epilogue=epilogue, residual=residual)


def test_half_precision_is_seen() -> None:
    packed, epilogue, x, residual = make(CASES["3x3"])
    y = engine("reference").build(packed, epilogue)(x.bfloat16().float(), residual)
    with pytest.raises(AssertionError):
        assert_close(y, packed=packed, x=x, epilogue=epilogue, residual=residual)


def test_roundings_that_all_lean_one_way_are_seen() -> None:
    packed, epilogue, x, residual = make(CASES["one whole tile"])
    y = engine("reference").build(packed, epilogue)(x, residual)
    with pytest.raises(AssertionError, match="root mean square"):
        assert_close(y * (1 + 8e-6), packed=packed, x=x, epilogue=epilogue, residual=residual)
