"""The Device page: nothing measured, live, recorded, imported and damaged; figures never mix."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from app.services import machine, stores
from app.words import device_words, formats, run_words
from bcbp import passport_store
from bcbp.crossover import LOSES, WINS
from bcbp.device_request import DeviceRequest
from bcbp.devices import DEVICES
from bcbp.passport import MAX_BYTES, Passport
from bcbp.passport_store import PassportStore
from kernels.device import environment
from tests.app.conftest import RecordedQueue
from tests.app.stored_runs import store_run
from tests.app.test_pages import edited_table, healthy, text
from tests.bcbp.passports import model_passport

Open = Callable[..., AppTest]


@pytest.fixture(autouse=True)
def passports(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PassportStore:
    """A private store, and a private folder of recordings."""
    (tmp_path / "recorded").mkdir()
    made = PassportStore(home, recorded=tmp_path / "recorded")
    monkeypatch.setattr(stores, "passports", lambda: made)
    machine.conditions.clear()
    return made


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    """A recording of a GPU that wins from 50 % on, in tiles of 64."""
    made = model_passport({0.5: WINS, 0.75: WINS}, batches=(1, 128), tile=64, gpu=True, dtype="float16")
    path = tmp_path / "recorded" / "passport-gpu.json"
    path.write_text(json.dumps(made.to_json()))
    return path


def write_live(passports: PassportStore, states: dict[float, str], **options: Any) -> Passport:
    made = replace(model_passport(states, **options), environment=environment())
    passports.write_live(made)
    return made


def test_with_nothing_measured_the_page_says_so_and_offers_to_measure(
    open_page: Open, queue: RecordedQueue
) -> None:
    app = healthy(open_page("device", tile="64"))
    assert app.info[0].value.startswith("**Not measured: no layer of sample")
    assert not app.get("plotly_chart")
    app.button(key="measure").click().run()
    (request,) = queue.submitted
    assert request == DeviceRequest(model="sample", tile=64)
    assert healthy(app).button(key="stop_measuring")


def test_a_reload_finds_the_measurement_that_runs_and_can_stop_it(
    open_page: Open, queue: RecordedQueue, home: Path
) -> None:
    run = store_run(home, "queued", request=DeviceRequest())
    app = healthy(open_page("device"))
    assert "layers of sample on cpu" in text(app)
    app.button(key="stop_measuring").click().run()
    assert queue.stopped == [run]
    assert run_words.STATE_WORDS["stopped"] in text(healthy(app))
    assert app.button(key="measure")


def test_live_figures_answer_first(open_page: Open, passports: PassportStore) -> None:
    write_live(passports, {0.25: LOSES, 0.5: WINS, 0.75: WINS}, batches=(1, 8))
    app = healthy(open_page("device"))
    assert app.success[0].value.startswith("**Yes, from 50 % removed on: at batch 1")
    assert len(app.get("plotly_chart")) == 1
    lines = app.dataframe[0].value.set_index("Layer")
    assert lines.loc["3x3 64-64 @28 ×2", "Break-even, batch 8"] == "from 50 %"
    app.segmented_control[0].set_value(8).run()
    assert "at batch 8" in healthy(app).success[0].value


def test_no_is_an_answer_here_too(open_page: Open, passports: PassportStore) -> None:
    write_live(passports, {0.5: LOSES, 0.9: LOSES})
    app = open_page("device")
    assert app.error[0].value.startswith("**No, not on this device")
    assert "multiply-adds" in app.error[0].value


def test_a_recording_is_labelled_and_leaves_live_figures_alone(
    open_page: Open, passports: PassportStore, recorded: Path
) -> None:
    write_live(passports, {0.5: LOSES}, tile=64)
    app = open_page("device", passport="recorded:gpu", tile="64")
    said = healthy(app).success[0].value
    assert said.startswith("Recorded\\: NVIDIA Test GPU, 2026\\-11\\-23, commit 0123456")
    assert not [button for button in app.button if button.key == "measure"]
    label = "recorded: NVIDIA Test GPU, 2026-11-23, commit 0123456"
    assert label in app.selectbox(key="passport_of_recorded:gpu").options
    assert app.query_params["passport"] in ("recorded:gpu", ["recorded:gpu"])
    app.switch_page("views/tune.py").run()
    assert set(edited_table(healthy(app))["break_even"]) == {"none up to 50 %"}


def test_this_machine_is_shown_unless_a_recording_is_asked_for(open_page: Open, recorded: Path) -> None:
    app = healthy(open_page("device"))
    assert app.info[0].value.startswith("**Not measured")
    app.button(key="look_recorded:gpu").click().run()
    assert "Recorded" in healthy(app).info[0].value and not [one for one in app.button if "look" in one.key]
    app.selectbox(key="passport_of_recorded:gpu").set_value("live:cpu").run()
    app.selectbox(key="passport_of_live:cpu").set_value("recorded:gpu").run()
    assert "Recorded" in healthy(app).info[0].value
    app.button(key="show_tile").click().run()
    assert "Yes, from 50 %" in healthy(app).success[0].value
    assert app.selectbox(key="tile").value == 64


def test_number_formats_are_looked_at_one_at_a_time(open_page: Open, tmp_path: Path) -> None:
    half = model_passport({0.5: WINS}, gpu=True, dtype="float16")
    made = model_passport({0.5: LOSES}, gpu=True, dtype="float32")
    for row in half:
        made = made.with_row(row)
    (tmp_path / "recorded" / "passport-both.json").write_text(json.dumps(made.to_json()))
    app = open_page("device", passport="recorded:both")
    assert "Yes" in healthy(app).success[0].value
    app.segmented_control(key="device_dtype_['float16', 'float32']").set_value("float32").run()
    assert not app.exception and "No, not on this device" in app.error[0].value


def test_a_link_to_a_passport_that_is_not_here_says_so(open_page: Open) -> None:
    app = open_page("device", passport="imported:nowhere")
    assert any("passport = imported:nowhere" in warning.value for warning in app.warning)
    assert "passport" not in app.query_params
    healthy(app)


def upload(app: AppTest, content: bytes) -> AppTest:
    return app.get("file_uploader")[0].upload("passport.json", content).run()


def test_an_import_is_shown_apart_exported_again_and_forgotten(
    open_page: Open, passports: PassportStore
) -> None:
    made = model_passport({0.5: WINS}, gpu=True, dtype="float16")
    app = upload(open_page("device"), json.dumps(made.to_json()).encode())
    assert healthy(app).success[0].value.startswith("Imported\\: NVIDIA Test GPU")
    assert passports.live("cpu", environment()) is None
    next(button for button in app.button if button.label == "Forget this import").click().run()
    assert healthy(app).info[0].value.startswith("**Not measured")
    assert not app.warning and "passport" not in app.query_params


DAMAGED = [(b"\x00", "damaged"), (b"{}", "another kind"), (b" " * (MAX_BYTES + 1), "at most 8 MB")]


@pytest.mark.parametrize(("content", "words"), DAMAGED, ids=[words for _, words in DAMAGED])
def test_a_damaged_import_is_one_sentence_and_changes_nothing(
    open_page: Open, passports: PassportStore, content: bytes, words: str
) -> None:
    app = upload(open_page("device"), content)
    assert not app.exception and len(app.error) == 1
    assert words in app.error[0].value
    assert passports.others(environment()) == ()


def test_words_of_a_file_are_shown_as_they_stand(open_page: Open) -> None:
    made = model_passport({0.5: WINS})
    made = replace(made, environment={**made.environment, "cpu": "![x](http://elsewhere/x.png) :red[y]"})
    app = upload(open_page("device"), json.dumps(made.to_json()).encode())
    assert "![x]" not in text(healthy(app)) and ":red" not in text(app).replace("\\:red", "")


def test_a_damaged_live_passport_is_said_and_nothing_else_breaks(
    open_page: Open, passports: PassportStore
) -> None:
    write_live(passports, {0.5: WINS})
    passports.live_path("cpu", environment()).write_text("{")
    app = open_page("device")
    assert not app.exception and "move it away" in app.error[0].value
    assert set(edited_table(healthy(open_page("tune")))["break_even"]) == {formats.NOT_MEASURED}


def test_a_damaged_recording_is_said(open_page: Open, recorded: Path) -> None:
    recorded.write_text("{}")
    app = open_page("device", passport="recorded:gpu")
    assert not app.exception and "another kind" in app.error[0].value


def test_tune_shows_the_break_even_of_this_machine(open_page: Open, passports: PassportStore) -> None:
    write_live(passports, {0.5: LOSES, 0.75: WINS}, batches=(1, 8))
    lines = edited_table(healthy(open_page("tune"))).set_index("layer")
    assert set(lines["break_even"]) == {"from 75 %"}
    lines = edited_table(healthy(open_page("tune", model="vgg16"))).set_index("layer")
    assert set(lines["break_even"]) == {formats.NOT_MEASURED}


def test_a_machine_without_an_engine_says_why(open_page: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(DEVICES, "cpu", replace(DEVICES["cpu"], engine="triton"))
    monkeypatch.setattr("kernels.gpu.engine.missing_reason", lambda: "torch sees no NVIDIA GPU")
    app = healthy(open_page("device"))
    assert device_words.cannot_measure("torch sees no NVIDIA GPU") in text(app)
    assert not [button for button in app.button if button.key == "measure"]


def test_a_measurement_without_a_batch_size_is_refused(open_page: Open) -> None:
    app = open_page("device")
    app.pills(key="device_batches").set_value([]).run()
    assert "at least one" in app.error[0].value and not app.exception


def test_a_measurement_is_no_comparison(open_page: Open, home: Path) -> None:
    run = store_run(home, request=DeviceRequest())
    app = healthy(open_page("run", run=run))
    assert run_words.NO_RUN_SELECTED in [warning.value for warning in app.warning]
    assert healthy(open_page("compare")).button(key="go_run")


def test_the_uploader_takes_no_more_than_the_server(open_page: Open) -> None:
    root = Path(__file__).resolve().parents[2]
    config = (root / ".streamlit" / "config.toml").read_text()
    server = int(re.findall(r"^maxUploadSize = (\d+)$", config, flags=re.MULTILINE)[0])
    uploader = open_page("device").get("file_uploader")[0]
    assert uploader.proto.max_upload_size_mb == MAX_BYTES >> 20 <= server


def test_recordings_that_ship_are_offered(tmp_path: Path) -> None:
    """Whatever is in assets/recorded under the name of a passport can be shown."""
    shipped = PassportStore(tmp_path).others(environment())
    assert len(shipped) == len(list(passport_store.RECORDED_FOLDER.glob("passport-*.json")))
