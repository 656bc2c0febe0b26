"""Laws of the crossover map: the break-even is what the verdicts say, and nothing more."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as some

from bcbp.crossover import (
    DECLINED,
    LOSES,
    NOT_MEASURED,
    UNCLEAR,
    WINS,
    BreakEven,
    CrossoverMap,
    Slice,
    break_even,
    covers,
    distinct_layers,
    measured_work,
    paying_ratio,
    slices,
    tallies,
)
from bcbp.intake.architectures import load_model
from kernels.layers import LayerShape, square
from tests.bcbp.passports import measured, model_passport, passport

SHAPE = square(64, 128, size=14)
SAMPLE = distinct_layers(load_model("sample"))
STATES = (WINS, LOSES, UNCLEAR)
maps = some.dictionaries(
    some.sampled_from([0.1, 0.25, 0.5, 0.75, 0.9]), some.sampled_from((*STATES, DECLINED)), min_size=1
)


@given(maps)
def test_from_the_break_even_on_sparse_wins_and_just_below_it_does_not(states: dict[float, str]) -> None:
    found = break_even(states)
    assert found.highest == max(states)
    wins = [ratio for ratio in states if found.ratio is not None and ratio >= found.ratio]
    assert all(states[ratio] == WINS for ratio in wins)
    below = [ratio for ratio in states if ratio not in wins]
    assert not below or states[max(below)] != WINS
    assert found.ratio is None or found.ratio in states


@given(maps, some.data())
def test_one_more_win_never_raises_the_break_even(states: dict[float, str], data: some.DataObject) -> None:
    better = states | {data.draw(some.sampled_from(sorted(states))): WINS}
    before, after = break_even(states).ratio, break_even(better).ratio
    assert before is None or (after is not None and after <= before)


@given(maps, some.randoms(use_true_random=False))
def test_the_order_of_rows_and_the_names_of_layers_do_not_matter(states: dict[float, str], order) -> None:
    rows = [row for ratio, state in states.items() for row in measured(SHAPE, state, ratio=ratio)]
    order.shuffle(rows)
    renamed = [replace(row, shape=LayerShape("else", SHAPE.geometry, SHAPE.plane)) for row in rows]
    of = Slice(32, "float32")
    found = CrossoverMap(passport(renamed), of).break_even(SHAPE.place, 1)
    assert found.ratio == break_even(states).ratio and found.highest == max(states)


@given(maps)
def test_other_layers_batches_tiles_and_types_change_nothing(states: dict[float, str]) -> None:
    rows = [row for ratio, state in states.items() for row in measured(SHAPE, state, ratio=ratio)]
    for other in (
        measured(square(64, 128, size=28), WINS, ratio=0.95),
        measured(SHAPE, WINS, batch=8, ratio=0.95),
        measured(SHAPE, WINS, tile=64, ratio=0.95),
        measured(SHAPE, WINS, dtype="float16", ratio=0.95),
    ):
        rows += other
    found = CrossoverMap(passport(rows), Slice(32, "float32"))
    assert found.break_even(SHAPE.place, 1).highest == max(states)
    for ratio, state in states.items():
        assert found.spot(SHAPE.place, 1, ratio).state == state


def test_what_is_not_there_is_not_measured() -> None:
    found = CrossoverMap(passport(measured(SHAPE, WINS)), Slice(32, "float32"))
    assert found.spot(SHAPE.place, 1, 0.9).state == NOT_MEASURED
    assert found.break_even(square(1, 1, size=3).place, 1) == BreakEven(None, None)
    assert found.dense_ms(SHAPE.place, 8) is None and found.dense_ms(SHAPE.place, 1) == 2.0


def test_a_layer_that_the_engine_declines_has_its_reason() -> None:
    found = CrossoverMap(passport(measured(SHAPE, DECLINED)), Slice(32, "float32"))
    assert found.break_even(SHAPE.place, 1) == BreakEven(None, 0.5, "no wide vectors")


def test_a_layer_smaller_than_the_tile_is_found_under_any_wider_tile() -> None:
    small = square(16, 16, size=8)
    made = passport(measured(small, WINS, tile=64))
    for tile in (32, 64, 128):
        assert CrossoverMap(made, Slice(tile, "float32")).break_even(small.place, 1).ratio == 0.5
    assert slices(made, [small.place]) == (Slice(16, "float32"),)


def test_the_slices_are_the_tiles_asked_for() -> None:
    rows = [*measured(square(16, 16, size=8), WINS, tile=64), *measured(SHAPE, WINS, tile=64)]
    rows += measured(SHAPE, WINS, tile=32, dtype="float16")
    places = [SHAPE.place, square(16, 16, size=8).place]
    assert slices(passport(rows), places) == (Slice(32, "float16"), Slice(64, "float32"))
    assert slices(passport(rows), []) == ()


def test_a_slice_is_covered_by_the_tile_asked_for_or_by_layers_that_fit_any() -> None:
    small = square(16, 16, size=8)
    made = passport([*measured(small, WINS, tile=64), *measured(SHAPE, WINS, tile=64)])
    both = [small.place, SHAPE.place]
    assert covers(made, Slice(64, "float32"), both)
    assert not covers(made, Slice(32, "float32"), both)
    assert not covers(made, Slice(64, "float16"), both)
    assert covers(made, Slice(32, "float32"), [small.place])
    assert not covers(made, Slice(64, "float32"), [])


def test_distinct_layers_are_counted_and_together_are_the_model() -> None:
    model = load_model("resnet18")
    found = distinct_layers(model)
    assert sum(found.values()) == len(model.layers)
    assert len({shape.place for shape in found}) == len(found)
    assert found[square(64, 64, size=56)] == 4


@given(some.lists(some.sampled_from((*STATES, DECLINED, NOT_MEASURED)), min_size=9, max_size=9))
def test_tallies_count_every_layer_once_and_shares_stay_shares(states: list[str]) -> None:
    rows = [
        row
        for shape, state in zip(SAMPLE, states, strict=True)
        if state != NOT_MEASURED
        for row in measured(shape, state)
    ]
    chart = CrossoverMap(passport(rows), Slice(32, "float32"))
    found = tallies(chart, SAMPLE, 1)
    if not rows:
        assert not found and measured_work(chart, SAMPLE, 1) == 0
        return
    (tally,) = found
    measured_layers = sum(
        count for (_, count), state in zip(SAMPLE.items(), states, strict=True) if state != NOT_MEASURED
    )
    assert tally.measured == measured_layers
    assert 0 <= tally.time_share <= 1
    assert (tally.wins > 0) == (tally.time_share > 0)
    assert (measured_work(chart, SAMPLE, 1) == pytest.approx(1)) == (tally.measured == 10)


@pytest.mark.parametrize(
    ("states", "ratio"),
    [
        ({0.25: LOSES, 0.5: WINS, 0.9: WINS}, 0.5),
        ({0.25: WINS, 0.5: UNCLEAR}, None),
        ({0.5: LOSES}, None),
    ],
)
def test_pruning_pays_from_where_most_of_the_time_lies_in_layers_that_win(states, ratio) -> None:
    found = CrossoverMap(model_passport(states), Slice(32, "float32"))
    assert paying_ratio(tallies(found, SAMPLE, 1)) == ratio
