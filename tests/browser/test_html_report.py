"""The report as one HTML file, in a browser without a network."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from app.html_report import page as html_report
from bcbp.request import CompareRequest
from tests.app.stored_runs import report
from tests.browser.conftest import SHOTS, SIZES

pytestmark = pytest.mark.browser
REQUEST = CompareRequest(methods=("dense", "filter", "bcbp"), ratios=(0.3, 0.5, 0.7))


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("report") / "report.html"
    target.write_bytes(html_report(report(REQUEST)))
    return target


@pytest.fixture
def opened(browser: Browser, path: Path, request: pytest.FixtureRequest) -> Iterator[Page]:
    """The file opened from disk, at a size and in a theme; it asks for nothing and complains of nothing."""
    size, theme = getattr(request, "param", ("wide", "light"))
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
    opened.locator("#replay-method").select_option("filter")
    assert figures(opened)[0] == "0.82×"
    assert "95 % interval" in opened.locator("#replay-speed-under").inner_text()
    opened.locator("#replay-batch").fill("1")
    assert opened.locator("#replay-batch-shown").inner_text() == "32"


@pytest.mark.parametrize(
    "opened", [("wide", "light"), ("wide", "dark"), ("phone", "light"), ("phone", "dark")], indirect=True
)
def test_the_report_fits_the_screen_with_every_figure_drawn(
    opened: Page, request: pytest.FixtureRequest
) -> None:
    drawn = opened.locator("[data-figure] svg.main-svg >> nth=0")
    drawn.wait_for()
    assert opened.locator("[data-figure].js-plotly-plot").count() == opened.locator("[data-figure]").count()
    width = opened.evaluate("innerWidth")
    assert fits(opened)
    theme = opened.evaluate("matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light'")
    ink = opened.evaluate("getComputedStyle(document.querySelector('.plot .xtick text')).fill")
    assert ink == {"light": "rgb(28, 36, 48)", "dark": "rgb(228, 233, 240)"}[theme]
    SHOTS.mkdir(parents=True, exist_ok=True)
    opened.screenshot(path=SHOTS / f"report-{width}-{theme}.png", full_page=True)


@pytest.mark.parametrize("opened", [("wide", "dark")], indirect=True)
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


def test_without_scripts_every_figure_has_its_numbers(browser: Browser, path: Path) -> None:
    page = browser.new_context(java_script_enabled=False, offline=True).new_page()
    page.goto(path.as_uri())
    assert not page.locator("#replay").is_visible()
    assert page.get_by_text("This figure needs JavaScript").count() == page.locator("[data-figure]").count()
    assert page.get_by_role("cell", name="1.83×", exact=True).count() >= 1
    page.context.close()
