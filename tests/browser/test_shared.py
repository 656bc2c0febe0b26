"""A server that several people share, and its end, with real browsers and a real worker."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page

from app.words import frame_words, run_words
from bcbp.device_request import DeviceRequest
from bcbp.jobs import RunStore
from tests.browser.conftest import Screen
from tools.dashboard import Server, running_server


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture
def shared(home: Path) -> Iterator[Server]:
    with running_server(home, BCBP_SHARED="1") as server:
        yield server


@pytest.fixture
def another(browser: Browser, shared: Server) -> Iterator[Callable[[], Screen]]:
    """Another person's browser at the shared server."""
    contexts = []

    def make() -> Screen:
        contexts.append(browser.new_context())
        return Screen(contexts[-1].new_page(), shared.address)

    yield make
    for context in contexts:
        context.close()


def stop_button(page: Page) -> Locator:
    return page.get_by_test_id("stButton").get_by_role("button", name="Stop")


def processes_of(home: Path) -> list[str]:
    """Command lines of all processes that were started for this store."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if f"BCBP_HOME={home}".encode() in (folder / "environ").read_bytes().split(b"\0"):
                found.append((folder / "cmdline").read_text().replace("\0", " "))
        except OSError:  # gone, or not ours
            continue
    return found


def until(true: Callable[[], object]) -> None:
    deadline = time.monotonic() + 120
    while not true():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.1)


@pytest.mark.browser
def test_a_run_stays_its_starters_over_a_reload(another: Callable[[], Screen]) -> None:
    ann, ben = another().open("run"), another()
    ann.page.get_by_role("button", name="Run: dense and 4 methods").click()
    stop_button(ann.page).wait_for(timeout=30_000)
    ann.page.wait_for_function("location.search.includes('run=')")
    ann.page.reload()
    stop_button(ann.page).wait_for(timeout=30_000)
    ben.open("run", ann.page.url.partition("?")[2])
    ben.page.get_by_text(frame_words.NOT_YOURS).wait_for()
    assert not stop_button(ben.page).count() and ben.page.get_by_text(frame_words.SOMEBODYS).count()
    stop_button(ann.page).click()
    ann.page.get_by_text(run_words.STATE_WORDS["stopped"]).wait_for(timeout=30_000)


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks for processes in /proc")
def test_sigterm_interrupts_the_run_and_leaves_no_process(home: Path) -> None:
    store = RunStore(home)
    run_id = store.create(DeviceRequest(ratios=(0.5,), batches=(1,)))
    with running_server(home) as server:
        until(lambda: any("bcbp.layer_timing" in line for line in processes_of(home)))
        server.process.terminate()
        server.process.wait(timeout=60)
        until(lambda: not processes_of(home))
    run = store.read(run_id)
    assert run.state == "interrupted" and "server was shut down" in (run.error or "")
