"""The Idea page and the three doors: recorded figures only where something was measured, words and order."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from app import doors, idea_charts
from app.main import ICONS
from app.recorded import sample_recording
from app.state import keys
from app.words import formats, idea_words
from bcbp.data import ASSETS
from tests.app.test_pages import Open, healthy, text

POINTS = sample_recording().points


def test_the_slider_moves_over_measured_points_and_the_three_figures_follow(open_page: Open) -> None:
    app = healthy(open_page("idea"))
    for point in POINTS:
        app = healthy(app.select_slider(key="idea_ratio").set_value(point.ratio).run())
        assert [one.value for one in app.metric] == [
            formats.times(point.speedup),
            formats.percent(point.accuracy),
            formats.percent(point.size, 0),
        ]
        assert app.metric[1].label == idea_words.accuracy(formats.percent(POINTS[0].accuracy))
    assert "Recorded, not live" in text(app)


def test_what_balance_brought_stands_beside_what_columns_bring_without_it(open_page: Open) -> None:
    column = sample_recording("column").points
    for balanced, unbalanced in zip(POINTS[1:], column[1:], strict=True):
        app = healthy(open_page("idea"))
        told = text(healthy(app.select_slider(key="idea_ratio").set_value(balanced.ratio).run()))
        assert f"Balanced {formats.times(balanced.speedup)}" in told
        assert f"unbalanced (Column) {formats.times(unbalanced.speedup)}, no clear difference" in told


def test_a_recording_is_that_of_the_file() -> None:
    report = json.loads((ASSETS / "recorded" / "compare-sample.json").read_text())
    rows = {row["asked_ratio"]: row for row in report["rows"] if row["method"] in ("dense", "bcbp")}
    assert [point.ratio for point in POINTS] == sorted(rows)
    assert POINTS[0].speedup == 1 and POINTS[0].size == 1
    for point in POINTS:
        assert point.speedup == rows[point.ratio]["speedup"]["1"]["value"]
        assert point.accuracy_interval[0] < point.accuracy < point.accuracy_interval[1]


def test_blocks_work_and_wait_as_long_as_the_slowest() -> None:
    work, wait = idea_charts.blocks([3, 5, 4], color="#000000", longest=6).data
    assert list(work.x) == [3, 5, 4] and list(wait.x) == [2, 0, 1]


@pytest.mark.parametrize("door", doors.DOORS.values(), ids=lambda door: door.name)
def test_a_door_leads_to_its_first_page_in_its_own_words(open_page: Open, door: doors.Door) -> None:
    assert set(door.pages) == set(ICONS) == set(doors.NONE.pages)
    app = healthy(open_page("model", ratio="0.7"))
    app = healthy(app.button(key=f"door_{door.name}").click().run())
    assert app.query_params[doors.DOOR] == [door.name] or app.query_params[doors.DOOR] == door.name
    app = healthy(open_page(door.pages[1], door=door.name, ratio="0.7"))
    labels = {one.label for one in (*app.slider, *app.selectbox)}
    assert door.labels.get(keys.RATIO, "Ratio removed") in labels


def test_the_scope_survives_a_visit_to_the_idea(open_page: Open) -> None:
    app = healthy(open_page("tune", ratio="0.7", tile="16", model="cifar-resnet20"))
    app = healthy(app.switch_page("views/idea.py").run())
    app = healthy(app.switch_page("views/tune.py").run())
    assert (app.session_state[keys.RATIO], app.session_state[keys.TILE]) == (0.7, 16)
    assert app.session_state[keys.MODEL] == "cifar-resnet20"


def test_an_unknown_door_is_said_and_is_none(open_page: Open) -> None:
    app = open_page("model", door="cellar")
    assert "cellar" in app.warning[0].value
    assert idea_words.DOORS in [one.value for one in app.subheader]


def test_the_page_says_which_file_it_reads() -> None:
    with pytest.raises(FileNotFoundError):
        sample_recording("bcbp", Path("nowhere.json"))
