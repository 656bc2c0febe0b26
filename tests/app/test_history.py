"""The history of runs: named, run again, taken away and in, deleted once confirmed, and set side by side."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from app.services import jobs
from app.side_by_side import differences, shared_batches, side_by_side
from app.words import compare_words
from bcbp.device_request import DeviceRequest
from bcbp.errors import BcbpError
from bcbp.export_request import ExportRequest
from bcbp.jobs import RunStore
from bcbp.jobs.kinds import KINDS
from bcbp.request import CompareRequest
from bcbp.sensitivity_request import SensitivityRequest
from bcbp.spec import PruneSpec
from tests.app.conftest import RecordedQueue
from tests.app.stored_runs import report, store_run
from tests.app.test_pages import Open, healthy, text

REQUEST = CompareRequest(methods=("dense", "bcbp"), batches=(1,))


@pytest.fixture(scope="module")
def made() -> dict[str, Any]:
    return report(REQUEST)


@pytest.fixture
def run(home: Path, made: dict[str, Any]) -> str:
    return store_run(home, request=REQUEST, made=made)


def lines(app: AppTest) -> list[dict[str, str]]:
    """Of the table of runs."""
    found = next(one.value for one in app.dataframe if "Started" in one.value)
    return [dict(line) for line in found.to_dict("records")]


def press(app: AppTest, key: str) -> AppTest:
    return app.button(key=key).click().run()


def test_a_run_gets_a_name_that_is_shown_as_words(open_page: Open, run: str) -> None:
    app = healthy(open_page("compare"))
    app.text_input(key=f"name_{run}").set_value("![x](http://y) *old*").run()
    healthy(press(app, f"save_{run}"))
    assert lines(app)[0]["Name"] == "![x](http://y) *old*"
    assert r"\!\[x\]\(http\:\/\/y\) \*old\*" in text(app)
    assert "![x]" not in text(app)


def test_a_run_is_deleted_only_on_the_second_press(open_page: Open, run: str, home: Path) -> None:
    app = healthy(open_page("compare", run=run))
    assert any("cannot be undone" in one.value for one in app.markdown)
    healthy(press(app, f"delete_{run}"))
    assert RunStore(home).list() == ()
    assert compare_words.HISTORY in [one.value for one in app.subheader]


def test_the_open_run_is_ticked_and_named_beside_what_can_be_done_with_it(
    open_page: Open, run: str, home: Path, made: dict[str, Any]
) -> None:
    store_run(home, request=REQUEST, made=made)
    app = healthy(open_page("compare", run=run))
    ids = [line["Id"] for line in lines(app)]
    short = compare_words.short_id(run)
    rows = app.session_state[f"history_2_{run}"]["selection"]["rows"]
    assert [ids[row] for row in rows] == [short] and len(set(ids)) == 2
    said = [one.value for one in app.markdown if f"({short})" in one.value]
    assert said[0].startswith("Picked: ") and said[1].startswith("Deletes ")


def test_naming_and_deleting_are_confirmed(open_page: Open, run: str) -> None:
    app = healthy(open_page("compare", run=run))
    app.text_input(key=f"name_{run}").set_value("mine").run()
    short = compare_words.short_id(run)
    assert [one.value for one in press(app, f"save_{run}").toast] == [f"Run {short} is now called mine\\."]
    assert [one.value for one in press(app, f"delete_{run}").toast] == [f"Deleted mine \\({short}\\)\\."]
    assert not app.run().toast


def test_rows_tell_runs_of_one_network_apart(open_page: Open, home: Path) -> None:
    asked = [REQUEST, replace(REQUEST, rounds=31), replace(REQUEST, spec=PruneSpec(recovery="none"))]
    for request in asked:
        store_run(home, request=request)
    shown = lines(healthy(open_page("compare")))
    assert len({(line["Recovery"], line["Rounds"]) for line in shown}) == 3


def test_a_run_that_goes_on_cannot_be_deleted(open_page: Open, home: Path, made: dict[str, Any]) -> None:
    waiting = store_run(home, "queued", request=REQUEST, made=made)
    app = healthy(open_page("compare", run=waiting))
    assert not [button for button in app.button if button.key == f"delete_{waiting}"]


def test_an_interrupted_run_is_asked_for_again(
    open_page: Open, home: Path, made: dict[str, Any], queue: RecordedQueue
) -> None:
    lost = store_run(home, "running", request=REQUEST, made=made)
    app = healthy(open_page("compare", run=lost))
    assert "Interrupted" in lines(app)[0]["State"]
    press(app, f"again_{lost}")
    assert queue.submitted == [REQUEST]


TUNED = PruneSpec(recovery="finetune")
AGAIN: dict[str, tuple[Any, str, str]] = {
    "comparison": (CompareRequest(), "Run again: all of it is done anew.", "run"),
    "fine-tuning": (CompareRequest(spec=TUNED), "Resume: fine-tuning goes on", "run"),
    "layer times": (DeviceRequest(), "Resume: layers that were timed", "device"),
    "layer times, anew": (DeviceRequest(again=True), "Run again: all of it", "device"),
    "scan": (SensitivityRequest(), "Resume: layers that were measured", "tune"),
    "export": (ExportRequest(), "Run again: all of it", ""),
    "export of fine-tuning": (ExportRequest(spec=TUNED), "Resume: fine-tuning goes on", ""),
}


def actions_of(run_id: str) -> None:
    """The script of a page with nothing but what can be done with a run."""
    import streamlit as st

    from app.components import history
    from app.services.stores import runs

    run = runs().read(run_id)
    st.caption(history._again(run)[1])
    history._actions(run)


@pytest.mark.parametrize("kind", AGAIN)
def test_an_interrupted_run_of_every_kind_is_resumed_or_run_again(
    kind: str, home: Path, queue: RecordedQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    request, says, page = AGAIN[kind]
    went: list[str] = []
    monkeypatch.setattr(st, "switch_page", lambda path, query_params: went.append(path))
    lost = store_run(home, "running", request=request)
    app = AppTest.from_function(actions_of, args=(lost,), default_timeout=30).run()
    assert not app.exception and app.caption[0].value.startswith(says)
    assert app.button(key=f"again_{lost}").label == says.partition(":")[0]
    app.button(key=f"again_{lost}").click().run()
    assert not app.exception and queue.submitted == [request]
    assert went == ([f"views/{page}.py"] if page else [])


STAYS: dict[str, tuple[Any, str]] = {
    "comparison": (CompareRequest(), "with its results. This"),
    "fine-tuning": (CompareRequest(spec=TUNED), "Not deleted: checkpoints and weights of fine-tuning"),
    "layer times": (DeviceRequest(), "Not deleted: the layer times"),
    "scan": (SensitivityRequest(), "Not deleted: the layers that it measured"),
    "export": (ExportRequest(), "with its results. This"),
}


@pytest.mark.parametrize("kind", STAYS)
def test_what_stays_when_a_run_is_deleted_is_said_before(kind: str, home: Path) -> None:
    request, says = STAYS[kind]
    ended = store_run(home, "stopped", request=request)
    app = AppTest.from_function(actions_of, args=(ended,), default_timeout=30).run()
    assert not app.exception and any(says in one.value for one in app.markdown)


def test_the_table_lists_every_kind(open_page: Open, run: str, home: Path) -> None:
    for request in (DeviceRequest(), SensitivityRequest(), ExportRequest()):
        store_run(home, "done", request=request)
    listed = {line["Kind"] for line in lines(healthy(open_page("compare")))}
    assert listed == {kind.title for kind in KINDS.values()}


def test_runs_side_by_side_are_in_the_link(
    open_page: Open, run: str, home: Path, made: dict[str, Any]
) -> None:
    second = store_run(home, request=REQUEST, made=made)
    app = healthy(open_page("compare"))
    app.multiselect(key="side_by_side").set_value([second, run]).run()
    link = app.query_params["beside"]
    assert link == f"{second}.{run}"
    app.switch_page("views/tune.py").run()
    assert app.query_params["beside"] == link
    again = healthy(open_page("compare", beside=link))
    assert again.multiselect(key="side_by_side").value == [second, run]
    assert not any("beside" in one.value for one in again.warning)
    assert again.query_params["beside"] == link


@pytest.mark.parametrize("beside", ["{run}.20261123-174811-a1b2c3", "{run}.../../x", "nothing", "{run}.é"])
def test_runs_of_a_link_that_are_not_here_become_a_notice(open_page: Open, run: str, beside: str) -> None:
    app = open_page("compare", beside=beside.format(run=run))
    assert not app.exception
    assert any("beside = " in one.value for one in app.warning)


def test_a_deleted_run_no_longer_stands_beside_others(
    open_page: Open, run: str, home: Path, made: dict[str, Any]
) -> None:
    others = [store_run(home, request=REQUEST, made=made) for _ in range(2)]
    app = healthy(open_page("compare", run=run, beside=".".join([run, *others])))
    healthy(press(app, f"delete_{run}"))
    assert app.multiselect(key="side_by_side").value == others


def test_an_exported_run_is_taken_in_and_marked(open_page: Open, run: str, home: Path) -> None:
    imported = jobs.take_in(jobs.pack(run))
    app = healthy(open_page("compare", run=imported))
    assert [line["State"] for line in lines(app)].count(compare_words.IMPORTED) == 1
    assert RunStore(home).read(imported).report == RunStore(home).read(run).report


def test_a_report_that_cannot_be_shown_is_not_taken_in(home: Path, made: dict[str, Any]) -> None:
    odd = copy.deepcopy(made)
    del odd["rows"][1]["method"]
    run_id = store_run(home, request=REQUEST, made=odd)
    with pytest.raises(BcbpError, match="damaged"):
        jobs.take_in(jobs.pack(run_id))
    assert len(RunStore(home).list()) == 1


def test_runs_stand_side_by_side_each_against_its_own_dense(
    open_page: Open, run: str, home: Path, made: dict[str, Any]
) -> None:
    other = copy.deepcopy(made)
    other["environment"] |= {"threads": 8, "cpu": "Another *processor*"}
    other["request"]["spec"]["recovery"] = "none"
    second = store_run(home, request=REQUEST, made=other)
    app = healthy(open_page("compare"))
    app = healthy(app.multiselect(key="side_by_side").set_value([run, second]).run())
    table = next(one.value for one in app.dataframe if "Run" in one.value and "Speed" in one.value)
    assert list(table["Method"]) == ["Dense", "BCBP", "Dense", "BCBP"]
    assert list(table["Speed"]) == ["1.00×", "1.83×"] * 2
    apart = next(one.value for one in app.dataframe if "What" in one.value).set_index("What")
    assert sorted(apart.loc["asked: spec recovery"]) == ["none", "refit"]
    warned = [one.value for one in app.warning]
    assert any(r"differ in threads\: 2\; 8" in one for one in warned)
    assert any(r"Another \*processor\*" in one for one in warned)
    assert not any("differ in model" in one for one in warned)
    assert app.get("download_button")[-1].label == "Report (HTML)"


def test_runs_that_differ_say_in_what_and_equal_ones_say_nothing(made: dict[str, Any]) -> None:
    other = copy.deepcopy(made)
    other["model"]["digest"] = "f" * 64
    other["request"]["precision"] = "fp16"
    told = differences([("a", made), ("b", other)])
    assert len(told) == 2 and "model" in told[0] and "precision" in told[1]
    assert differences([("a", made), ("b", copy.deepcopy(made))]) == []


def test_only_batch_sizes_that_all_have_are_offered(made: dict[str, Any]) -> None:
    both = report(CompareRequest(methods=("dense", "bcbp"), batches=(1, 8)))
    assert shared_batches([("a", made), ("b", both)]) == ("1",)
    assert {line["Run"] for line in side_by_side([("a", made), ("b", both)], "1")} == {"a", "b"}


SEVERAL = CompareRequest(methods=("dense", "filter", "bcbp"), ratios=(0.3, 0.7), batches=(1, 8))


@pytest.fixture
def several(home: Path) -> str:
    return store_run(home, request=SEVERAL, made=report(SEVERAL))


def link(app: AppTest, key: str) -> str:
    """What the address bar says; some versions of Streamlit keep a list."""
    found = app.query_params[key]
    return found[0] if isinstance(found, list) else found


def chosen(app: AppTest) -> dict[str, object]:
    """What Compare shows, by the label of the choice."""
    labels = ("Ratio", "Verdict for", "Batch")
    return {one.label: one.value for one in app.segmented_control if one.label in labels}


def test_a_link_shows_the_same_ratio_method_and_batch(open_page: Open, several: str) -> None:
    shown = {"shown_ratio": "0.7", "shown_method": "filter", "shown_batch": "8"}
    app = open_page("compare", run=several, **shown)
    for _ in range(2):  # a further run of the script changes nothing
        assert not app.exception
        assert chosen(app) == {"Ratio": 0.7, "Verdict for": "filter", "Batch": "8"}
        assert "Filter at 70 %" in app.error[0].value and "at batch 8" in app.error[0].value
        assert {key: link(app, key) for key in shown} == shown
        assert not app.warning
        app.run()


def test_what_is_chosen_goes_into_the_link_and_out_again(open_page: Open, several: str) -> None:
    app = healthy(open_page("compare"))
    assert not [key for key in app.query_params if key.startswith("shown")]
    app.segmented_control(key=f"batch_{several}").set_value("8").run()
    assert link(app, "shown_batch") == "8"
    app.segmented_control(key=f"batch_{several}").set_value("1").run()
    assert "shown_batch" not in app.query_params


@pytest.mark.parametrize("key", ["shown_ratio", "shown_method", "shown_batch"])
def test_a_damaged_link_falls_back_with_a_notice(open_page: Open, several: str, key: str) -> None:
    app = healthy(open_page("compare", run=several, **{key: "<9>"}))
    assert chosen(app) == {"Ratio": 0.3, "Verdict for": "bcbp", "Batch": "1"}
    assert any(f"{key} = <9>" in one.value for one in app.warning)
    assert key not in app.query_params
