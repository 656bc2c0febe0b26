"""What a run is asked to do is said in the same words on Tune's neighbours, on Run and on Compare."""

from __future__ import annotations

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from app.asked import asked_of, one_line
from app.services import models
from app.state import packed_layers
from app.state.edits import Edits
from app.words import formats, plan_words
from bcbp.jobs import RunStore
from bcbp.recovery.tuning import Tuning
from bcbp.request import CompareRequest
from bcbp.spec import PruneSpec
from tests.app.conftest import RecordedQueue
from tests.app.stored_runs import report, store_run
from tests.app.test_pages import Open, edited_table, healthy, text

LAYER = "stages.1.0.conv1"
ONE_LAYER = PruneSpec(allocation="explicit", ratios=((LAYER, 0.8),), permute=True)


def one_layer_link() -> dict[str, str]:
    names = [layer.name for layer in models.model("sample").layers]
    return {
        "allocation": "explicit",
        "layers": packed_layers.encode(Edits(ratios={LAYER: 0.8}), names),
        "permute": "yes",
    }


def line(app: AppTest) -> str:
    """The one that says what is measured."""
    return next(one.value for one in app.caption if one.value.startswith("Removed: "))


def test_run_says_what_the_settings_of_tune_make_of_it(open_page: Open, queue: RecordedQueue) -> None:
    app = healthy(open_page("run", **one_layer_link()))
    said = line(app)
    assert "Explicit, per layer, 1 layer at its own (80 %), filters permuted" in said
    assert "Recovery: Refit + BatchNorm · Test images: all" in said
    removed = float(said.removeprefix("Removed: ").split()[0])
    assert 0 < removed < 20
    app.button(key="start").click().run()
    assert queue.submitted[0].spec.ratios == ((LAYER, 0.8),)
    assert queue.submitted[0].title == "sample · tile 32 · Explicit, per layer"


def test_no_ratio_is_claimed_that_the_preset_does_not_use(open_page: Open) -> None:
    for page in ("run", "masks", "tune"):
        app = healthy(open_page(page, **one_layer_link()))
        assert not [one for one in app.slider if one.key == "ratio"]
        told = next(one for one in app.selectbox if one.label == "Ratio removed")
        assert told.disabled and told.value == "set by Explicit, per layer"


def test_the_ratio_comes_back_with_a_preset_that_uses_it(open_page: Open) -> None:
    app = healthy(open_page("tune", ratio="0.7"))
    for preset in ("explicit", "uniform"):
        app.segmented_control(key="preset_sample").set_value(preset).run()
        healthy(app)
    assert app.slider(key="ratio").value == 0.7


def test_masks_says_the_ratio_of_the_layer_itself(open_page: Open) -> None:
    app = healthy(open_page("masks", layer=LAYER, **one_layer_link()))
    assert f"Ratio of this layer: 80 % ({plan_words.LOCKED}); BCBP removes" in text(app)
    plain = healthy(open_page("masks", layer=LAYER))
    assert "Ratio of this layer: 50 % (Uniform); BCBP removes" in text(plain)


def test_explicit_begins_with_what_was_there_and_leaves_no_locks(open_page: Open) -> None:
    app = healthy(open_page("tune", allocation="global"))
    before = edited_table(app)["ratio"]
    app.segmented_control(key="preset_sample").set_value("explicit").run()
    lines = edited_table(healthy(app))
    assert list(lines["ratio"]) == pytest.approx(list(before), abs=0.25)
    assert not lines["lock"].any()
    link = app.query_params["layers"]
    names = [layer.name for layer in models.model("sample").layers]
    ratios, _ = packed_layers.decode(link if isinstance(link, str) else link[0], names)
    assert [100 * ratios.get(name, 0.0) for name in names] == pytest.approx(list(lines["ratio"]))
    app.segmented_control(key="preset_sample").set_value("global").run()
    assert list(edited_table(healthy(app))["ratio"]) == pytest.approx(list(before))


def test_compare_says_what_was_run_and_keeps_it_beside_a_name(open_page: Open, home: Path) -> None:
    request = CompareRequest(methods=("dense", "bcbp"), spec=ONE_LAYER, batches=(1,), images=1000)
    made = report(request)
    run = store_run(home, request=request, made=made)
    RunStore(home).rename(run, "before the holidays")
    app = healthy(open_page("compare", run=run))
    assert line(app).startswith(f"Removed: {formats.percent(made['rows'][1]['sparsity'])} ·")
    assert "Test images: 1,000 · Batches: 1 · Rounds: 15" in line(app)
    assert "before the holidays · sample" in text(app)


def test_runs_that_differ_are_told_apart(home: Path) -> None:
    plain = CompareRequest()
    others = [
        CompareRequest(images=1000),
        CompareRequest(rounds=31),
        CompareRequest(batches=(1,)),
        CompareRequest(spec=PruneSpec(recovery="none")),
        CompareRequest(spec=PruneSpec(recovery="finetune"), tuning=Tuning(epochs=5)),
        CompareRequest(spec=PruneSpec(permute=True)),
        CompareRequest(spec=PruneSpec(exclude=("conv",))),
    ]
    ids = [store_run(home, request=request) for request in (plain, *others)]
    said = [one_line(asked_of(RunStore(home).read(run))) for run in ids]
    assert len(set(said)) == len(said)
