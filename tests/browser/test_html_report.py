"""The report as one HTML file, in a browser without a network."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from app.html_report import page as html_report
from app.html_report import page_of_several
from tests.app.html_reports import device, sensitivity, several_ratios
from tests.browser.conftest import SHOTS, SIZES

pytestmark = pytest.mark.browser
MADE = {
    "comparison": lambda: html_report(several_ratios()),
    "several": lambda: page_of_several([("mine", several_ratios()), ("yours", several_ratios())]),
    "device": lambda: html_report(device()),
    "sensitivity": lambda: html_report(sensitivity()),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("report")
    for name, make in MADE.items():
        (found / f"{name}.html").write_bytes(make())
    return found


@pytest.fixture
def opened(browser: Browser, folder: Path, request: pytest.FixtureRequest) -> Iterator[Page]:
    """A file opened from disk, at a size and in a theme; it asks for nothing and complains of nothing."""
    name, size, theme = getattr(request, "param", ("comparison", "wide", "light"))
    path = folder / f"{name}.html"
    width, height = SIZES[size]
    context = browser.new_context(
        viewport={"width": width, "height": height}, color_scheme=theme, offline=True
    )
    page = context.new_page()
    asked: list[str] = []
    said: list[str] = []
    page.on("request", lambda one: asked.append(one.url))
    page.on("console", lambda one: said.append(one.text))
    page.on("pageerror", lambda one: said.append(str(one)))
    page.goto(path.as_uri())
    yield page
    context.close()
    assert asked == [path.as_uri()]
    assert said == []


def figures(page: Page) -> tuple[str, ...]:
    return tuple(page.locator(f"#replay-{name}").inner_text() for name in ("speed", "accuracy", "size"))


def fits(page: Page) -> bool:
    """Whether nothing is cut off, once the charts have followed a new size. (The page allows no eval.)"""
    for _ in range(100):
        if page.evaluate("document.documentElement.scrollWidth <= innerWidth"):
            return True
        page.wait_for_timeout(50)
    return False


def test_the_sliders_go_over_the_measured_grid(opened: Page) -> None:
    assert figures(opened) == ("1.83×", "92.87 %", "50 %")
    ratio = opened.locator("#replay-ratio")
    ratio.focus()
    opened.keyboard.press("ArrowRight")
    assert opened.locator("#replay-ratio-shown").inner_text() == "70 % removed"
    assert figures(opened)[0] == "2.16×"
    opened.keyboard.press("ArrowRight")  # the last stop
    assert figures(opened)[0] == "2.16×"
    opened.locator("#replay-method").focus()
    opened.keyboard.press("ArrowUp")
    assert opened.locator("#replay-method option:checked").inner_text() == "Filter"
    assert figures(opened)[0] == "0.82×"
    assert "95 % interval" in opened.locator("#replay-speed-under").inner_text()
    opened.locator("#replay-batch").focus()
    opened.keyboard.press("End")
    assert opened.locator("#replay-batch").get_attribute("aria-valuetext") == "32"
    assert opened.locator("#replay-batch-shown").inner_text() == "32"


@pytest.mark.parametrize(
    "opened", [("device", "wide", "light"), ("sensitivity", "wide", "light")], indirect=True
)
def test_layers_are_replayed_by_keyboard(opened: Page) -> None:
    first = opened.locator(".metric b").first
    before = first.inner_text()
    opened.locator("#replay-ratio").focus()
    opened.keyboard.press("End")
    assert first.inner_text() != before
    opened.keyboard.press("Home")
    assert first.inner_text() == before


@pytest.mark.parametrize("opened", [("several", "wide", "light")], indirect=True)
def test_runs_are_replayed_from_the_row_that_stands_first(opened: Page) -> None:
    shown = [opened.locator(f"#replay-{name} option:checked").inner_text() for name in ("run", "method")]
    assert shown == ["mine", "BCBP"] and figures(opened) == ("1.83×", "92.87 %", "50 %")
    opened.locator("#replay-run").focus()
    opened.keyboard.press("ArrowDown")
    assert opened.locator("#replay-run option:checked").inner_text() == "yours"


@pytest.mark.parametrize(
    "opened", [(name, "phone", "dark") for name in ("device", "sensitivity")], indirect=True
)
def test_the_words_on_a_coloured_cell_stay_white(opened: Page) -> None:
    drawn = opened.locator(".cartesianlayer text").filter(has_text="▲").first
    drawn.wait_for()
    assert drawn.evaluate("one => getComputedStyle(one).fill") == "rgb(255, 255, 255)"


@pytest.mark.parametrize(
    "opened",
    [
        *product(("comparison",), ("wide", "phone"), ("light", "dark")),
        *product(("several", "device", "sensitivity"), ("wide", "phone"), ("dark",)),
    ],
    indirect=True,
)
def test_the_report_fits_the_screen_with_every_figure_drawn(
    opened: Page, request: pytest.FixtureRequest
) -> None:
    kind, *_ = request.node.callspec.params["opened"]
    opened.locator("[data-figure] svg.main-svg").last.wait_for()
    assert opened.locator("[data-figure].js-plotly-plot").count() == opened.locator("[data-figure]").count()
    width = opened.evaluate("innerWidth")
    assert fits(opened)
    theme = opened.evaluate("matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light'")
    ink = opened.evaluate("getComputedStyle(document.querySelector('.plot .xtick text')).fill")
    assert ink == {"light": "rgb(28, 36, 48)", "dark": "rgb(228, 233, 240)"}[theme]
    SHOTS.mkdir(parents=True, exist_ok=True)
    opened.screenshot(path=SHOTS / f"report-{kind}-{width}-{theme}.png", full_page=True)


@pytest.mark.parametrize("opened", [("comparison", "wide", "dark")], indirect=True)
def test_paper_is_white_and_has_what_can_be_read_on_paper(opened: Page, tmp_path: Path) -> None:
    assert opened.locator("#replay").is_visible()
    opened.set_viewport_size({"width": 1000, "height": 700})
    opened.emulate_media(media="print")
    assert not opened.locator("#replay").is_visible()
    assert opened.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert fits(opened)
    SHOTS.mkdir(parents=True, exist_ok=True)
    opened.screenshot(path=SHOTS / "report-print.png", full_page=True)
    opened.emulate_media(media="screen")
    assert opened.pdf(path=tmp_path / "report.pdf").startswith(b"%PDF")


def test_without_scripts_every_figure_has_its_numbers(browser: Browser, folder: Path) -> None:
    page = browser.new_context(java_script_enabled=False, offline=True).new_page()
    page.goto((folder / "comparison.html").as_uri())
    assert not page.locator("#replay").is_visible()
    assert page.get_by_text("This figure needs JavaScript").count() == page.locator("[data-figure]").count()
    assert page.get_by_role("cell", name="1.83×", exact=True).count() >= 1
    page.context.close()
