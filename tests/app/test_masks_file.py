"""A file of masks dropped on Tune: it is the plan on every page, until the settings are used again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from app import people
from app.services import files, jobs, owners
from app.state import keys
from app.words import plan_words, run_words
from bcbp.errors import ModelError, NotYours
from bcbp.export import Pruned
from bcbp.intake.architectures import load_model
from bcbp.mask_file import write_masks
from bcbp.mask_store import MaskStore
from bcbp.plan import PruningPlan
from bcbp.planning import make_plan
from bcbp.request import CompareRequest
from bcbp.spec import PruneSpec
from tests.app.conftest import RecordedQueue
from tests.app.stored_runs import store_run
from tests.app.test_pages import Open, edited_table, healthy, text
from tests.app.test_people import as_person as as_person
from tests.app.test_people import shared as shared

SPEC = PruneSpec(
    ratio=0.43, tile=16, ratios=(("stages.1.0.conv2", 0.75),), exclude=("stages.0.0.conv1",), seed=2
)
ALL_PAGES = ("model", "tune", "masks", "run", "compare", "device")


@pytest.fixture(scope="module")
def plan() -> PruningPlan:
    return make_plan(load_model("sample"), SPEC)


@pytest.fixture
def content(plan: PruningPlan, tmp_path: Path) -> bytes:
    """An exported file of masks of the sample."""
    model, path = load_model("sample"), tmp_path / "exported"
    write_masks(plan, path, Pruned(model, plan, model.module, "none").metadata())
    return path.read_bytes()


def drop(app: AppTest, content: bytes, name: str = "masks.safetensors") -> AppTest:
    return app.get("file_uploader")[0].upload(name, content).run()


def test_dropped_masks_are_the_plan_on_every_page(
    open_page: Open, content: bytes, plan: PruningPlan, queue: RecordedQueue
) -> None:
    app = healthy(drop(open_page("tune", method="filter", ratio="0.7"), content))
    said = plan_words.masks_from("masks.safetensors", "BCBP")
    assert app.selectbox(key="method").value == "bcbp" and said in text(app)
    lines = edited_table(app).set_index("layer")
    for layer in plan:
        assert lines.loc[layer.name, "snapped"] == pytest.approx(100 * layer.ratio)
    assert lines.loc["stages.1.0.conv2", "lock"] and lines.loc["stages.0.0.conv1", "keep"]
    for page in ALL_PAGES:
        app.switch_page(f"views/{page}.py").run()
        assert said in text(healthy(app)), page
    app.switch_page("views/run.py").run()
    app.button(key="start").click().run()
    asked = queue.submitted[0].spec
    assert asked.masks and asked == CompareRequest(spec=asked).spec_for("bcbp")
    again = make_plan(load_model("sample"), asked)
    assert [one.mask.to_json() for one in again] == [one.mask.to_json() for one in plan]


def test_the_way_back_leads_to_the_settings_as_they_were(open_page: Open, content: bytes) -> None:
    app = drop(open_page("tune", ratio="0.7", tile="64", criterion="l1"), content)
    app.switch_page("views/run.py").run()
    app.button(key="use_settings").click().run()
    healthy(app)
    assert app.slider(key="ratio").value == 0.7 and app.selectbox(key="tile").value == 64
    assert keys.MASKS not in app.query_params
    app.switch_page("views/tune.py").run()
    assert not edited_table(healthy(app))["lock"].any()


def test_forgotten_masks_are_deleted_and_the_settings_hold_again(open_page: Open, content: bytes) -> None:
    app = drop(open_page("tune", ratio="0.7"), content)
    (stored,) = MaskStore().list()
    app.button(key="forget_masks").click().run()
    assert healthy(app).slider(key="ratio").value == 0.7 and keys.MASKS not in app.query_params
    assert MaskStore().list() == ()
    again = open_page("tune", masks_file=stored)
    assert any("masks_file = " in warning.value for warning in again.warning)


def test_a_link_brings_the_masks_back_in_another_session(open_page: Open, content: bytes) -> None:
    spec = files.take_in_masks("sample", "masks.safetensors", content)
    app = healthy(open_page("tune", masks_file=spec.masks))
    assert plan_words.masks_from("masks.safetensors", "BCBP") in text(app) and not app.warning
    assert app.query_params[keys.MASKS] == spec.masks
    other = healthy(open_page("tune", masks_file=spec.masks, method="column"))
    assert other.selectbox(key="method").value == "column"


@pytest.mark.parametrize("link", [{"masks_file": "masks-0123456789ab"}, {"masks_file": "../../etc"}])
def test_a_link_to_masks_that_are_not_here_becomes_a_notice(open_page: Open, link: dict[str, str]) -> None:
    app = healthy(open_page("tune", **link))
    assert any("masks_file = " in warning.value for warning in app.warning)
    assert app.slider(key="ratio").value == 0.5


def test_masks_of_another_model_are_refused_and_its_settings_stay(open_page: Open, content: bytes) -> None:
    app = drop(open_page("tune", model="cifar-resnet20"), content)
    assert not app.exception and "Expected masks of cifar" in app.error[0].value.replace("\\", "")
    assert "Load that model" in app.error[0].value
    assert app.slider(key="ratio").value == 0.5
    assert MaskStore().list() == ()
    spec = files.take_in_masks("sample", "masks.safetensors", content)
    with pytest.raises(ModelError):  # refused again, but it was taken in before
        files.take_in_masks("cifar-resnet20", "masks.safetensors", content)
    assert MaskStore().list() == (spec.masks,)
    linked = healthy(open_page("tune", model="cifar-resnet20", masks_file=spec.masks))
    assert any("masks_file = " in warning.value for warning in linked.warning)


@pytest.mark.parametrize("name", ["masks.safetensors", "![x](http://x).safetensors"])
def test_what_is_no_file_of_masks_gets_its_sentence(open_page: Open, name: str) -> None:
    app = drop(open_page("tune"), b"<html>", name)
    assert not app.exception and "got a web page" in app.error[0].value
    assert "](http" not in app.error[0].value


def test_masks_go_with_their_model(open_page: Open, content: bytes) -> None:
    app = drop(open_page("tune"), content)
    said = plan_words.masks_from("masks.safetensors", "BCBP")
    app.selectbox(key="model").select("cifar-resnet20").run()
    assert said not in text(healthy(app))
    app.selectbox(key="model").select("sample").run()
    assert said in text(healthy(app))


@pytest.mark.usefixtures("shared")
def test_masks_and_what_was_run_with_them_are_closed_to_others(
    open_page: Open, home: Path, content: bytes, as_person: Callable[[str], None]
) -> None:
    as_person("ann")
    spec = files.take_in_masks("sample", "masks.safetensors", content)
    run = store_run(home, "queued", request=CompareRequest(spec=spec))
    owners.keep(owners.RUNS, run)
    assert people.person() is not None and jobs.comparison(run).id == run
    as_person("ben")
    app = healthy(open_page("tune", masks_file=spec.masks))
    assert any("masks_file = " in warning.value for warning in app.warning)
    assert run_words.NO_RUN_SELECTED in text(open_page("compare", run=run))
    with pytest.raises(NotYours):
        files.forget_masks(spec.masks)
    with pytest.raises(ModelError):
        files.take_in_masks("cifar-resnet20", "masks.safetensors", content)
    assert MaskStore().list() == (spec.masks,) and not owners.is_mine(owners.MASKS, spec.masks)
