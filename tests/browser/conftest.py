"""The real dashboard in a real Chromium: the server on a free port, and no request may leave this machine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlparse

import pytest
from playwright.sync_api import Browser, BrowserContext, BrowserType, Error, Page, sync_playwright

from bcbp.crossover import DECLINED, LOSES, UNCLEAR, WINS
from bcbp.intake.architectures import load_model
from bcbp.passport_store import PassportStore
from bcbp.request import CompareRequest
from bcbp.sensitivity import ScanStore
from kernels.device import environment
from tests.app.stored_runs import predictions, report, store_run
from tests.bcbp.measurements import scan_of
from tests.bcbp.passports import model_passport
from tools.dashboard import (
    COLD_START_SECONDS,
    FLAGS,
    NAMES,
    ROOT,
    SERVER_THREADS,
    find_chromium,
    running_server,
)

SHOTS = ROOT / "artifacts" / "screenshots"
SIZES = {"wide": (1440, 900), "laptop": (1280, 800), "phone": (390, 844)}
LOCAL = {"127.0.0.1", "localhost", ""}
SEVERAL = CompareRequest(ratios=(0.3, 0.5, 0.7), batches=(1,))


def launched(kind: BrowserType, executable: str) -> Browser:
    """The browser; a skip where it does not start, since one that is found may still lack a library."""
    try:
        return kind.launch(executable_path=executable, args=FLAGS)
    except Error as error:
        pytest.skip(f"{executable} does not start: {error.message.splitlines()[0]}")


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    executable = find_chromium()
    if executable is None:
        pytest.skip(f"no Chromium found: looked for {', '.join(NAMES)} on PATH and for Playwright's own")
    with sync_playwright() as playwright:
        running = launched(playwright.chromium, executable)
        yield running
        running.close()


@pytest.fixture(scope="package")
def run_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The server's run store, with one finished run in it and this machine's passport of the sample."""
    home = tmp_path_factory.mktemp("runs")
    several = report(SEVERAL)
    store_run(home, request=SEVERAL, made=several, answers=predictions(several))
    store_run(home, made=report())  # the newest, which Compare opens with
    states = {0.25: LOSES, 0.5: UNCLEAR, 0.75: WINS, 0.9: WINS}
    made = model_passport(states, batches=(1, 8), odd_one=DECLINED)
    conditions = environment() | {"threads": SERVER_THREADS}
    PassportStore(home).write_live(replace(made, environment=conditions))
    ScanStore(home).write(scan_of(load_model("sample")))
    return home


@pytest.fixture(scope="package")
def server(run_home: Path) -> Iterator[str]:
    """The address of a running dashboard."""
    with running_server(run_home) as running:
        yield running.address


class Screen:
    """A page of the dashboard in the browser, and everything it sent and received."""

    def __init__(self, page: Page, address: str) -> None:
        self.page, self.address = page, address
        self.outside: list[str] = []
        self.errors: list[str] = []
        self.received = 0
        page.on("request", self._on_request)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("websocket", lambda socket: socket.on("framereceived", self._on_frame))

    def _on_request(self, request: object) -> None:
        address = urlparse(request.url)  # type: ignore[attr-defined]
        if address.scheme not in ("data", "blob") and address.hostname not in LOCAL:
            self.outside.append(request.url)  # type: ignore[attr-defined]

    def _on_frame(self, payload: str | bytes) -> None:
        self.received += len(payload)

    def open(self, page: str = "model", link: str = "") -> Screen:
        path = "" if page == "model" else page
        self.page.goto(f"{self.address}/{path}?{link}")
        first = ".st-key-scope_bar, .st-key-idea_ratio"  # the Idea has a slider of its own in its place
        self.page.wait_for_selector(first, timeout=1000 * COLD_START_SECONDS)
        return self.settled()

    def arrived(self, page: str) -> Screen:
        """Wait until the address bar names `page`, and the page has been drawn."""
        self.page.wait_for_function(f"location.pathname === '/{page}'", timeout=60_000)
        return self.settled()

    def go(self, page: str) -> Screen:
        """Click on `page` in the navigation."""
        self.page.get_by_role("link", name=page.capitalize(), exact=True).first.click()
        return self.arrived(page)

    def settled(self) -> Screen:
        """Wait until the script has run and nothing is greyed out."""
        self.page.wait_for_selector("[data-testid=stApp][data-test-script-state=notRunning]", timeout=60_000)
        self.page.wait_for_function(
            "!document.querySelector('[data-stale=true], [data-testid=stSkeleton]')", timeout=60_000
        )
        return self

    def shot(self, name: str) -> Screen:
        """Keep a picture of the whole page."""
        SHOTS.mkdir(parents=True, exist_ok=True)
        size = self.page.viewport_size or {"width": 1440, "height": 900}
        height, previous = self._height(), -1
        while height != previous:  # components grow when their first picture arrives
            self.page.wait_for_timeout(400)
            height, previous = self._height(), height
        self.page.set_viewport_size(
            {"width": size["width"], "height": min(4000, max(size["height"], height + 60))}
        )
        self.page.wait_for_timeout(400)  # charts and canvases follow the new size
        self.page.screenshot(path=SHOTS / f"{name}.png")
        self.page.set_viewport_size(size)  # type: ignore[arg-type]
        return self

    def _height(self) -> int:
        return int(self.page.evaluate("document.querySelector('[data-testid=stMain]').scrollHeight"))


@pytest.fixture
def open_screen(browser: Browser, server: str) -> Iterator[Callable[..., Screen]]:
    """Make a screen of a size ("wide", "laptop", "phone") and theme; in the end nothing may have left."""
    contexts: list[BrowserContext] = []
    screens: list[Screen] = []

    def make(size: str = "wide", theme: str = "light") -> Screen:
        width, height = SIZES[size]
        context = browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme=theme,  # type: ignore[arg-type]
            has_touch=size == "phone",
        )
        contexts.append(context)
        screens.append(Screen(context.new_page(), server))
        return screens[-1]

    yield make
    for context in contexts:
        context.close()
    assert [url for screen in screens for url in screen.outside] == []
    assert [error for screen in screens for error in screen.errors] == []
