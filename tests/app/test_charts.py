"""Figures are pure, small, and told apart by everybody."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from app import charts
from bcbp.geometry import TileShape
from bcbp.mask import Mask

BACKGROUNDS = {"light": "#FFFFFF", "dark": "#10151D"}  # of .streamlit/config.toml
MAIN = ("dense", "filter", "block", "column", "bcbp")

# Machado, Oliveira & Fernandes (2009), severity 1, on linear RGB.
VISION = {
    "normal": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "tritanopia": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
}
# Ottosson's OKLab, from linear RGB.
TO_LMS = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
TO_LAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)


def linear(color: str) -> np.ndarray:
    channels = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)


def contrast(first: str, second: str) -> float:
    """WCAG 2 contrast ratio."""
    dark, light = sorted(float(linear(color) @ [0.2126, 0.7152, 0.0722]) for color in (first, second))
    return (light + 0.05) / (dark + 0.05)


def difference(first: str, second: str, vision: str) -> float:
    """Distance in OKLab x 100; about 2 is just noticeable side by side."""
    seen = [np.clip(VISION[vision] @ linear(color), 0, 1) for color in (first, second)]
    return 100 * float(np.linalg.norm(np.subtract(*(TO_LAB @ np.cbrt(TO_LMS @ rgb) for rgb in seen))))


@pytest.mark.parametrize("theme", BACKGROUNDS)
@pytest.mark.parametrize("method", charts.COLORS)
def test_every_colour_stands_out_on_both_backgrounds(method: str, theme: str) -> None:
    assert contrast(charts.COLORS[method], BACKGROUNDS[theme]) >= 3


@pytest.mark.parametrize("vision", VISION)
def test_the_five_main_colours_stay_apart_for_everybody(vision: str) -> None:
    for first, second in itertools.combinations(MAIN, 2):
        assert difference(charts.COLORS[first], charts.COLORS[second], vision) > 10, (first, second)


def test_the_colour_check_can_fail() -> None:
    assert difference("#C04040", "#6F6F20", "normal") > 10
    assert difference("#5A8F3C", "#A8763C", "deuteranopia") < 10
    assert contrast("#FFFF00", "#FFFFFF") < 3


def test_every_method_has_its_own_marker() -> None:
    assert len(set(charts.MARKERS.values())) == len(charts.COLORS)


def wide_mask(tiles: int = 128, columns: int = 25088) -> Mask:
    keep = torch.rand(tiles, columns, generator=torch.Generator().manual_seed(0)) < 0.5
    return Mask.of_columns(keep, torch.arange(32 * tiles), TileShape(32))


def test_a_heatmap_of_the_widest_layer_stays_small() -> None:
    assert len(charts.mask_heatmap(wide_mask(), "bcbp").to_json()) < 64 * 1024


def test_the_heatmap_shows_exact_shares() -> None:
    mask = wide_mask(2, 960)
    (trace,) = charts.mask_heatmap(mask, "bcbp").data
    assert trace.z[1][3] == round(100 * mask.keep[1, 6:8].float().mean().item())


def test_the_heatmap_counts_removed_filters_as_removed() -> None:
    keep = torch.ones(1, 10, dtype=torch.bool)
    mask = Mask(keep, torch.tensor([True, False, False, False]), TileShape(4))
    (trace,) = charts.mask_heatmap(mask, "filter").data
    assert trace.z[0][0] == 25


def test_the_ticks_of_the_heatmap_are_tiles() -> None:
    figure = charts.mask_heatmap(wide_mask(2, 100), "bcbp")
    assert figure.data[0].y0 == 0 and figure.data[0].dy == 1 and figure.layout.yaxis.dtick == 1


def test_bars_of_kept_columns_are_one_per_tile() -> None:
    (trace,) = charts.kept_per_tile([("bcbp", "BCBP", wide_mask(4, 100))]).data
    assert len(trace.y) == 4


def test_a_curve_has_a_line_a_method_that_starts_at_epoch_one() -> None:
    first, second = charts.curve(
        [("bcbp", "BCBP", [0.5, 0.4]), ("filter", "Filter", [0.7])], axis="training loss"
    ).data
    assert first.x == (1, 2) and first.y == (0.5, 0.4) and second.x == (1,)
    assert first.name == "BCBP" and first.line.color == charts.method_color("bcbp")


def test_the_ladder_has_a_line_a_method_with_its_intervals() -> None:
    steps = [charts.Step("Masked only", 0.1, (0.09, 0.12)), charts.Step("Refit", 0.9, (0.89, 0.905))]
    (line,) = charts.ladder([("bcbp", "BCBP", steps)]).data
    assert list(line.x) == ["Masked only", "Refit"] and list(line.y) == pytest.approx([10, 90])
    assert list(line.error_y.array) == pytest.approx([2, 0.5])
    assert list(line.error_y.arrayminus) == pytest.approx([1, 1])
    assert line.line.color == charts.method_color("bcbp")
