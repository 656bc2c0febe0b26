"""A comparison as one HTML file: whole, self-contained, always the same bytes, safe with hostile words."""

from __future__ import annotations

import copy
import json
import re
import subprocess
import sys
from functools import cache
from html.parser import HTMLParser
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from app import findings, report_command
from app.help_texts import HELP
from app.html_report import page
from app.html_report.html import Html, data, element, prose
from app.html_report.manifest import digest
from app.html_report.replay import grid
from app.html_report.subject import Subject
from app.result_lines import result_lines
from app.titles import METHOD_TITLES
from bcbp.cli import main
from bcbp.intake.architectures import load_model
from bcbp.recovery.tuning import Epoch
from bcbp.report import add_epoch, new_report
from bcbp.request import CompareRequest
from tests.app.stored_runs import ENVIRONMENT, report, store_run

ROOT = Path(__file__).resolve().parents[2]
SEVERAL = CompareRequest(methods=("dense", "filter", "bcbp"), ratios=(0.3, 0.5, 0.7))
HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>'\"&\ud800"


class Outline(HTMLParser):
    """The tags of a page with their attributes, and its text outside scripts and styles."""

    def __init__(self, made: bytes) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self._inside = ""
        self.feed(made.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._inside = tag

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, found: str) -> None:
        if self._inside not in ("script", "style"):
            self.words.append(found)

    @property
    def text(self) -> str:
        return " ".join("".join(self.words).split())

    def count(self, tag: str) -> int:
        return sum(name == tag for name, _ in self.tags)


@pytest.fixture(scope="module")
def made() -> dict[str, Any]:
    return report(SEVERAL)


@cache
def one_ratio(*, accuracy: bool = True, finished: bool = True) -> dict[str, Any]:
    return report(CompareRequest(methods=("dense", "bcbp")), accuracy=accuracy, finished=finished)


def unfinished() -> dict[str, Any]:
    return one_ratio(finished=False)


def without_accuracy() -> dict[str, Any]:
    return one_ratio(accuracy=False)


def without_rows() -> dict[str, Any]:
    return new_report(CompareRequest(), load_model("sample"), dict(ENVIRONMENT))


def recorded() -> dict[str, Any]:
    """Of an earlier version, which knew neither ladders nor limits."""
    found: dict[str, Any] = json.loads((ROOT / "assets" / "recorded" / "compare-sample.json").read_text())
    return found


def fine_tuned() -> dict[str, Any]:
    found = copy.deepcopy(one_ratio())
    add_epoch(found["rows"][-1], Epoch(1, 0.5, 0.8, 900, 1000, 3.0))
    return found


BUILDS = (one_ratio, unfinished, without_accuracy, without_rows, recorded, fine_tuned)


@pytest.mark.parametrize("build", BUILDS, ids=lambda build: build.__name__)
def test_every_report_makes_a_whole_page_with_a_card_for_every_figure(build: Any) -> None:
    outline = Outline(page(build()))
    figures = [attributes for _, attributes in outline.tags if "data-figure" in attributes]
    described = {attributes.get("id") for tag, attributes in outline.tags if tag == "script"}
    assert {attributes["data-figure"] for attributes in figures} <= described
    sections = re.split(r"<h2>", page(build()).decode().split("<main>")[1].split("</main>")[0])
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


def test_what_is_missing_is_said() -> None:
    assert "Not finished" in Outline(page(unfinished())).text
    assert "Not finished" not in Outline(page(one_ratio())).text


def test_nothing_is_fetched_and_plotly_comes_once(made: dict[str, Any]) -> None:
    outline = Outline(page(made))
    assert not [(tag, one) for tag, one in outline.tags if {"src", "href", "srcset", "action"} & one.keys()]
    assert outline.count("link") == outline.count("iframe") == outline.count("img") == 0
    assert page(made).count(b"plotly.js v") == 1
    policy = next(
        one["content"] for _, one in outline.tags if one.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy is not None and "default-src 'none'" in policy and "http" not in policy


def hostile(value: Any) -> Any:
    """`value` with every text that somebody can choose replaced by markup; names of methods stay."""
    if isinstance(value, dict):
        kept = ("method", "verdict", "date", "device", "precision")
        return {name: one if name in kept else hostile(one) for name, one in value.items()}
    if isinstance(value, list):
        return [hostile(one) for one in value]
    return HOSTILE if isinstance(value, str) else value


def test_hostile_words_stay_words(made: dict[str, Any]) -> None:
    plain, attacked = Outline(page(made)), Outline(page(hostile(made)))
    assert {tag for tag, _ in attacked.tags} == {tag for tag, _ in plain.tags}
    assert attacked.count("script") == plain.count("script")
    assert not [one for _, one in attacked.tags if any(name.startswith("on") for name in one)]
    assert "<script>alert(1)</script>" in attacked.text


def test_the_same_report_gives_the_same_bytes_whatever_the_order_of_its_file(made: dict[str, Any]) -> None:
    again = json.loads(json.dumps(made, sort_keys=True))
    assert page(again) == page(copy.deepcopy(made))


def test_the_replay_knows_measured_points_only(made: dict[str, Any]) -> None:
    subject = Subject(made)
    found = grid(subject, [row for row in subject.rows if row.method != "dense"])
    assert found["ratios"] == ["30 %", "50 %", "70 %"] and found["batches"] == ["1", "32"]
    assert found["start"] == ["bcbp", 1]
    points: Any = found["points"]
    places = product(("filter", "bcbp"), range(3), (1, 32))
    assert points.keys() == {f"{method} {at} {batch}" for method, at, batch in places}
    value, under = points["bcbp 1 1"]["speed"]
    assert (
        value == "1.83×" and under.startswith("95 % interval 1.79× to 1.88×; ") and under.endswith("better")
    )


def test_a_point_that_was_not_measured_says_so_and_why() -> None:
    found = copy.deepcopy(without_accuracy())
    for row in found["rows"]:
        row["accuracy_reason"] = "No accuracy was asked for."
    subject = Subject(found)
    points: Any = grid(subject, [row for row in subject.rows if row.method != "dense"])["points"]
    assert points["bcbp 0 1"]["accuracy"] == ("not measured", "No accuracy was asked for.")


def test_markup_is_escaped_unless_it_is_markup() -> None:
    assert element("p", "<b>", Html("<i></i>"), title='"') == '<p title="&quot;">&lt;b&gt;<i></i></p>'
    assert prose("**a <b>**") == "<strong>a &lt;b&gt;</strong>"
    assert "</script>" not in data("x", "</script>")[:-9]


@pytest.mark.parametrize("name", HELP)
def test_no_help_text_leaves_its_marks_behind(name: str) -> None:
    assert "*" not in prose(HELP[name]) and "`" not in prose(HELP[name])


def test_the_command_makes_the_same_file_from_a_run_and_from_its_json(
    home: Path, tmp_path: Path, made: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    run = store_run(home, request=SEVERAL, made=made)
    (tmp_path / "out.json").write_text(json.dumps(made))
    for source in (run, str(tmp_path / "out.json")):
        target = tmp_path / f"{len(source)}.html"
        assert main(["report", source, "--out", str(target)], more=(report_command.COMMAND,)) == 0
        assert target.read_bytes() == page(made) and str(target) in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "cannot be read"),
        ("[]", "schema 1"),
        ('{"schema": 2, "rows": []}', "schema 1"),
        ('{"schema": 1, "rows": [5]}', "damaged"),
        ('{"schema": 1, "rows": []}', "damaged"),
    ],
)
def test_a_file_that_is_no_report_is_refused_in_one_line(
    tmp_path: Path, content: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "odd.json").write_text(content)
    command = ["report", str(tmp_path / "odd.json"), "--out", str(tmp_path / "odd.html")]
    assert main(command, more=(report_command.COMMAND,)) == 2
    message = capsys.readouterr().err
    assert message.startswith("error: Expected") and words in message and message.count("\n") == 1
    assert not (tmp_path / "odd.html").exists()


def test_an_unknown_run_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "20261125-101010-abcdef"], more=(report_command.COMMAND,)) == 2
    assert "Expected the id of a stored run" in capsys.readouterr().err


def test_python_m_bcbp_knows_the_command() -> None:
    command = [sys.executable, "-m", "bcbp", "report", "--help"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert report_command.COMMAND.example in done.stdout
