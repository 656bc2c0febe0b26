"""The Compare page with several ratios: the answer, equal accuracy, equal ratio, and the images behind it."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from app import verdict
from app.services import jobs, results, stores
from app.words import compare_words, run_words
from bcbp.errors import DataError
from bcbp.export_request import USUAL, ExportRequest
from bcbp.files import write_json
from bcbp.jobs.store import REPORT_FILE, STATE_FILE
from bcbp.progress import Progress
from bcbp.request import CompareRequest
from tests.app.conftest import RecordedQueue
from tests.app.stored_runs import predictions, report, store_run
from tests.app.test_pages import Open, healthy, results_of, text

SEVERAL = CompareRequest(methods=("dense", "filter", "bcbp"), ratios=(0.3, 0.5, 0.7), batches=(1,))


@pytest.fixture(scope="module")
def made() -> dict[str, Any]:
    return report(SEVERAL)


@pytest.fixture
def run(home: Path, made: dict[str, Any]) -> str:
    return store_run(home, request=SEVERAL, made=made, answers=predictions(made))


def pictures(app: AppTest) -> int:
    return len(app.image)


def choose(app: AppTest, key: str, value: object) -> AppTest:
    """Set the widget whose key has `key` in it."""
    widgets = (*app.segmented_control, *app.selectbox, *app.number_input)
    return healthy(next(one for one in widgets if key in (one.key or "")).set_value(value).run())


def test_the_verdict_and_the_tables_are_of_the_ratio_in_focus(open_page: Open, run: str) -> None:
    app = healthy(open_page("compare"))
    assert app.warning[0].value.startswith("**Faster, at a cost: BCBP at 50 % is 1.83×")
    app = choose(app, f"ratio_{run}", 0.7)
    assert "BCBP at 70 % is 2.16×" in app.warning[0].value
    assert compare_words.equal_ratio(0.7) in [one.value for one in app.subheader]
    assert list(results_of(app).index) == ["Dense", "Filter at 70 %", "BCBP at 70 %"]


def test_without_a_run_there_is_the_recorded_one_which_says_so_and_goes_when_there_is_one(
    open_page: Open, home: Path, made: dict[str, Any]
) -> None:
    app = healthy(open_page("compare"))
    assert compare_words.RECORDED in text(app) and "BCBP at 50 %" in results_of(app).index
    store_run(home, request=SEVERAL, made=made, answers=predictions(made))
    assert compare_words.RECORDED not in text(healthy(open_page("compare")))


def untimed(made: dict[str, Any]) -> dict[str, Any]:
    """The report of a run that was stopped before its first batch size was timed."""
    cut = copy.deepcopy(made) | {"finished": False, "latency": {}}
    for row in cut["rows"]:
        row |= {"latency_ms": {}, "speedup": {}}
    return cut


def test_a_stopped_run_waits_for_nothing_and_offers_no_choice_of_nothing(
    open_page: Open, home: Path, made: dict[str, Any]
) -> None:
    run = store_run(home, "stopped", request=SEVERAL, made=untimed(made))
    app = healthy(open_page("compare", run=run))
    assert "still to come" not in text(app) and verdict.UNTIMED.sentence in app.info[0].value
    assert "hourglass" not in app.info[0].icon
    assert "Batch" not in [one.label for one in app.segmented_control]


def test_a_fresh_visit_opens_the_last_run_with_an_answer(
    open_page: Open, home: Path, run: str, made: dict[str, Any]
) -> None:
    store_run(home, "stopped", request=SEVERAL, made=untimed(made))
    assert "BCBP at 50 % is 1.83×" in healthy(open_page("compare")).warning[0].value


def test_a_fresh_visit_prefers_a_run_under_way_to_one_without_an_answer(
    open_page: Open, home: Path, made: dict[str, Any]
) -> None:
    for state in ("queued", "stopped"):
        store_run(home, state, request=SEVERAL, made=untimed(made))
    assert "still to come" in healthy(open_page("compare")).info[0].value


def test_a_run_that_was_to_time_nothing_is_judged_by_its_accuracy(
    open_page: Open, home: Path, made: dict[str, Any]
) -> None:
    request = replace(SEVERAL, batches=())
    run = store_run(home, request=request, made=untimed(made) | {"finished": True})
    assert "Nothing was timed" in healthy(open_page("compare", run=run)).warning[0].value


def test_the_fastest_within_a_limit_is_named_or_nobody_is(open_page: Open, run: str) -> None:
    app = healthy(open_page("compare"))
    assert "Fastest within 1 point at batch 1\\: BCBP at 50 \\%" in text(app)
    assert "No method stays within 0\\.1 points here" in text(choose(app, "limit", 0.1))
    assert "BCBP at 70 \\%" in text(choose(app, "limit", 10.0))
    lines = next(one.value for one in app.dataframe if "Within" in one.value).set_index("Method")
    assert lines.loc["BCBP", "Ratio"] == "70 %" and lines.loc["BCBP", "Within"] == "within"


def test_changed_answers_are_counted_and_shown_by_kind_and_class(open_page: Open, run: str) -> None:
    app = healthy(open_page("compare"))
    assert "BCBP at 50 % against dense, on the same 10,000 images: 114 lost, 40 gained" in text(app)
    classes = next(one.value for one in app.dataframe if "Net" in one.value)
    assert classes["Lost"].sum() == 114 and classes["Images"].sum() == 10_000
    assert pictures(app) == 24
    assert compare_words.shown(1, 24, 114) in text(app)
    app = choose(app, "_kind", "gained")
    assert compare_words.shown(1, 24, 40) in text(app)
    app = choose(app, "_class", 3)
    count = int(classes.set_index("Class").loc["Dress", "Gained"])
    assert pictures(app) == count and compare_words.shown(1, count, count) in text(app)
    assert compare_words.NO_IMAGES_OF_KIND in text(choose(app, "_kind", "still wrong"))


def test_without_the_images_there_is_a_reason_and_everything_else(
    open_page: Open, run: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(_run: object) -> None:
        raise DataError("The images of the run are gone.")

    monkeypatch.setattr(results, "tested_images", missing)
    app = healthy(open_page("compare"))
    assert "The images of the run are gone." in [one.value for one in app.info]
    assert not pictures(app) and any("Net" in one.value for one in app.dataframe)


def test_a_run_of_an_earlier_version_says_why_it_has_no_changed_answers(open_page: Open, home: Path) -> None:
    old = report(CompareRequest(methods=("dense", "bcbp"), batches=(1,)))
    del old["request"]["ratios"]
    store_run(home, made=old)
    app = healthy(open_page("compare"))
    assert "kept no predictions" in text(app) and compare_words.ONE_RATIO in text(app)
    assert "BCBP is 1.83×" in app.warning[0].value


def test_several_ratios_are_asked_for_on_run(open_page: Open, queue: RecordedQueue) -> None:
    app = healthy(open_page("run", ratio="0.6"))
    app.segmented_control(key="run_ratio_mode").set_value(compare_words.SEVERAL).run()
    app.pills(key="run_ratios").set_value([0.7, 0.3]).run()
    assert app.button(key="start").label == "Run: dense and 4 methods at 2 ratios"
    healthy(app).button(key="start").click().run()
    assert queue.submitted[0].ratios == (0.3, 0.7) and queue.submitted[0].spec.ratio == 0.6
    app.pills(key="run_ratios").set_value([]).run()
    assert app.error[0].value == compare_words.NO_RATIO


def test_a_preset_that_does_not_go_by_the_ratio_measures_one(open_page: Open, queue: RecordedQueue) -> None:
    app = healthy(open_page("run", allocation="explicit"))
    assert compare_words.RATIO_FOLLOWS in text(app)
    assert "run_ratio_mode" not in {one.key for one in app.segmented_control}


def test_run_shows_all_rows_and_the_recovery_of_the_newest_ratio(
    open_page: Open, home: Path, made: dict[str, Any]
) -> None:
    for row in made["rows"][-2:]:
        assert row["asked_ratio"] == 0.7
    partial = made | {"rows": [*made["rows"][:5], *({**row, "ladder": []} for row in made["rows"][5:])]}
    run = store_run(home, "stopped", request=SEVERAL, made=partial)
    app = healthy(open_page("run", run=run))
    assert compare_words.other_results("1", 1, 0.5) in text(app)
    rows, ladder = (one.value for one in app.dataframe[:2])
    assert len(rows) == 7 and set(ladder["Method"]) == {"Filter at 50 %", "BCBP at 50 %"}


def test_the_network_of_a_row_is_exported_by_a_job_and_offered(
    open_page: Open, run: str, queue: RecordedQueue, home: Path
) -> None:
    app = healthy(open_page("compare"))
    healthy(next(one for one in app.button if one.label == "Prepare files").click().run())
    request = queue.submitted[-1]
    assert isinstance(request, ExportRequest) and request.forms == USUAL
    assert (request.spec.pattern, request.spec.ratio) == ("bcbp", 0.5)
    (job,) = jobs.exports()
    done = {"state": "done", "pid": 1, "progress": Progress(1.0).to_json(), "error": None}
    write_json(stores.runs().folder(job.id) / STATE_FILE, done)
    size = {"form": "dense", "bytes": 2_000_000, "compressed": 1_500_000}
    made = {"files": {"masks": ["masks.safetensors"]}, "missing": {"packed": "No graph."}, "sizes": [size]}
    write_json(stores.runs().folder(job.id) / REPORT_FILE, made)
    app = healthy(app.run())
    assert run_words.EXPORT_GONE in [one.value for one in app.warning]
    archive = results.export_archive(request)
    archive.parent.mkdir(parents=True)
    archive.write_bytes(b"0" * 1_500_000)
    app = healthy(app.run())
    assert "Packed network: No graph." in [one.value for one in app.warning]
    assert any("Compressed, MB" in one.value for one in app.dataframe)
