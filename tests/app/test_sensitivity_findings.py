"""What a scan may be said to show."""

from __future__ import annotations

from app.sensitivity_findings import answer, losses
from app.words.formats import NOT_MEASURED
from bcbp.evaluation import drop_interval
from bcbp.sensitivity import Scan, ScanKey, Sensitivity

KEY = ScanKey("0" * 64, "bcbp", "l2", 32, 1000, 500, 0)


def row(layer: str, gained: int, lost: int, ratio: float = 0.5) -> Sensitivity:
    interval = drop_interval(gained, lost, KEY.images)
    return Sensitivity(layer, ratio, gained, lost, (lost - gained) / KEY.images, interval)


def scan(*rows: Sensitivity) -> Scan:
    return Scan(KEY, 930, rows)


def test_a_clear_loss_is_named_though_another_layer_loses_more_by_chance() -> None:
    told = answer(scan(row("noisy", 50, 60), row("sure", 0, 9))).sentence
    assert told.startswith("Most sensitive is sure: pruned alone by 50 %, it costs 0.9")


def test_without_a_clear_loss_it_says_how_many_layers_were_looked_at() -> None:
    told = answer(scan(row("first", 50, 60), row("second", 5, 5), Sensitivity("third", 0.5, reason="why")))
    assert told.sentence == "No layer of the 2 measured clearly loses accuracy when it alone is pruned."


def test_a_layer_is_not_measured_only_where_no_ratio_was() -> None:
    whole = Sensitivity("stem", 0.1, reason="its mask keeps every weight")
    assert losses(scan(whole, row("stem", 1, 40)))[0] == {"stem": "– · 3.9"}
    assert losses(scan(whole))[0] == {"stem": f"{NOT_MEASURED}: its mask keeps every weight"}
