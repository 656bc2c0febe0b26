"""The history's controls in a real browser: name, delete, export and import, side by side, run again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Locator, expect

from app.words import compare_words, run_words
from bcbp.request import CompareRequest
from bcbp.sensitivity_request import SensitivityRequest
from tests.app.stored_runs import report, store_run
from tests.browser.conftest import SIZES, Screen
from tools.dashboard import running_server

pytestmark = pytest.mark.browser
Make = Callable[..., Screen]

# Run again, it neither tests nor times anything.
BRIEF = CompareRequest(methods=("dense", "bcbp"), batches=(), images=0)
ROW = 35  # pixels, as high as the head of the table


@pytest.fixture(scope="module")
def run_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of this module's own, since its tests change it."""
    return tmp_path_factory.mktemp("history")


@pytest.fixture(scope="module")
def server(run_home: Path) -> Iterator[str]:
    with running_server(run_home) as running:
        yield running.address


@pytest.fixture
def runs(run_home: Path) -> list[str]:
    """Two finished runs, the newest first."""
    made = report(BRIEF)
    return [store_run(run_home, request=BRIEF, made=made) for _ in range(2)][::-1]


def press(screen: Screen, name: str) -> Screen:
    screen.page.get_by_role("button", name=name, exact=True).first.click()
    return screen.settled()


def table(screen: Screen) -> Locator:
    """The table of runs; its text is what it says to a screen reader, once it is drawn."""
    return screen.page.locator("[class*='st-key-history_'] canvas").first


def test_a_run_is_named_and_deleted_on_the_second_press(open_screen: Make, runs: list[str]) -> None:
    screen = open_screen().open("compare", f"run={runs[0]}")
    press(screen, "Name").page.get_by_label("Name of this run").fill("the good one")
    screen.page.get_by_label("Name of this run").press("Enter")
    press(screen.settled(), "Save")
    expect(screen.page.get_by_text("the good one").first).to_be_visible()
    press(screen, "Delete")
    expect(screen.page.get_by_text("This cannot be undone")).to_be_visible()
    assert runs[0] in screen.page.url
    press(screen, "Delete for good")
    screen.page.wait_for_function(f"!location.href.includes('{runs[0]}')", timeout=30_000)
    gone = open_screen().open("compare", f"run={runs[0]}")
    expect(gone.page.get_by_text(run_words.NO_RUN_SELECTED)).to_be_visible()


def test_an_exported_run_is_imported_and_marked(open_screen: Make, runs: list[str], tmp_path: Path) -> None:
    screen = open_screen().open("compare", f"run={runs[0]}")
    with screen.page.expect_download() as download:
        screen.page.get_by_role("button", name="Export run").click()
    path = tmp_path / download.value.suggested_filename
    download.value.save_as(path)
    press(screen, "Import a run")
    screen.page.set_input_files("input[type=file]", path)
    screen.page.wait_for_function(
        f"location.href.includes('run=') && !location.href.includes('{runs[0]}')", timeout=30_000
    )
    table(screen.settled()).scroll_into_view_if_needed()
    expect(table(screen)).to_contain_text(compare_words.IMPORTED)


@pytest.mark.parametrize(("size", "theme"), [("wide", "light"), ("wide", "dark"), ("phone", "light")])
def test_runs_side_by_side_survive_a_reload(
    open_screen: Make, runs: list[str], size: str, theme: str
) -> None:
    link = ".".join(runs)
    screen = open_screen(size, theme).open("compare", f"run={runs[0]}&beside={link}")
    side_by_side = screen.page.get_by_text(compare_words.NO_SHARED_BATCH)
    expect(side_by_side).to_be_visible()
    screen.page.reload()
    expect(side_by_side).to_be_visible(timeout=60_000)
    assert f"beside={link}" in screen.settled().page.url
    screen.shot(f"history-{size}-{theme}")
    assert screen.page.evaluate("document.documentElement.scrollWidth") <= SIZES[size][0]


def test_a_run_is_run_again(open_screen: Make, runs: list[str]) -> None:
    screen = open_screen().open("compare", f"run={runs[0]}")
    press(screen, compare_words.RUN_AGAIN).arrived("run")
    assert "run=" in screen.page.url and runs[0] not in screen.page.url
    expect(screen.page.get_by_text(run_words.run_state("done")).first).to_be_visible(timeout=120_000)


def test_an_interrupted_scan_is_picked_and_says_that_it_is_resumed(open_screen: Make, run_home: Path) -> None:
    store_run(run_home, "running", request=SensitivityRequest())
    screen = open_screen().open("compare")
    table(screen).scroll_into_view_if_needed()
    table(screen).click(position={"x": 15, "y": ROW + ROW / 2}, force=True)
    expect(screen.page.get_by_role("button", name=compare_words.RESUME)).to_be_visible()
    expect(screen.page.get_by_text("layers that were measured are not measured again")).to_be_visible()
    screen.settled().shot("history-scan")
