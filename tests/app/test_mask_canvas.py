"""What is sent to the canvas is the mask itself, or exact shares of it, and never too much."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from app.components.mask_canvas import (
    EXACT_BYTES,
    Magnitude,
    Panel,
    Picture,
    Window,
    bin_counts,
    exact_columns,
    picture,
)
from bcbp.geometry import LayerInfo, TileShape
from bcbp.mask import Mask
from kernels.layout import ConvGeometry

LIMIT = 46 * 1024  # of the 64 KiB a rerun may send


def layer(filters: int, channels: int, kernel: int = 3) -> LayerInfo:
    return LayerInfo("conv", "conv", ConvGeometry(channels, filters, (kernel, kernel)), (14, 14))


def random_mask(info: LayerInfo, tile: int, density: float = 0.5) -> Mask:
    shape = TileShape(tile)
    generator = torch.Generator().manual_seed(0)
    keep = torch.rand(shape.count(info.rows), info.columns, generator=generator) < density
    return Mask.of_columns(keep, info.own_order, shape)


def panels(info: LayerInfo, tile: int, count: int = 1) -> tuple[Panel, ...]:
    return tuple(Panel("bcbp", "BCBP", "#5494F1", random_mask(info, tile)) for _ in range(count))


def raw(made: Picture, place: tuple[int, int]) -> np.ndarray:
    """The part of the body that a header points to."""
    return np.frombuffer(made.body[place[0] : sum(place)], np.uint8)


def sent(made: Picture) -> list[dict[str, Any]]:
    """The panels as the browser reads them."""
    header, body = made.message().split(b"\n", 1)
    assert body == made.body
    return json.loads(header)["panels"]


@given(filters=st.integers(1, 70), channels=st.integers(1, 12), tile=st.sampled_from([8, 32]))
def test_small_masks_arrive_bit_by_bit(filters: int, channels: int, tile: int) -> None:
    info = layer(filters, channels)
    (panel,) = panels(info, tile)
    made = picture((panel,), info)
    (first,) = sent(made)
    rows = raw(made, first["bits"]).reshape(len(panel.mask.keep), -1)
    assert np.array_equal(np.unpackbits(rows, axis=1, count=info.columns), panel.mask.keep.numpy())
    assert first["counts"] == panel.mask.kept_per_tile.tolist()


def test_a_window_sends_its_columns_alone() -> None:
    info = layer(64, 64)
    (panel,) = panels(info, 32)
    made = picture((panel,), info, window=Window(8, 72))
    rows = raw(made, sent(made)[0]["bits"]).reshape(2, -1)
    assert np.array_equal(np.unpackbits(rows, axis=1), panel.mask.keep[:, 8:72].numpy())


@given(tiles=st.integers(1, 20), columns=st.integers(1, 200), high=st.integers(1, 5), wide=st.integers(1, 30))
def test_bins_count_every_cell_once(tiles: int, columns: int, high: int, wide: int) -> None:
    keep = np.random.default_rng(0).random((tiles, columns)) < 0.4
    counts = bin_counts(keep, high, wide)
    assert counts.shape == (-(-tiles // high), -(-columns // wide))
    assert counts.sum() == keep.sum()
    assert counts[0, 0] == keep[:high, :wide].sum()


@pytest.mark.parametrize(
    ("info", "tile"),
    [
        (layer(512, 512), 32),
        (layer(512, 512), 8),
        (layer(4096, 25088, 1), 32),  # VGG-16's first classifier layer
        (layer(2048, 512, 1), 1),
    ],
    ids=lambda value: str(value) if isinstance(value, int) else f"{value.rows}x{value.columns}",
)
def test_four_masks_of_any_layer_stay_below_the_budget(info: LayerInfo, tile: int) -> None:
    scores = torch.rand(-(-info.rows // 32), info.columns)
    shown = []
    for seed, panel in enumerate(panels(info, tile, 4)):
        order = torch.randperm(info.rows, generator=torch.Generator().manual_seed(seed))
        mask = replace(panel.mask, order=order)
        shown.append(replace(panel, mask=mask, magnitude=Magnitude(32, scores + seed)))
    made = picture(tuple(shown), info)
    assert len(made.message()) < LIMIT
    assert made.header["exact"] is (info.columns <= exact_columns(panels(info, tile, 4)))


def test_bins_of_a_wide_layer_hold_exact_shares() -> None:
    info = layer(4096, 25088, 1)
    (panel,) = panels(info, 32)
    made = picture((panel,), info)
    (first,) = sent(made)
    high, wide = first["bin"]
    share = raw(made, first["bins"]).reshape(-(-128 // high), -1)[0, 0] / 255
    assert share == pytest.approx(panel.mask.keep[:high, :wide].float().mean().item(), abs=1 / 255)


def test_the_window_offered_for_a_wide_layer_is_exact() -> None:
    info = layer(4096, 25088, 1)
    shown = panels(info, 32, 4)
    made = picture(shown, info, window=Window(0, exact_columns(shown)))
    assert made.header["exact"]
    assert len(made.body) <= EXACT_BYTES


def test_the_largest_layer_of_a_resnet_is_exact_in_all_four_methods() -> None:
    info = layer(512, 512)
    assert picture(panels(info, 32, 4), info).header["exact"]


def test_permuted_filters_are_sent_tile_by_tile() -> None:
    info = layer(40, 4)
    order, rows = torch.arange(40).flip(0), torch.arange(40) < 10
    mask = replace(random_mask(info, 32), order=order, rows=rows)
    made = picture((Panel("block", "Block", "#067068", mask), *panels(info, 32)), info)
    first, second = sent(made)
    assert raw(made, first["order"]).view("<u2").tolist() == order.tolist()
    assert np.array_equal(np.unpackbits(raw(made, first["rows"]), count=40), rows.flip(0).numpy())
    assert second["order"] is None


def test_removed_filters_are_sent_and_whole_ones_are_not() -> None:
    info = layer(40, 4)
    mask = random_mask(info, 32)
    rows = torch.arange(40) % 2 == 0
    pruned = Panel("filter", "Filter", "#CD7801", Mask(mask.keep, rows, mask.tile))
    made = picture((pruned, *panels(info, 32)), info)
    first, second = sent(made)
    assert np.array_equal(np.unpackbits(raw(made, first["rows"]), count=40), rows.numpy())
    assert second["rows"] is None
