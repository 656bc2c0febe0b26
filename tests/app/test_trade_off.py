"""Accuracy over latency: nothing is called beaten that the intervals leave open."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.trade_off import Point, beaten, pareto_front, trade_off

MADE = Point("bcbp", "BCBP", "50 %", 2.0, (1.9, 2.2), 0.9, (0.89, 0.91))


def shifted(point: Point, latency: float = 0.0, accuracy: float = 0.0) -> Point:
    low, high = point.quartiles
    bottom, top = point.interval
    return replace(
        point,
        latency=point.latency + latency,
        quartiles=(low + latency, high + latency),
        accuracy=point.accuracy + accuracy,
        interval=(bottom + accuracy, top + accuracy),
    )


def test_the_pareto_front_holds_what_nothing_beats() -> None:
    assert pareto_front([(2.0, 0.9), (1.0, 0.8), (2.5, 0.85), (1.0, 0.7)]) == (1, 0)


@pytest.mark.parametrize(
    ("latency", "accuracy", "expected"),
    [
        (-0.5, 0.03, True),  # faster and better, and the bars do not meet
        (-0.5, 0.01, False),  # faster, and perhaps no better
        (-0.1, 0.03, False),  # better, and perhaps no faster
        (-0.5, -0.03, False),  # a trade-off
    ],
)
def test_a_point_is_beaten_only_where_bars_meet_on_neither_axis(
    latency: float, accuracy: float, expected: bool
) -> None:
    assert beaten([MADE, shifted(MADE, latency, accuracy)]) == (expected, False)


unit = st.floats(0.01, 0.99)


@given(st.lists(st.tuples(unit, unit, unit, unit), min_size=1, max_size=8))
def test_what_is_on_the_front_is_never_called_beaten(values: list[tuple[float, float, float, float]]) -> None:
    points = [
        replace(
            MADE,
            latency=latency,
            quartiles=(latency * (1 - wide), latency * (1 + wide)),
            accuracy=accuracy,
            interval=(accuracy * (1 - high), accuracy + (1 - accuracy) * high),
        )
        for latency, accuracy, wide, high in values
    ]
    front = pareto_front([(point.latency, point.accuracy) for point in points])
    assert not any(beaten(points)[index] for index in front)


def test_ratios_of_a_method_are_joined_in_one_colour_with_both_intervals() -> None:
    dense = replace(MADE, method="dense", title="Dense", ratio="")
    other = replace(shifted(MADE, 3.0, -0.2), ratio="30 %")
    figure = trade_off([dense, MADE, other], focus="bcbp")
    line, first, bcbp, ratios = figure.data
    assert line.name == "best trade-offs" and (first.name, bcbp.name) == ("Dense", "BCBP")
    assert "lines" in bcbp.mode
    assert list(ratios.text) == ["50 %", "30 %"] and list(ratios.x) == list(bcbp.x)
    assert list(ratios.y) == [100 * MADE.interval[1], 100 * other.interval[1]]
    beside = replace(MADE, method="block", interval=(0.0, 1.0))
    assert list(trade_off([dense, MADE, beside], focus="bcbp").data[3].y) == [100.0]
    assert bcbp.error_x.array[0] == pytest.approx(0.2)
    assert bcbp.error_y.arrayminus[1] == pytest.approx(1.0)
    assert bcbp.marker.opacity[0] == 1 > bcbp.marker.opacity[1]
    assert "clearly better on both" in bcbp.customdata[1] and "clearly" not in bcbp.customdata[0]
