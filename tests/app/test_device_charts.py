"""The crossover map is read without colours as well as with them, on either background."""

from __future__ import annotations

import itertools
import json

import pytest

from app import state_map
from app.device_charts import FILLS, SIGNS, MapLine, crossover_map
from bcbp.crossover import DECLINED, LOSES, NOT_MEASURED, UNCLEAR, WINS, Spot
from kernels.layers import square
from tests.app.test_charts import BACKGROUNDS, VISION, contrast, difference
from tests.bcbp.passports import measured

SHAPE = square(64, 64, size=14)


def line(*states: str) -> MapLine:
    rows = [None if state == NOT_MEASURED else measured(SHAPE, state)[1] for state in states]
    spots = [Spot(state, row) for state, row in zip(states, rows, strict=True)]
    return MapLine(SHAPE.name, tuple(spots))


def test_every_state_has_a_sign_of_its_own() -> None:
    assert len(set(SIGNS.values())) == len(SIGNS) == 5


@pytest.mark.parametrize("fill", FILLS.values(), ids=FILLS)
def test_the_white_text_is_readable_on_every_fill(fill: str) -> None:
    assert contrast("#FFFFFF", fill) >= 4.5


@pytest.mark.parametrize("vision", VISION)
def test_wins_and_losses_are_told_apart_by_everybody(vision: str) -> None:
    for first, second in itertools.combinations((WINS, LOSES, UNCLEAR), 2):
        assert difference(FILLS[first], FILLS[second], vision) > 8


@pytest.mark.parametrize("theme", BACKGROUNDS)
def test_the_sign_of_what_is_not_measured_is_seen_on_both_backgrounds(theme: str) -> None:
    figure = crossover_map([line(NOT_MEASURED)], [0.5])
    assert contrast(figure.data[1].textfont.color, BACKGROUNDS[theme]) >= 3


def test_a_cell_says_its_state_by_sign_and_number() -> None:
    figure = crossover_map([line(WINS, LOSES, UNCLEAR, DECLINED, NOT_MEASURED)], [0.1, 0.25, 0.5, 0.75, 0.9])
    assert list(figure.data[0].text[0]) == ["▲ 1.83×", "▼ 0.87×", "≈ 1.02×", "✕", "–"]
    assert list(figure.data[0].z[0]) == [0, 2, 1, 3, None]
    assert list(figure.data[1].x) == ["90 %"] and list(figure.data[1].text) == ["–"]
    assert "95 % interval 1.79× to 1.88×" in figure.data[0].customdata[0][0]
    assert figure.data[0].customdata[0][3] == DECLINED


def test_many_ratios_leave_room_for_the_sign_alone() -> None:
    figure = crossover_map([line(*[WINS] * 6)], [0.1, 0.2, 0.3, 0.4, 0.5, 0.6])
    assert set(figure.data[0].text[0]) == {"▲"}


def test_words_of_a_file_do_not_reach_the_figure() -> None:
    spot = measured(SHAPE, DECLINED)[1]
    assert spot.row.note
    figure = crossover_map([MapLine(SHAPE.name, (Spot(DECLINED, spot),))], [0.5])
    assert spot.row.note not in figure.to_json()


def test_the_map_of_a_large_network_stays_small() -> None:
    lines = [MapLine(f"layer {number}", line(*[WINS] * 5).spots) for number in range(30)]
    figure = crossover_map(lines, [0.1, 0.25, 0.5, 0.75, 0.9])
    assert len(json.dumps(json.loads(figure.to_json()))) < 40_000
    assert figure.layout.height == state_map._FRAME_PIXELS + 30 * state_map._ROW_PIXELS
