"""Every page, from the entry script: it opens, it says what it must, and bad links do no harm."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from app.services import machine, models, planning
from app.state import packed_layers
from app.state.edits import Edits
from app.words import compare_words, frame_words, model_words, plan_words, run_words
from bcbp.intake.architectures import MODELS
from bcbp.recovery.tuning import Epoch, Tuning
from bcbp.report import add_epoch
from tests.app.conftest import RecordedQueue
from tests.app.stored_runs import report, store_run

PAGES = ("model", "tune", "masks", "run", "compare", "device")
Open = Callable[..., AppTest]


def healthy(app: AppTest) -> AppTest:
    """No error of any kind is on the screen."""
    assert not app.exception, [error.message for error in app.exception]
    assert not app.error, [error.value for error in app.error]
    return app


def text(app: AppTest) -> str:
    """Everything said outside tables."""
    elements = (*app.markdown, *app.caption, *app.info, *app.warning, *app.success, *app.error, *app.title)
    return "\n".join(element.value for element in elements)


def edited_table(app: AppTest) -> pd.DataFrame:
    """The first table that can be edited; AppTest of Streamlit 1.65 lists it among the others."""
    return (app.data_editor if hasattr(app, "data_editor") else app.dataframe)[0].value


def results_of(app: AppTest) -> pd.DataFrame:
    """The measured figures, by method."""
    return next(one.value for one in app.dataframe if "Multiply-adds" in one.value).set_index("Method")


@pytest.mark.parametrize("page", PAGES)
def test_every_page_opens_with_the_scope_bar(open_page: Open, page: str) -> None:
    app = healthy(open_page(page))
    assert {app.selectbox(key=key).value for key in ("model", "tile", "method")} == {"sample", 32, "bcbp"}
    assert app.slider(key="ratio").value == 0.5


@pytest.mark.parametrize("model", MODELS)
def test_every_model_can_be_tuned(open_page: Open, model: str) -> None:
    app = healthy(open_page("tune", model=model))
    lines = edited_table(app)
    assert list(lines["layer"]) == [layer.name for layer in models.model(model).layers]


def test_the_first_screen_says_what_this_is_and_what_to_press(open_page: Open) -> None:
    app = open_page()
    assert app.title[0].value == frame_words.QUESTION
    assert app.button(key="hero_run").label == model_words.START


def test_random_weights_are_labelled_and_get_no_accuracy(open_page: Open) -> None:
    app = open_page(model="resnet18")
    assert model_words.UNTRAINED in [warning.value for warning in app.warning]


def test_layers_that_cannot_be_pruned_have_reasons(open_page: Open) -> None:
    app = open_page(model="mobilenet_v2")
    assert "depth-wise" in text(app)


def test_a_link_opens_the_same_screen(open_page: Open) -> None:
    app = healthy(open_page("tune", model="cifar-resnet20", tile="16", ratio="0.7", method="column"))
    assert not app.warning
    assert app.selectbox(key="model").value == "cifar-resnet20"
    assert app.selectbox(key="tile").value == 16
    assert app.slider(key="ratio").value == 0.7
    assert app.selectbox(key="method").value == "column"


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("model", "resnet-9000", "sample"),
        ("tile", "5", 32),
        ("tile", "1", 32),
        ("ratio", "7", 0.5),
        ("ratio", "nan", 0.5),
        ("ratio", "half", 0.5),
        ("method", "<script>", "bcbp"),
    ],
)
@pytest.mark.parametrize("page", ["tune", "run"])
def test_a_bad_scope_in_a_link_falls_back_with_a_notice(
    open_page: Open, page: str, name: str, value: str, shown: object
) -> None:
    app = healthy(open_page(page, **{name: value}))
    assert app.session_state[name] == shown
    assert any(f"{name} = {value}" in warning.value for warning in app.warning)
    next(button for button in app.button if button.label == "Dismiss").click().run()
    assert not app.warning


@pytest.mark.parametrize(
    "link",
    [
        {"layers": "!!!"},
        {"layers": "ZGRk"},
        {"allocation": "by-mood"},
        {"criterion": "by-mood"},
        {"layer": "no.such.layer"},
    ],
    ids=lambda link: next(iter(link)),
)
def test_a_bad_detail_in_a_link_falls_back_with_a_notice(open_page: Open, link: dict[str, str]) -> None:
    app = AppTest.from_file("../../app/main.py", default_timeout=60)
    app.switch_page("views/tune.py")
    for name, value in link.items():
        app.query_params[name] = value
    app.run()
    healthy(app)
    assert any("The link asks for" in warning.value for warning in app.warning)


@pytest.mark.parametrize("page", ["run", "compare"])
def test_a_link_to_a_run_that_is_not_here_says_so(open_page: Open, page: str) -> None:
    app = healthy(open_page(page, run="20200101-000000-abcdef"))
    assert run_words.NO_RUN_SELECTED in [warning.value for warning in app.warning]


def test_filters_are_permuted_where_that_is_asked_for_and_the_link_says_so(open_page: Open) -> None:
    app = healthy(open_page("tune"))
    assert "Importance kept" not in [one.label for one in app.metric]
    app.toggle(key="permute_sample").set_value(True).run()
    (kept,) = (one.value for one in healthy(app).metric if one.label == "Importance kept")
    before, after = kept.split(" → ")
    assert float(after.split()[0]) > float(before)
    assert "permuted" in text(app) and (edited_table(app)["importance"] != "").any()
    assert app.query_params["permute"] in ("yes", ["yes"])
    other = healthy(open_page("tune", permute="yes", method="filter"))
    assert other.toggle(key="permute_sample").value
    assert any(note.value.startswith("Filters are not permuted: whole filters go") for note in other.info)


def test_permuted_masks_are_shown_by_both_viewers(open_page: Open) -> None:
    app = healthy(open_page("masks", permute="yes"))
    app.segmented_control(key="mask_show").set_value("Magnitude").run()
    healthy(app).segmented_control(key="mask_viewer").set_value("Chart").run()
    healthy(app)


def test_edited_ratios_travel_in_the_link(open_page: Open) -> None:
    names = [layer.name for layer in models.model("sample").layers]
    packed = packed_layers.encode(Edits(ratios={names[1]: 0.8}, exclude=frozenset({names[2]})), names)
    app = healthy(open_page("tune", layers=packed, allocation="global"))
    lines = edited_table(app).set_index("layer")
    assert lines.loc[names[1], "ratio"] == pytest.approx(80)
    assert bool(lines.loc[names[1], "lock"])
    assert bool(lines.loc[names[2], "keep"])
    assert app.query_params["layers"] in (packed, [packed])


def test_an_edit_in_the_table_locks_the_layer(open_page: Open) -> None:
    app = open_page("tune")
    app.session_state["layer_table_sample_0"] = {
        "edited_rows": {1: {"ratio": 75}}, "added_rows": [], "deleted_rows": [],
    }  # fmt: skip
    healthy(app.run())


def test_explicit_preset_prunes_only_what_was_set(open_page: Open) -> None:
    app = healthy(open_page("tune", allocation="explicit"))
    assert app.metric[0].value == "0.0 %"


def test_speed_by_multiply_adds_is_no_bound(open_page: Open) -> None:
    """An engine may be faster for each of them than the best dense: 2.15× was measured where 1.99× stood."""
    labels = [one.label for one in healthy(open_page("tune")).metric]
    assert plan_words.BY_WORK in labels and not any("at most" in label for label in labels)


def test_excluding_every_layer_is_one_line_and_can_be_taken_back(open_page: Open) -> None:
    names = [layer.name for layer in models.model("sample").layers]
    packed = packed_layers.encode(Edits(exclude=frozenset(names)), names)
    app = open_page("tune", layers=packed)
    assert not app.exception
    assert "all are excluded" in app.error[0].value
    next(button for button in app.button if button.label.startswith("Forget edits")).click().run()
    healthy(app)


def test_masks_shows_four_methods_on_one_canvas_or_as_charts(open_page: Open) -> None:
    app = healthy(open_page("masks"))
    assert len(app.get("bidi_component")) == 1
    app.segmented_control(key="mask_viewer").set_value("Chart").run()
    assert len(healthy(app).get("plotly_chart")) == 4


def test_magnitude_is_shown_without_error(open_page: Open) -> None:
    app = open_page("masks")
    app.segmented_control(key="mask_show").set_value("Magnitude").run()
    healthy(app)


def test_run_submits_what_the_screen_shows(open_page: Open, queue: RecordedQueue) -> None:
    app = healthy(open_page("run", tile="64", ratio="0.75"))
    app.button(key="start").click().run()
    request = queue.submitted[0]
    assert (request.model, request.spec.tile, request.spec.ratio) == ("sample", 64, 0.75)
    assert request.methods[0] == "dense"
    assert healthy(app).button(key="stop_run")
    assert app.query_params["run"] == queue.store.list()[0].id


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [({}, ("cuda", "fp16")), ({"precision": "tf32"}, ("cuda", "tf32")), ({"device": "cpu"}, ("cpu", "fp32"))],
)
def test_with_a_gpu_the_person_chooses_where_and_in_which_format(
    open_page: Open,
    queue: RecordedQueue,
    monkeypatch: pytest.MonkeyPatch,
    chosen: dict[str, str],
    expected: tuple[str, str],
) -> None:
    monkeypatch.setattr(machine, "live_devices", lambda: ("cuda", "cpu"))
    app = healthy(open_page("run"))
    for name, value in chosen.items():
        app.segmented_control(key=f"run_{name}").set_value(value).run()
    healthy(app).button(key="start").click().run()
    assert (queue.submitted[0].device, queue.submitted[0].precision) == expected


def test_without_a_gpu_there_is_no_device_to_choose(open_page: Open) -> None:
    assert "run_device" not in {one.key for one in open_page("run").segmented_control}


def test_the_first_button_starts_a_run_of_the_scope(open_page: Open, queue: RecordedQueue) -> None:
    app = open_page(ratio="0.7")
    app.button(key="hero_run").click().run()
    healthy(app)
    assert [request.spec.ratio for request in queue.submitted] == [0.7]


def test_buttons_lead_to_other_pages_under_the_same_link(open_page: Open, home: Path) -> None:
    run = store_run(home, made=report())
    app = open_page("run", run=run, tile="64")
    app.button(key="to_compare").click().run()
    assert healthy(app).warning[0].value.startswith("**Faster, at a cost")
    assert app.selectbox(key="tile").value == 64


def test_what_happens_stands_first_while_a_run_is_on(open_page: Open, home: Path) -> None:
    def order(run: str) -> list[str]:
        """What stands on the page from above, as far as it matters here."""
        app = healthy(open_page("run", run=run))
        marks = {"Compare dense with": "settings", "**sample · tile 32": "status"}
        found = [
            mark
            for element in app.main
            for words, mark in marks.items()
            if words in str(getattr(element, "label", "")) or words in str(getattr(element, "value", ""))
        ]
        return list(dict.fromkeys(found))

    assert order(store_run(home, "queued", made=report(finished=False))) == ["status", "settings"]
    assert order(store_run(home, made=report())) == ["settings", "status"]


def test_stop_reaches_the_queue(open_page: Open, queue: RecordedQueue) -> None:
    app = open_page("run")
    app.button(key="start").click().run()
    app.button(key="stop_run").click().run()
    assert queue.stopped == [queue.store.list()[0].id]
    assert run_words.STATE_WORDS["stopped"] in text(healthy(app))


def test_a_run_without_methods_cannot_start(open_page: Open, queue: RecordedQueue) -> None:
    app = open_page("run")
    app.pills(key="run_methods").set_value([]).run()
    assert app.button(key="start").disabled


@pytest.mark.parametrize("ended", ["stopped", "failed", "interrupted"])
def test_partial_results_stay_after_a_bad_end(open_page: Open, home: Path, ended: str) -> None:
    state_on_disk = "running" if ended == "interrupted" else ended
    run = store_run(
        home, state_on_disk, made=report(finished=False), error="No space left" if ended == "failed" else None
    )
    app = open_page("run", run=run)
    assert not app.exception
    assert run_words.STATE_WORDS[ended] in text(app)
    assert len(app.dataframe[0].value) == 5


def test_compare_opens_with_the_verdict(open_page: Open, home: Path) -> None:
    store_run(home, made=report())
    app = healthy(open_page("compare"))
    assert app.warning[0].value.startswith("**Faster, at a cost: BCBP is 1.83× as fast as the best dense")
    assert not app.success
    lines = results_of(app)
    assert lines.loc["BCBP", "± points"] == "−0.74"
    assert lines.loc["Filter", "Verdict"] == "worse"


def test_no_is_an_answer_and_has_a_cause(open_page: Open, home: Path) -> None:
    store_run(home, made=report())
    app = open_page("compare", method="filter")
    assert app.error[0].value.startswith("**No, not on this device: Filter is 0.87× as fast")
    assert "multiply-adds" in app.error[0].value


def test_times_that_claim_nothing_are_neither_yes_nor_no(open_page: Open, home: Path) -> None:
    store_run(home, made=report(engine="dense"))
    app = healthy(open_page("compare"))
    assert app.info[0].value.startswith("**No speed claim")
    assert not app.success


def test_close_races_have_no_winner(open_page: Open, home: Path) -> None:
    store_run(home, made=report())
    app = open_page("compare", method="block")
    assert app.warning[0].value.startswith("**Cannot tell")


def test_compare_without_accuracy_shows_latency_alone(open_page: Open, home: Path) -> None:
    store_run(home, made=report(accuracy=False))
    app = healthy(open_page("compare"))
    assert compare_words.NO_ACCURACY in text(app)
    assert "accuracy was not measured" in app.success[0].value


def test_compare_and_run_show_the_recovery_ladder(open_page: Open, home: Path) -> None:
    run = store_run(home, made=report())
    for page in ("compare", "run"):
        app = healthy(open_page(page, run=run))
        assert run_words.LADDER in [header.value for header in app.subheader]
        tables = [table.value for table in app.dataframe if {"Recovery", "Time"} <= set(table.value)]
        assert len(tables) == 1 and len(tables[0]) == 4 * 3  # methods x rungs


def test_compare_and_run_draw_fine_tuning_while_it_runs_and_after(open_page: Open, home: Path) -> None:
    made = report()
    for number in (1, 2):
        add_epoch(made["rows"][1], Epoch(number, 0.4 / number, 0.9, 1880 + number, 2000, 7.0))
    for state_now, page in (("done", "compare"), ("stopped", "run")):
        run = store_run(home, state_now, made=made)
        app = healthy(open_page(page, run=run))
        assert run_words.CURVES in [header.value for header in app.subheader]
        assert run_words.CURVES_NOTE in text(app)


def test_fine_tuning_is_off_until_it_is_chosen_and_its_epochs_go_along(
    open_page: Open, queue: RecordedQueue
) -> None:
    app = healthy(open_page("run"))
    assert "run_epochs" not in [field.key for field in app.segmented_control]
    app.segmented_control(key="run_recovery").set_value("finetune").run()
    app.segmented_control(key="run_epochs").set_value(5).run()
    app.toggle(key="run_distill").set_value(True).run()
    assert app.number_input(key="run_rate_sgd").value == 0.02
    app.segmented_control(key="run_optimizer").set_value("adamw").run()
    app.segmented_control(key="run_schedule").set_value("step").run()
    app.segmented_control(key="run_tuning_precision").set_value("fp32").run()
    assert app.number_input(key="run_rate_adamw").value == 0.001
    app.number_input(key="run_rate_adamw").set_value(0.003).run()
    assert "Fine-tune, 5 epochs, AdamW at 0.003, step, fp32, distilled" in text(healthy(app))
    app.button(key="start").click().run()
    request = queue.submitted[0]
    assert request.spec.recovery == "finetune"
    assert request.tuning == Tuning(5, 128, 0.003, "adamw", "step", distill=0.5, precision="fp32")


def test_the_criterion_of_the_link_ranks_the_columns(open_page: Open) -> None:
    app = healthy(open_page("tune", criterion="l1"))
    assert app.selectbox(key="criterion_sample").value == "l1"
    assert app.query_params["criterion"] in ("l1", ["l1"])


def test_a_criterion_that_declines_says_why_and_can_be_changed(open_page: Open) -> None:
    app = open_page("tune", model="resnet18", criterion="obs")
    assert "model with images to calibrate on" in app.error[0].value
    app.selectbox(key="criterion_resnet18").set_value("l2").run()
    healthy(app)


def test_a_run_takes_the_criterion_along(open_page: Open, queue: RecordedQueue) -> None:
    app = healthy(open_page("run", criterion="l1"))
    app.button(key="start").click().run()
    assert queue.submitted[0].spec.criterion == "l1"


def test_compare_without_any_run_points_to_run(open_page: Open) -> None:
    app = healthy(open_page("compare"))
    assert app.button(key="go_run")


def test_a_bug_in_a_page_is_one_line_and_the_scope_bar_stays(
    open_page: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_args: object) -> None:
        raise RuntimeError("a bug of ours")

    monkeypatch.setattr(planning, "macs_left", fail)
    app = open_page("tune")
    assert not app.exception
    assert [error.value for error in app.error] == [frame_words.UNEXPECTED]
    assert app.slider(key="ratio").value == 0.5
