"""What reports of devices and of sensitivity scans say."""

from __future__ import annotations

from app.html_report import page
from tests.app.html_reports import (
    HOSTILE,
    Outline,
    device,
    device_of_old,
    scan_of_old,
    sensitivity,
)


def test_a_device_report_says_where_pruning_pays() -> None:
    text = Outline(page(device())).text
    assert "Where pruning pays on Test processor" in text and "GFLOP/s" in text and "Request" in text
    assert "Tile 32, float32. In part: at batch 1 and 50 % removed, sparse beats the best dense in" in text
    assert "1.83× (1.79× to 1.88×)" in text and "`" not in text and "\\" not in text


def test_a_passport_that_ships_is_read_part_by_part() -> None:
    """Small layers, which are in tiles of every width, make no part of their own."""
    text = Outline(page(device_of_old())).text
    assert "Tile 32, float32, batch 8" in text and "Tile 64, float32, batch 1" in text
    assert "So far" not in text


def test_a_device_report_knows_the_layers_that_are_still_to_be_measured() -> None:
    found = device()
    found["rows"] = found["rows"][:2]
    count = sum(layer["count"] for layer in found["layers"])
    assert f"So far 1 of {count} layers are measured" in Outline(page(found)).text


def test_a_scan_says_which_layer_is_sensitive_and_which_are_not() -> None:
    text = Outline(page(sensitivity())).text
    assert "Sensitivity of Sample: BCBP, tile 32" in text and "Recorded on Test processor" in text
    assert "Most sensitive is conv1: pruned alone by 90 %, it costs 12.00 (10.00 to 14.00) points" in text
    assert "Layers without a clear loss: 2 of 3 at 50 %, 0 of 1 at 90 %." in text
    assert "was not pruned: its filters stay" in text and "not measured" in text and "Seed" in text
    assert "was not kept" in Outline(page(scan_of_old())).text


def test_hostile_words_of_a_passport_stay_words() -> None:
    found = device()
    found["environment"]["cpu"] = found["environment"]["os"] = found["rates"][0]["name"] = HOSTILE
    for row in found["rows"]:
        row["note"] = row["engine"] = HOSTILE
    attacked = Outline(page(found))
    assert attacked.count("script") == Outline(page(device())).count("script") and not attacked.count("img")
    assert "<script>alert(1)</script>" in attacked.text
