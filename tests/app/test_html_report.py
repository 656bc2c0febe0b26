"""A comparison as one HTML file: whole, self-contained, always the same bytes, safe with hostile words."""

from __future__ import annotations

import base64
import copy
import gzip
import json
import re
from html import escape
from itertools import product
from typing import Any

import pytest
from plotly.offline import get_plotlyjs

from app import findings
from app.html_report import page
from app.html_report.comparison_replay import grid
from app.html_report.html import Html, data, element, prose
from app.html_report.manifest import digest
from app.html_report.subject import Subject
from app.result_lines import result_lines
from app.titles import METHOD_TITLES
from app.words.formats import literal
from app.words.help_texts import HELP
from tests.app.html_reports import (
    BUILDS,
    Outline,
    fine_tuned,
    hostile,
    one_ratio,
    sensitivity,
    several_ratios,
    unfinished,
    without_accuracy,
)


@pytest.fixture
def made() -> dict[str, Any]:
    return several_ratios()


@pytest.mark.parametrize("build", BUILDS, ids=lambda build: build.__name__)
def test_every_report_makes_a_whole_page_with_a_card_for_every_figure(build: Any) -> None:
    made = page(build())
    outline = Outline(made)
    figures = [attributes for _, attributes in outline.tags if "data-figure" in attributes]
    described = {attributes.get("id") for tag, attributes in outline.tags if tag == "script"}
    assert {attributes["data-figure"] for attributes in figures} <= described
    sections = re.split(r"<h2>", made.decode().split("<main>")[1].split("</main>")[0])
    for section in sections:
        if "data-figure" in section:
            assert 'class="card"' in section and "<table>" in section
    assert outline.count("html") == outline.count("main") == 1
    assert "Manifest" in outline.text and "SHA-256" in outline.text


def test_the_page_says_what_the_report_says(made: dict[str, Any]) -> None:
    text = Outline(page(made)).text
    assert "Recorded on Test processor, 2026-11-23 12:00 UTC; timed on the CPU in fp32." in text
    assert "Faster, at a cost: BCBP at 50 % is 1.83× as fast as the best dense at batch 1" in text
    assert digest(made) in text and made["model"]["digest"] in text and "torch 2.15.0" in text
    for batch in ("1", "32"):
        for line in result_lines(findings.findings(made, batch=batch, titles=METHOD_TITLES)):
            assert all(cell in text for cell in line.values())


def test_fine_tuning_that_timed_nothing_has_a_verdict_on_accuracy() -> None:
    found = copy.deepcopy(fine_tuned())
    found["request"]["batches"] = []
    for row in found["rows"]:
        row["latency_ms"] = row["speedup"] = {}
    text = Outline(page(found)).text
    assert "; nothing was timed." in text and "No verdict yet" not in text
    assert "BCBP costs accuracy: 92.87 % against 93.61 % of 10,000 test images, −0.74 points." in text
    assert "Kept is Refit + BatchNorm, which took 5.0 s. Nothing was timed" in text
    assert "Fine-tuning, epoch by epoch" in text and "0.5000" in text and "90.00 %" in text


def test_the_clocks_are_in_the_manifest_as_far_as_the_system_tells_them() -> None:
    found = copy.deepcopy(one_ratio())
    assert "not told by this system, or not recorded" in Outline(page(found)).text
    found["environment"]["clock"] = {"mhz": 1800, "most_mhz": 3500, "governor": "powersave"}
    found["environment"]["clock_after"] = {"mhz": 3400}
    found["environment"]["gpu_state"] = {"clocks.sm": "1980 MHz"}
    clocks = (
        "first core 1800 MHz before, 3400 MHz after, at most 3500 MHz, governor powersave, clocks.sm 1980 MHz"
    )
    assert clocks in Outline(page(found)).text


def test_what_is_missing_is_said() -> None:
    assert "Not finished" in Outline(page(unfinished())).text
    assert "Not finished" not in Outline(page(one_ratio())).text


def test_nothing_is_fetched_and_plotly_comes_once(made: dict[str, Any]) -> None:
    outline = Outline(page(made))
    assert not [(tag, one) for tag, one in outline.tags if {"src", "href", "srcset", "action"} & one.keys()]
    assert outline.count("link") == outline.count("iframe") == outline.count("img") == 0
    (packed,) = re.findall(rb'<script type="text/plain" id="plotly">([^<]+)</script>', page(made))
    assert gzip.decompress(base64.b64decode(packed)).decode() == get_plotlyjs()
    assert len(page(made)) < 2_500_000
    policy = next(
        one["content"] for _, one in outline.tags if one.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy is not None and "default-src 'none'" in policy and "http" not in policy


@pytest.mark.parametrize("build", [one_ratio, fine_tuned, sensitivity], ids=lambda build: build.__name__)
def test_hostile_words_stay_words(build: Any) -> None:
    plain, attacked = Outline(page(build())), Outline(page(hostile(build())))
    assert {tag for tag, _ in attacked.tags} == {tag for tag, _ in plain.tags}
    assert attacked.count("script") == plain.count("script")
    assert not [one for _, one in attacked.tags if any(name.startswith("on") for name in one)]
    assert "<script>alert(1)</script>" in attacked.text


def test_the_same_report_gives_the_same_bytes_whatever_the_order_of_its_file(made: dict[str, Any]) -> None:
    again = json.loads(json.dumps(made, sort_keys=True))
    assert page(again) == page(copy.deepcopy(made))


def test_the_replay_knows_measured_points_only(made: dict[str, Any]) -> None:
    found = grid(Subject(made))
    stops = [axis.stops for axis in found.axes]
    assert stops == [("Filter", "BCBP"), ("30 % removed", "50 % removed", "70 % removed"), ("1", "32")]
    assert found.start == ("BCBP", "50 % removed", "1")
    assert found.points.keys() == set(product(*stops))
    told: Any = found.to_json()
    assert told["start"] == [1, 1, 0] and told["points"].keys() == {
        f"{method} {ratio} {batch}" for method, ratio, batch in product(range(2), range(3), range(2))
    }
    value, under = found.points[found.start][0]
    assert (
        value == "1.83×" and under.startswith("95 % interval 1.79× to 1.88×; ") and under.endswith("better")
    )


def test_a_point_that_was_not_measured_says_so_and_why() -> None:
    found = copy.deepcopy(without_accuracy())
    for row in found["rows"]:
        row["accuracy_reason"] = "No accuracy was asked for."
    _, accuracy, _ = grid(Subject(found)).points["BCBP", "50 % removed", "1"]
    assert accuracy == ("not measured", "No accuracy was asked for.")


def test_markup_is_escaped_unless_it_is_markup() -> None:
    assert element("p", "<b>", Html("<i></i>"), title='"') == '<p title="&quot;">&lt;b&gt;<i></i></p>'
    assert prose("**a <b>**") == "<strong>a &lt;b&gt;</strong>"
    assert "</script>" not in data("x", "</script>")[:-9]


def test_signs_that_a_page_keeps_from_being_markdown_stay_as_they_are() -> None:
    for words in ("Xeon(R) ![x](y) :red[z]", "a*b*c `d`", "<b> & \"q\" 'r' \\"):
        assert prose(literal(words)) == escape(words)


@pytest.mark.parametrize("name", HELP)
def test_no_help_text_leaves_its_marks_behind(name: str) -> None:
    assert "*" not in prose(HELP[name]) and "`" not in prose(HELP[name])
