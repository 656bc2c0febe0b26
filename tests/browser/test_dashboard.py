"""What only a browser can show: pictures, clicks, reloads, themes, small screens, bytes on the wire."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Error

from app.words import compare_words, device_words, frame_words, model_words, plan_words, run_words
from bcbp.crossover import LOSES
from bcbp.jobs import RunStore
from bcbp.request import CompareRequest
from tests.bcbp.passports import model_passport
from tests.browser.conftest import SEVERAL, SIZES, Screen, launched

pytestmark = pytest.mark.browser
Make = Callable[..., Screen]

PAGES = ("model", "tune", "masks", "run", "compare", "device", "idea")
# A rerun sends at most this much; steady where milliseconds are not.
RERUN_BYTES = 64 * 1024


class Broken:
    """A Chromium that lacks a library."""

    def launch(self, **_settings: object) -> None:
        raise Error("Failed to launch: libnss3.so: cannot open\nand the call log")


def test_a_chromium_that_cannot_start_is_a_skip_with_its_reason() -> None:
    with pytest.raises(pytest.skip.Exception, match=r"does not start: Failed .* cannot open$"):
        launched(Broken(), "/usr/bin/chromium")  # type: ignore[arg-type]


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize(
    ("size", "theme"), [("wide", "light"), ("wide", "dark"), ("phone", "light"), ("phone", "dark")]
)
def test_every_page_fits_the_screen(open_screen: Make, page: str, size: str, theme: str) -> None:
    screen = open_screen(size, theme).open(page).shot(f"{page}-{size}-{theme}")
    assert screen.page.evaluate("document.documentElement.scrollWidth") <= SIZES[size][0]
    assert not screen.page.locator("[data-testid=stException]").count()
    assert not screen.page.get_by_text(frame_words.UNEXPECTED).count()


@pytest.mark.parametrize(
    ("theme", "background"), [("light", "rgb(255, 255, 255)"), ("dark", "rgb(16, 21, 29)")]
)
def test_the_theme_follows_the_system(open_screen: Make, theme: str, background: str) -> None:
    screen = open_screen(theme=theme).open()
    found = screen.page.evaluate(
        "getComputedStyle(document.querySelector('[data-testid=stApp]')).backgroundColor"
    )
    assert found == background


@pytest.mark.parametrize("size", ["laptop", "phone"])
def test_what_this_is_and_what_to_press_are_visible_without_scrolling(open_screen: Make, size: str) -> None:
    screen = open_screen(size).open()
    for element in (
        screen.page.get_by_role("heading", name=frame_words.QUESTION),
        screen.page.get_by_role("button", name=model_words.START),
    ):
        box = element.bounding_box()
        assert box is not None and box["y"] + box["height"] <= SIZES[size][1]


def painted(screen: Screen) -> str:
    """A digest of the first canvas's pixels."""
    canvas = screen.page.locator(".frame canvas").first
    canvas.wait_for()
    return canvas.evaluate("canvas => canvas.toDataURL()")


@pytest.mark.parametrize("model", ["sample", "resnet50"])
@pytest.mark.parametrize("page", ["tune", "masks"])
def test_the_slider_repaints_the_mask_with_few_bytes(open_screen: Make, page: str, model: str) -> None:
    screen = open_screen().open(page, f"model={model}")
    before, screen.received = painted(screen), 0
    screen.page.get_by_role("slider").first.press("ArrowRight")
    screen.page.wait_for_timeout(300)
    screen.settled()
    assert painted(screen) != before
    assert "ratio=0.51" in screen.page.url
    assert 0 < screen.received < RERUN_BYTES


@pytest.mark.parametrize("layer", ["model=vgg16&layer=classifier.0", "model=resnet18&layer=layer4.0.conv2"])
def test_the_largest_layers_stay_below_the_budget(open_screen: Make, layer: str) -> None:
    screen = open_screen().open("masks", layer)
    painted(screen)
    screen.received = 0
    screen.page.get_by_role("slider").first.press("ArrowRight")
    screen.page.wait_for_timeout(500)
    screen.settled()
    assert 0 < screen.received < RERUN_BYTES


def test_pointing_names_tile_filters_column_and_tap(open_screen: Make) -> None:
    screen = open_screen().open("masks")
    painted(screen)
    screen.page.locator(".frame canvas").first.hover(position={"x": 200, "y": 40})
    tip = screen.page.locator(".frame .tip")
    assert "tile" in tip.inner_text() and "input channel" in tip.inner_text() and "tap (" in tip.inner_text()
    screen.shot("masks-hover")


def test_zoom_needs_no_rerun(open_screen: Make) -> None:
    screen = open_screen().open("masks")
    before, screen.received = painted(screen), 0
    screen.page.get_by_role("button", name="Zoom in").click()
    assert painted(screen) != before
    screen.page.get_by_role("button", name="Show all columns").click()
    assert painted(screen) == before
    assert screen.received == 0


def test_an_edited_ratio_is_locked_linked_and_survives_reload_and_pages(open_screen: Make) -> None:
    screen = open_screen().open("tune")
    editor = screen.page.locator("#portal input")
    second_ratio = {"x": 215, "y": 38 + 35 + 18}
    screen.page.get_by_test_id("stDataFrame").dblclick(position=second_ratio)
    editor.fill("75")
    editor.press("Enter", delay=100)
    forget = screen.page.get_by_role("button", name="Forget edits (1 locked)")
    forget.wait_for()
    screen.settled().shot("tune-edited")
    screen.page.wait_for_function("location.search.includes('layers=')")
    screen.page.reload()
    forget.wait_for()
    screen.settled().go("masks").go("tune")
    forget.wait_for()
    forget.click()
    forget.wait_for(state="detached")
    screen.page.wait_for_function("!location.search.includes('layers=')")


def test_back_does_not_trap(open_screen: Make) -> None:
    screen = open_screen().open("model")
    screen.go("tune")
    screen.page.go_back()
    screen.page.get_by_role("heading", name=frame_words.QUESTION).wait_for()


def test_a_run_reports_survives_reload_and_stops(open_screen: Make) -> None:
    screen = open_screen().open("run")
    screen.page.get_by_role("button", name="Run: dense and 4 methods").click()
    # Ours: while a page is computed, Streamlit shows a Stop of its own in the header.
    stop = screen.page.get_by_test_id("stButton").get_by_role("button", name="Stop")
    stop.wait_for(timeout=15_000)
    screen.page.wait_for_function("location.search.includes('run=')")
    screen.page.reload()
    stop.wait_for(timeout=30_000)
    screen.page.get_by_text("Latency at batch 1").first.wait_for(timeout=90_000)
    screen.shot("run-active")
    stop.click()
    screen.page.get_by_text(run_words.STATE_WORDS["stopped"]).wait_for(timeout=30_000)
    screen.settled().shot("run-stopped")
    assert screen.page.get_by_role("button", name="Run: dense and 4 methods").is_visible()


def test_a_small_run_ends_in_a_verdict(open_screen: Make) -> None:
    screen = open_screen().open("run")
    screen.page.get_by_text("More settings").click()
    screen.page.get_by_role("radio", name="1,000", exact=True).click()
    screen.settled()
    for method in ("Column", "Filter", "Block"):
        screen.page.get_by_role("button", name=method, exact=True).click()
        screen.settled()
    screen.page.get_by_role("button", name="32", exact=True).click()
    screen.settled()
    screen.page.get_by_role("button", name="Run: dense and 1 method").click()
    verdict = screen.page.get_by_role("button", name=run_words.TO_COMPARE)
    verdict.wait_for(timeout=240_000)
    verdict.click()
    screen.arrived("compare").shot("compare-measured")
    assert screen.page.get_by_text("best dense").first.is_visible()


@pytest.mark.parametrize(("size", "theme"), [("wide", "dark"), ("phone", "light")])
def test_equal_accuracy_and_the_images_behind_it_answer_with_few_bytes(
    open_screen: Make, run_home: Path, size: str, theme: str
) -> None:
    run = next(one for one in RunStore(run_home).of_kind(CompareRequest) if one.request == SEVERAL)
    screen = open_screen(size, theme).open("compare", f"run={run.id}")
    images = screen.page.get_by_test_id("stImage").locator("img")
    images.nth(23).wait_for()
    assert images.evaluate_all("all => all.every(one => one.complete && one.naturalWidth >= 112)")
    screen.shot(f"compare-several-{size}-{theme}").received = 0
    screen.page.get_by_role("radio", name="Gained (40)").click()
    screen.page.get_by_text(compare_words.shown(1, 24, 40)).wait_for()
    assert 0 < screen.settled().received < RERUN_BYTES
    limit = screen.page.get_by_role("spinbutton", name=compare_words.LIMIT)
    limit.fill("10")
    limit.press("Enter")
    screen.page.get_by_text("Fastest within 10 points at batch 1: BCBP at 70 %").wait_for()
    assert screen.settled().page.evaluate("document.documentElement.scrollWidth") <= SIZES[size][0]


@pytest.mark.parametrize("size", ["laptop", "phone"])
def test_the_answer_of_the_device_page_is_visible_without_scrolling(open_screen: Make, size: str) -> None:
    screen = open_screen(size, "dark").open("device").shot(f"device-live-{size}")
    answer = screen.page.get_by_text("Yes, from 75 % removed on")
    box = answer.bounding_box()
    assert box is not None and box["y"] + box["height"] <= SIZES[size][1]


@pytest.mark.parametrize("size", ["laptop", "phone"])
def test_signs_and_numbers_of_the_map_fit_their_cells(open_screen: Make, size: str) -> None:
    screen = open_screen(size).open("device")
    labels = screen.page.locator(".heatmap-label text")
    labels.first.wait_for()
    texts = labels.all_text_contents()
    assert {text[0] for text in texts} == set("▲▼≈✕")
    cells = screen.page.evaluate(
        "document.querySelector('.heatmaplayer image').getBoundingClientRect().width"
    )
    widest = labels.evaluate_all("all => Math.max(...all.map(one => one.getBoundingClientRect().width))")
    assert 0 < widest < cells / 4


def test_a_measurement_of_the_device_survives_reload_stops_and_keeps_its_layers(open_screen: Make) -> None:
    screen = open_screen("laptop").open("device", "model=cifar-resnet20&tile=16")
    screen.page.get_by_role("button", name=device_words.measure_label("cifar-resnet20", 16)).click()
    stop = screen.page.get_by_test_id("stButton").get_by_role("button", name="Stop")
    stop.wait_for(timeout=30_000)
    screen.page.reload()
    stop.wait_for(timeout=30_000)
    screen.page.get_by_role("heading", name=device_words.WHERE).wait_for(
        timeout=120_000
    )  # the first layer is there
    screen.shot("device-active")
    stop.click()
    stopped = screen.page.get_by_text(run_words.STATE_WORDS["stopped"])
    stopped.first.wait_for(timeout=30_000)
    screen.page.get_by_role("button", name=device_words.measure_label("cifar-resnet20", 16)).wait_for()
    assert screen.settled().shot("device-stopped") and stopped.count() == 1
    assert screen.page.get_by_text("of 22 layers are measured").is_visible()


def test_a_passport_from_elsewhere_is_taken_in_and_a_damaged_one_is_not(
    open_screen: Make, tmp_path: Path
) -> None:
    screen = open_screen("phone").open("device")
    made = model_passport({0.5: LOSES, 0.75: LOSES}, batches=(1, 128), gpu=True, dtype="float16")
    (tmp_path / "damaged.json").write_text("{}")
    (tmp_path / "gpu.json").write_text(json.dumps(made.to_json()))
    chosen = screen.page.locator("input[type=file]")
    chosen.set_input_files(tmp_path / "damaged.json")
    screen.page.get_by_text("got another kind of JSON file").wait_for()
    screen.shot("device-damaged")
    chosen.set_input_files(tmp_path / "gpu.json")
    screen.page.get_by_text("Imported: NVIDIA Test GPU").wait_for()
    assert "passport=imported" in screen.settled().page.url
    screen.shot("device-imported").page.reload()
    screen.page.get_by_text("No, not on this device").wait_for(timeout=60_000)
    screen.page.get_by_role("button", name="Forget this import").click()
    screen.page.get_by_text("Yes, from 75 % removed on").wait_for()


@pytest.mark.parametrize("size", ["laptop", "phone"])
def test_a_latency_target_is_set_and_explained_on_any_screen(open_screen: Make, size: str) -> None:
    screen = open_screen(size).open("tune", "allocation=latency")
    before = screen.page.url
    screen.page.get_by_role("slider").last.press("ArrowRight")
    screen.page.wait_for_function("before => location.href !== before", arg=before)
    screen.settled().page.get_by_text(plan_words.CHOICES).click()
    screen.shot(f"tune-target-{size}")
    assert screen.page.get_by_text("mostly in").count()
    assert screen.page.evaluate("document.documentElement.scrollWidth") <= SIZES[size][0]
