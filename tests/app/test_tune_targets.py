"""Tune with measurements: the sensitivity column fills, a latency target is met, and Compare remembers it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from app.services import machine, stores
from app.words import formats, plan_words, run_words
from bcbp.crossover import LOSES, WINS, Slice
from bcbp.files import write_json
from bcbp.intake.architectures import load_model
from bcbp.jobs.store import REPORT_FILE
from bcbp.measured import LayerTimes, Measured
from bcbp.passport_store import PassportStore
from bcbp.planning import Planner
from bcbp.report import plan_row, settled_spec
from bcbp.request import CompareRequest
from bcbp.sensitivity import ScanStore
from bcbp.sensitivity_request import SensitivityRequest
from bcbp.spec import PruneSpec
from kernels.device import environment
from tests.app.conftest import RecordedQueue
from tests.app.stored_runs import report, store_run
from tests.app.test_pages import edited_table, healthy, results_of, text
from tests.bcbp.measurements import measured_of, scan_of
from tests.bcbp.passports import model_passport

Open = Callable[..., AppTest]


@pytest.fixture(autouse=True)
def fresh_stores(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Private passports and scans."""
    made = PassportStore(home, recorded=tmp_path / "recorded")
    monkeypatch.setattr(stores, "passports", lambda: made)
    monkeypatch.setattr(stores, "scans", lambda: ScanStore(home))
    machine.conditions.clear()


@pytest.fixture
def passport(home: Path) -> None:
    """Sparse wins from half on, at batch 1 and 8."""
    made = model_passport({0.25: LOSES, 0.5: WINS, 0.75: WINS}, batches=(1, 8))
    PassportStore(home).write_live(replace(made, environment=environment()))


def metric(app: AppTest, label: str) -> str:
    return next(one.value for one in app.metric if one.label == label)


def test_a_latency_target_without_layer_times_says_how_to_get_them(open_page: Open) -> None:
    app = healthy(open_page("tune", allocation="latency"))
    assert app.info[0].value == plan_words.no_times("sample", 32)
    app.button(key="to_device").click().run()
    assert healthy(app).button(key="measure")


@pytest.mark.usefixtures("passport")
def test_a_latency_target_shows_what_it_predicts_and_why(open_page: Open) -> None:
    app = healthy(open_page("tune", allocation="latency"))
    slider = next(one for one in app.slider if "Time for all layers" in one.label)
    assert slider.min < slider.value < slider.max
    assert formats.milliseconds(slider.value) == metric(app, "Target")
    assert float(metric(app, "○ Predicted").split()[0]) <= 1.005 * slider.value  # three digits are shown
    assert "The next " in text(app) and "mostly in" in text(app)
    free = [layer.name for layer in load_model("sample").layers[1:-1]]
    reasons = [line for line in text(app).splitlines() if line.startswith("`stages")]
    assert [line.split("`")[1] for line in reasons] == free
    assert all("removed saves" in line or "stays dense" in line for line in reasons)
    assert any(note.value.startswith("No sensitivity scan") for note in app.info)


@pytest.mark.usefixtures("passport")
def test_moving_the_target_moves_the_plan_and_the_link(open_page: Open) -> None:
    app = open_page("tune", allocation="latency")
    removed = metric(app, "Weights removed")
    slider = next(one for one in app.slider if "Time for all layers" in one.label)
    slider.set_value(slider.max).run()
    assert metric(healthy(app), "Weights removed") == "0.0 %" != removed
    assert float("".join(app.query_params["budget"])) == pytest.approx(slider.max)
    assert app.query_params["batch"] in ("1", ["1"])


@pytest.mark.usefixtures("passport")
def test_a_link_opens_the_same_target(open_page: Open) -> None:
    app = healthy(open_page("tune", allocation="latency", budget="12.5", batch="8"))
    slider = next(one for one in app.slider if "Time for all layers" in one.label)
    assert slider.value == pytest.approx(12.5) or slider.value in (slider.min, slider.max)
    assert "batch 8" in text(app)


@pytest.mark.usefixtures("passport")
@pytest.mark.parametrize("link", [{"budget": "soon"}, {"budget": "-1"}, {"budget": "2", "batch": "0"}])
def test_a_bad_target_in_a_link_falls_back_with_a_notice(open_page: Open, link: dict[str, str]) -> None:
    app = AppTest.from_file("../../app/main.py", default_timeout=60)
    app.switch_page("views/tune.py")
    for name, value in (link | {"allocation": "latency"}).items():
        app.query_params[name] = value
    healthy(app.run())
    assert any("The link asks for budget" in warning.value for warning in app.warning)


def test_where_sparse_never_wins_the_target_is_dense(open_page: Open, home: Path) -> None:
    made = model_passport({0.5: LOSES})
    PassportStore(home).write_live(replace(made, environment=environment()))
    app = healthy(open_page("tune", allocation="latency"))
    assert "At no measured ratio does sparse clearly win" in text(app)
    assert metric(app, "Weights removed") == "0.0 %"


@pytest.mark.usefixtures("passport")
def test_run_measures_what_was_predicted(open_page: Open, queue: RecordedQueue) -> None:
    app = open_page("tune", allocation="latency", budget="100", batch="8")
    app.switch_page("views/run.py").run()
    app.button(key="start").click().run()
    request = queue.submitted[0]
    assert (request.spec.allocation, request.spec.batch) == ("latency", 8)
    assert request.spec.budget_ms is not None and 8 in request.batches
    assert CompareRequest.from_json(request.to_json()) == request


def test_losses_fill_the_table_and_stand_beside_the_mask(open_page: Open, home: Path) -> None:
    model = load_model("sample")
    scan = scan_of(model, reasons={"fc": "its tile does not fit"})
    ScanStore(home).write(replace(scan, rows=scan.rows[8:]))
    app = healthy(open_page("tune", layer=model.layers[3].name))
    lines = edited_table(app).set_index("layer")["sensitivity"]
    assert lines["conv1"] == formats.NOT_MEASURED
    assert lines["fc"] == "not measured: its tile does not fit"
    drops = [row.drop for row in scan.of(model.layers[3].name).values()]
    assert lines[model.layers[3].name] == formats.losses_at(drops)
    assert plan_words.ALONE in text(app)


def test_least_loss_goes_by_the_scan_and_says_so(open_page: Open, home: Path) -> None:
    ScanStore(home).write(scan_of(load_model("sample")))
    app = healthy(open_page("tune", allocation="sensitivity"))
    assert "Losses are those of a sensitivity scan" in text(app)
    assert metric(app, "Weights removed") == "50.0 %"


def test_a_scan_is_asked_for_found_again_and_stopped(open_page: Open, queue: RecordedQueue) -> None:
    app = open_page("tune", method="column", tile="64")
    app.button(key="scan").click().run()
    assert queue.submitted == [SensitivityRequest(pattern="column", tile=64)]  # type: ignore[comparison-overlap]
    again = healthy(open_page("tune"))
    assert "sensitivity of sample · column · tile 64" in text(again)
    again.button(key="stop_scanning").click().run()
    assert queue.stopped == [queue.store.list()[0].id]
    assert run_words.STATE_WORDS["stopped"] in text(healthy(again))


def test_a_folder_named_on_run_holds_for_scans(open_page: Open, queue: RecordedQueue) -> None:
    app = open_page("run")
    app.text_input(key="run_data").set_value("my/images").run()
    app.switch_page("views/tune.py").run()
    app.button(key="scan").click().run()
    assert queue.submitted[0].data == "my/images"


def test_rows_of_a_running_scan_reach_the_table(open_page: Open, home: Path, queue: RecordedQueue) -> None:
    scan, store = scan_of(load_model("sample")), ScanStore(home)
    app = open_page("tune")
    app.button(key="scan").click().run()
    store.write(replace(scan, rows=scan.rows[:4]))
    write_json(queue.store.folder(queue.store.list()[0].id) / REPORT_FILE, scan.to_json())
    lines = edited_table(healthy(app.run())).set_index("layer")["sensitivity"]
    assert (lines != formats.NOT_MEASURED).sum() == 1


def test_a_model_without_images_has_no_scan(open_page: Open) -> None:
    app = healthy(open_page("tune", model="resnet18"))
    assert plan_words.NO_SCAN in text(app)


def test_compare_shows_predicted_beside_measured(open_page: Open, home: Path) -> None:
    made = report()
    row = next(row for row in made["rows"] if row["method"] == "bcbp")
    row["forecast"] = {"ms": 1.1, "dense_ms": 2.2, "batch": 1}
    store_run(home, made=made)
    app = healthy(open_page("compare"))
    predicted = "○ 1.1 ms of 2.2 ms (2.00×) at batch 1"
    assert f"Predicted {predicted}; measured ● 1.31 ms of 2.4 ms (1.83×)." in text(app)
    lines = results_of(app)
    assert lines["Predicted"].tolist().count(predicted) == 1


@pytest.mark.parametrize("allocation", ["sensitivity", "latency"])
@pytest.mark.parametrize("method", ["bcbp", "column", "block", "filter", "unstructured"])
def test_the_plan_of_a_stored_run_stays_what_it_was(method: str, allocation: str) -> None:
    model = load_model("sample")
    made = model_passport({0.5: WINS, 0.75: WINS})
    times = LayerTimes.of(model, made, Slice(32, "float32"), 1)
    known = Measured(measured_of(model).scan, times)
    budget = 0.7 * sum(times.dense.values()) if allocation == "latency" else None
    spec = PruneSpec(method, allocation=allocation, budget_ms=budget, ratio=0.6)
    planner = Planner(model)
    plan = planner.plan(spec, known)
    again = planner.plan(settled_spec(spec, plan_row(model, plan)))
    for before, after in zip(plan, again, strict=True):
        assert after.mask.dense().equal(before.mask.dense()), before.name
