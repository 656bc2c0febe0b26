"""Edits in the table: a new ratio locks the layer, and the browser's limits are checked again."""

from __future__ import annotations

import pytest

from app.components.layer_table import Known, apply_edit, table
from app.state.edits import Edits
from bcbp.intake.architectures import load_model
from bcbp.planning import make_plan
from bcbp.spec import PruneSpec

LINE = {"layer": "conv", "ratio": 50.0}


def edited(edits: Edits, **changes: object) -> Edits | None:
    return apply_edit(edits, LINE, changes, preset=0.5)


def test_a_new_ratio_locks_the_layer_and_ends_its_exclusion() -> None:
    result = edited(Edits(exclude=frozenset({"conv"})), ratio=70)
    assert result == Edits(ratios={"conv": 0.7})


@pytest.mark.parametrize("ratio", [-1, 95.5, 100, float("nan"), None, "70"])
def test_ratios_out_of_range_are_refused(ratio: object) -> None:
    assert edited(Edits(), ratio=ratio) is None


def test_locking_keeps_the_ratio_shown_and_unlocking_forgets_it() -> None:
    locked = edited(Edits(), lock=True)
    assert locked == Edits(ratios={"conv": 0.5})
    assert edited(locked, lock=False) == Edits()


def test_dense_by_choice_and_back() -> None:
    dense = edited(Edits(ratios={"conv": 0.7}), keep=True)
    assert dense == Edits(exclude=frozenset({"conv"}))
    assert edited(dense, keep=False) == Edits()


def test_a_layer_that_is_dense_by_default_is_given_the_preset_ratio() -> None:
    assert edited(Edits(), keep=False) == Edits(ratios={"conv": 0.5})


def test_the_table_has_every_layer_with_what_the_plan_makes_of_it() -> None:
    model = load_model("sample")
    name = model.layers[1].name
    edits = Edits(ratios={name: 0.3})
    lines = table(
        model, make_plan(model, PruneSpec(ratios=((name, 0.3),))), edits, Known({name: "from 50 %"})
    ).set_index("layer")
    assert list(lines.index) == [layer.name for layer in model.layers]
    assert lines.loc[name, "ratio"] == pytest.approx(30)
    assert lines.loc[name, "lock"]
    assert lines.loc["conv1", "keep"]
    assert lines.loc[[name, "conv1"], "break_even"].tolist() == ["from 50 %", "not measured"]
    assert lines["macs"].sum() == pytest.approx(100)
    assert lines.loc["conv1", "engine"].startswith("dense: ")
