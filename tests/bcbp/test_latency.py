"""A latency budget is kept, with the least loss there is, by what was measured and nothing else."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cache
from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bcbp.errors import SpecError
from bcbp.intake.model import LoadedModel, adopt
from bcbp.intake.residual import ResidualNet
from bcbp.latency import nice_step
from bcbp.losses import rising, usable
from bcbp.measured import LayerTimes, Measured
from bcbp.plan import Forecast, PruningPlan
from bcbp.planning import Planner, make_plan
from bcbp.sensitivity import Scan
from bcbp.spec import PruneSpec
from tests.bcbp.measurements import IMAGES, measured_of, scan_of, times_of

LOCKED = "stages.0.0.conv1"


@cache
def model() -> LoadedModel:
    """Seven prunable layers, of which the first and the last stay dense by default."""
    torch.manual_seed(0)
    net = ResidualNet(in_channels=1, widths=(16, 32), blocks=(1, 1), classes=4)
    return adopt(net, name="small", input_shape=(1, 16, 16))


@cache
def planner() -> Planner:
    return Planner(model(), tile=8)


def spec(budget: float = 1.0, **fields: object) -> PruneSpec:
    return PruneSpec(tile=8, allocation="latency", budget_ms=budget, **fields)  # type: ignore[arg-type]


def plan_at(share: float, measured: Measured, **fields: object) -> PruningPlan:
    """The plan for a budget that lies at `share` between the least time and the dense one."""
    reach = planner().reach(spec(**fields), measured)
    budget = reach.least_ms + share * (reach.dense_ms - reach.least_ms)
    return planner().plan(spec(budget, **fields), measured)


def forecast_of(plan: PruningPlan) -> Forecast:
    assert plan.forecast is not None
    return plan.forecast


def time_of(plan: PruningPlan, times: LayerTimes) -> float:
    """What the measured layers take at the ratios of a plan."""
    ratios = {layer.name: layer.ratio for layer in plan}
    total = 0.0
    for name, dense in times.dense.items():
        known = {0.0: dense, **times.sparse[name]}
        total += known[min(known, key=lambda ratio: abs(ratio - ratios.get(name, 0.0)))]
    return total


@given(share=st.floats(0, 1), seed=st.integers(0, 20))
def test_the_budget_is_kept_and_the_forecast_is_what_the_plan_takes(share: float, seed: int) -> None:
    measured = measured_of(model(), tile=8, seed=seed)
    plan = plan_at(share, measured)
    forecast = forecast_of(plan)
    assert forecast.ms <= forecast.budget_ms * (1 + 1e-6)
    assert measured.times is not None
    assert forecast.ms == pytest.approx(time_of(plan, measured.times))
    assert forecast.dense_ms == pytest.approx(sum(measured.times.dense.values()))


@given(share=st.floats(0, 1), seed=st.integers(0, 20))
def test_no_other_combination_of_measured_ratios_loses_less(share: float, seed: int) -> None:
    measured = measured_of(model(), tile=8, seed=seed)
    measured = replace(measured, times=times_of(model(), ratios=(0.5, 0.9)))
    forecast = forecast_of(plan_at(share, measured))
    assert forecast.loss == pytest.approx(brute_force(measured, forecast.budget_ms), abs=0.5 / IMAGES)
    assert forecast.loss >= forecast.bound


def brute_force(measured: Measured, budget: float) -> float:
    """The least sum of drops over every combination; ties by importance weigh less than half an image."""
    assert measured.scan is not None and measured.times is not None
    free = [layer.name for layer in model().layers[1:-1]]
    settled = sum(ms for name, ms in measured.times.dense.items() if name not in free)
    options = [[(measured.times.dense[name], 0.0), *_pruned(measured, name)] for name in free]
    sums = (np.sum(one, axis=0) for one in product(*options))
    return min(float(loss) for ms, loss in sums if settled + ms <= budget * (1 + 1e-9))


def _pruned(measured: Measured, name: str) -> list[tuple[float, float]]:
    assert measured.scan is not None and measured.times is not None
    drops = measured.scan.of(name)
    return [(ms, drops[ratio].drop or 0.0) for ratio, ms in measured.times.sparse[name].items()]


@given(first=st.floats(0, 1), second=st.floats(0, 1))
def test_a_tighter_budget_never_loses_less(first: float, second: float) -> None:
    measured = measured_of(model(), tile=8)
    tight, wide = sorted((first, second))
    assert forecast_of(plan_at(tight, measured)).loss >= forecast_of(plan_at(wide, measured)).loss - 1e-9


@given(share=st.floats(0, 1), ratio=st.sampled_from([0.3, 0.5, 0.8]))
def test_locks_and_exclusions_are_kept_and_counted(share: float, ratio: float) -> None:
    measured = measured_of(model(), tile=8)
    fields = {"ratios": ((LOCKED, ratio),), "exclude": ("stages.1.0.conv2",)}
    plan = plan_at(share, measured, **fields)
    assert plan[LOCKED].ratio == pytest.approx(ratio, abs=0.01)
    assert "stages.1.0.conv2" in dict(plan.kept_dense)
    reason = dict(forecast_of(plan).reasons)[LOCKED]
    below = max(one for one in (0.0, 0.25, 0.5, 0.75) if one <= ratio)
    assert reason.endswith(f"measured at {below:g}")


def test_layers_that_were_not_measured_stay_dense_and_are_named() -> None:
    times = times_of(model(), without=[LOCKED])
    plan = plan_at(0.0, Measured(scan_of(model(), tile=8), times))
    assert plan[LOCKED].ratio == 0
    assert "not measured" in dict(forecast_of(plan).reasons)[LOCKED]
    assert any(LOCKED in note and "not measured" in note.lower() for note in plan.notes)
    locked = planner().plan(spec(forecast_of(plan).budget_ms, ratios=((LOCKED, 0.5),)), Measured(None, times))
    assert locked[LOCKED].ratio == 0.5
    assert "not in the sum" in dict(forecast_of(locked).reasons)[LOCKED]
    told = [note for note in locked.notes if LOCKED in note]
    assert told == [f"Not measured on this device, so pruned as locked, but out of the sum: {LOCKED}."]


def test_a_layer_stays_dense_for_a_reason_where_another_session_timed_dense_faster() -> None:
    """The best dense time is of all sessions, and a ratio wins in its own."""
    times = times_of(model())
    slower = dict.fromkeys(times.sparse[LOCKED], 1.1 * times.dense[LOCKED])
    times = replace(times, sparse={**times.sparse, LOCKED: slower})
    reason = dict(forecast_of(plan_at(0.0, Measured(None, times))).reasons)[LOCKED]
    assert reason == "stays dense: its best dense time is below that of every measured ratio"


def test_a_layer_whose_loss_could_not_be_measured_stays_dense() -> None:
    measured = measured_of(model(), tile=8, reasons={LOCKED: "a tile straddles its groups"})
    plan = plan_at(0.0, measured)
    assert plan[LOCKED].ratio == 0
    assert "loss could not be measured" in dict(forecast_of(plan).reasons)[LOCKED]


def test_a_layer_where_sparse_never_wins_stays_dense_by_itself() -> None:
    times = times_of(model())
    never = replace(times, sparse={**times.sparse, LOCKED: {}})
    plan = plan_at(0.0, Measured(None, never))
    assert plan[LOCKED].ratio == 0
    assert "at no measured ratio" in dict(forecast_of(plan).reasons)[LOCKED]


def test_every_layer_has_one_sentence_and_the_next_step_has_a_price() -> None:
    forecast = forecast_of(plan_at(0.5, measured_of(model(), tile=8)))
    assert [name for name, _ in forecast.reasons] == [layer.name for layer in model().layers[1:-1]]
    assert any("removed saves" in reason for _, reason in forecast.reasons)
    assert forecast.price.startswith("The next ") and "points, mostly in stages." in forecast.price
    least = forecast_of(plan_at(0.0, measured_of(model(), tile=8)))
    assert "the measured ratios end here" in least.price


def test_without_a_scan_losses_are_those_of_importance_and_the_plan_says_so() -> None:
    plan = plan_at(0.5, Measured(None, times_of(model())))
    assert forecast_of(plan).loss_of == "importance"
    assert plan.notes[0].startswith("No sensitivity scan")
    assert "importance, mostly in" in forecast_of(plan).price


def test_much_importance_is_told_in_layers_not_in_percents_beyond_all() -> None:
    plan = plan_at(0.0, Measured(None, times_of(model())))
    told = [
        float(share) for share in re.findall(r"([\d.]+) % of a layer's importance", repr(forecast_of(plan)))
    ]
    assert told and max(told) <= 100


def test_a_scan_that_is_not_complete_is_not_mixed_with_importance() -> None:
    scan = scan_of(model(), tile=8)
    found, note = usable(Scan(scan.key, scan.correct, scan.rows[:-1]), model().layers)
    assert found is None
    assert note.startswith("The sensitivity scan covers 6 of 7 layers so far")
    assert usable(scan, model().layers)[0] is scan


def test_every_pattern_gets_the_same_ratios_but_only_bcbp_a_forecast() -> None:
    measured = measured_of(model(), tile=8)
    balanced, column = (plan_at(0.3, measured, pattern=pattern) for pattern in ("bcbp", "column"))
    assert [layer.target for layer in column] == pytest.approx([layer.target for layer in balanced])
    assert column.forecast is None
    assert plan_at(0.3, measured, pattern="filter").sparsity > 0


@pytest.mark.parametrize(
    ("wanted", "measured", "message"),
    [
        (spec(1e-4), measured_of(model(), tile=8), "Expected a latency budget of at least .* got 0.0001 ms"),
        (spec(), Measured(), "Expected measured times .* in tiles of 8 filters at batch 1; .* Device page"),
        (replace(spec(), budget_ms=None), Measured(), "budget_ms.* with allocation latency.* got none"),
        (replace(spec(), allocation="uniform"), Measured(), "with no other; got 1 ms with uniform"),
    ],
)
def test_budgets_that_cannot_be_kept_are_refused(wanted: PruneSpec, measured: Measured, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        make_plan(model(), wanted, measured)


def test_a_forecast_survives_json() -> None:
    plan = plan_at(0.5, measured_of(model(), tile=8))
    assert PruningPlan.from_json(plan.to_json()).forecast == plan.forecast


# Target ratios.


@given(ratio=st.floats(0, 0.9), seed=st.integers(0, 5))
def test_least_loss_meets_the_ratio_within_a_column_a_layer(ratio: float, seed: int) -> None:
    plan = planner().plan(
        PruneSpec(tile=8, ratio=ratio, allocation="sensitivity"), measured_of(model(), tile=8, seed=seed)
    )
    total = sum(layer.shape[0] * layer.shape[1] for layer in plan)
    columns = sum(layer.shape[0] for layer in plan)
    assert abs(plan.sparsity - ratio) * total <= columns


def test_the_layer_that_loses_nothing_gives_most() -> None:
    names = [layer.name for layer in model().layers]
    drops = dict.fromkeys(names, (0.1, 0.2, 0.4, 0.6)) | {LOCKED: (0.0, 0.0, 0.0, 0.0)}
    measured = Measured(scan_of(model(), tile=8, drops=drops))
    plan = planner().plan(PruneSpec(tile=8, ratio=0.3, allocation="sensitivity"), measured)
    assert plan[LOCKED].ratio == max(layer.ratio for layer in plan) > 0.8
    assert plan.notes == ("Losses are those of a sensitivity scan on 1,000 validation images.",)


def test_least_loss_leaves_a_layer_whole_whose_loss_could_not_be_measured() -> None:
    scan = scan_of(model(), tile=8, reasons={LOCKED: "its tile does not fit"})
    spec = PruneSpec(tile=8, ratio=0.3, allocation="sensitivity")
    assert planner().plan(spec, Measured(scan))[LOCKED].ratio == 0


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=8))
def test_a_monotone_curve_is_the_nearest_one(values: list[float]) -> None:
    found = rising(values)
    assert found == sorted(found)
    assert rising(found) == pytest.approx(found)
    assert sum(found) == pytest.approx(sum(values), abs=1e-9)


@given(st.floats(1e-4, 1e3))
def test_steps_are_round_and_no_larger_than_asked(value: float) -> None:
    assert 0.39 * value < nice_step(value) <= value * (1 + 1e-6)
    assert f"{nice_step(value):e}"[0] in "125"
