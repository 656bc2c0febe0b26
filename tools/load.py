"""Many people at one dashboard: errors, memory and waiting times under simultaneous browser sessions.

    python tools/load.py --sessions 20 --minutes 10 --json load.json

Starts a shared server of its own on loopback and one Chromium with a context a session; each session moves
the ratio, changes layers, methods and pages, and reloads, at random but the same in every run. The exit code
is 1 after any error (on the screen, on the console, a failed request), or when the server's memory goes on
growing: its median over the last quarter may exceed that over the second by --growth-mb at most. The first
quarter fills the caches, which are bounded.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import random
import statistics
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

from playwright.async_api import (
    Browser,
    ConsoleMessage,
    Error,
    Page,
    Request,
    Response,
    WebSocket,
    async_playwright,
)
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from kernels.device import environment
from tools.dashboard import COLD_START_SECONDS, FLAGS, Server, find_chromium, running_server

MOST_SESSIONS, MOST_MINUTES = 50, 30.0
PAGES = ("Model", "Tune", "Masks", "Run", "Compare", "Device")
ACTIONS = {"move_ratio": 4, "other_page": 2, "other_layer": 2, "reload": 1}  # how often, one to the other
SAMPLE_SECONDS, ACTION_SECONDS, THINK_SECONDS = 2.0, 60.0, (0.2, 1.5)
SEND_SECONDS, LOOK_SECONDS = 1.0, 0.01  # a widget waits for the next key before it sends
PROBES = ("/_stcore/health", "/_stcore/host-config")
LEFT_BEHIND = "net::ERR_ABORTED"  # what a page was still loading when it was reloaded
MOST_ERRORS = 20  # of each session; what follows one is seldom news
SETTLED = """() => document.querySelector('[data-testid=stApp][data-test-script-state=notRunning]')
    && !document.querySelector('[data-stale=true], [data-testid=stSkeleton]')"""
BROKEN = "[data-testid=stException], [data-testid=stAlertContentError]"


@dataclass
class Record:
    """What all sessions saw."""

    errors: list[str] = field(default_factory=list)
    seconds: dict[str, list[float]] = field(default_factory=dict)
    rss_mb: list[tuple[float, float]] = field(default_factory=list)  # (seconds since the start, MB)


class Session:
    """One person in a browser of their own."""

    def __init__(self, number: int, page: Page, address: str, record: Record) -> None:
        self.number, self.page, self.address, self.record = number, page, address, record
        self.chance = random.Random(number)
        self.seen: Counter[str] = Counter()
        self.sent = self.finished = 0  # requests to run the script, and runs of it that ended
        page.set_default_timeout(1000 * ACTION_SECONDS)
        page.on("pageerror", lambda error: self.error(f"page error: {error}"))
        page.on("console", self.on_console)
        page.on("requestfailed", self.on_failure)
        page.on("response", self.on_response)
        page.on("websocket", self.on_socket)

    def error(self, text: str) -> None:
        """Keep an error, unless the session has had plenty."""
        if self.seen.total() < MOST_ERRORS:
            self.record.errors.append(f"session {self.number}: {text}")
        self.seen[text] += 1

    def on_console(self, line: ConsoleMessage) -> None:
        if line.type == "error" and not is_probe(line.location["url"]):
            self.error(f"console: {line.text}")

    def on_failure(self, request: Request) -> None:
        if request.failure != LEFT_BEHIND:
            self.error(f"failed: {request.url} {request.failure}")

    def on_response(self, response: Response) -> None:
        if response.status >= 400 and not is_probe(response.url):
            self.error(f"status {response.status}: {response.url}")

    def on_socket(self, socket: WebSocket) -> None:
        socket.on("framesent", self.on_sent)
        socket.on("framereceived", self.on_received)

    def on_sent(self, _frame: str | bytes) -> None:
        self.sent += 1

    def on_received(self, frame: str | bytes) -> None:
        message = ForwardMsg.FromString(frame if isinstance(frame, bytes) else frame.encode())
        if message.WhichOneof("type") == "script_finished":
            self.finished += message.script_finished != ForwardMsg.FINISHED_EARLY_FOR_RERUN

    async def live(self, until: float) -> None:
        """Open the dashboard, then do one thing after the other until the time is over."""
        try:
            await self.timed("open", self.open)
            while time.monotonic() < until and self.seen.total() < MOST_ERRORS:
                (name,) = self.chance.choices(list(ACTIONS), list(ACTIONS.values()))
                await self.timed(name, getattr(self, name))
                await asyncio.sleep(self.chance.uniform(*THINK_SECONDS))
        except (Error, TimeoutError) as error:
            self.error(f"{type(error).__name__}: {str(error).splitlines()[0]}")

    async def timed(self, name: str, action: Callable[[], Awaitable[None]]) -> None:
        """Do it, wait until the script has run and the screen has settled, and look for errors on it.

        The screen alone does not tell: it looks settled until the server's first word. An action that asks
        for nothing (the slider is at its end) is not counted.
        """
        begun, sent, finished = time.monotonic(), self.sent, self.finished
        await action()
        if not await came_true(lambda: self.sent > sent, SEND_SECONDS):
            return
        if not await came_true(lambda: self.finished > finished, ACTION_SECONDS):
            raise TimeoutError(f"no answer to {name} within {ACTION_SECONDS:g} s")
        await self.page.wait_for_function(SETTLED)
        self.record.seconds.setdefault(name, []).append(time.monotonic() - begun)
        for text in await self.page.locator(BROKEN).all_inner_texts():
            self.error(f"on the screen after {name}: {text}")

    async def open(self) -> None:
        await self.page.goto(self.address)
        await self.page.wait_for_selector(".st-key-scope_bar", timeout=1000 * COLD_START_SECONDS)

    async def reload(self) -> None:
        """Leave the server with a session that nobody comes back to."""
        await self.page.reload()
        await self.page.wait_for_selector(".st-key-scope_bar")

    async def move_ratio(self) -> None:
        key = self.chance.choice(("ArrowLeft", "ArrowRight", "PageUp", "PageDown"))
        await self.page.locator(".st-key-ratio").get_by_role("slider").first.press(key)

    async def other_page(self) -> None:
        name = self.chance.choice(PAGES)
        await self.page.get_by_role("link", name=name, exact=True).first.click()

    async def other_layer(self) -> None:
        """Another layer where the page has a choice, else another method."""
        layers = self.page.locator(".st-key-layer")
        field_ = layers if await layers.count() else self.page.locator(".st-key-method")
        await field_.get_by_role("combobox").click()
        options = self.page.get_by_role("option")
        await options.first.wait_for()
        await options.nth(self.chance.randrange(await options.count())).click()


def is_probe(url: str) -> bool:
    """Whether Streamlit's client asks here where its server is: first below the page's own path, in vain."""
    return any(urlsplit(url).path.endswith(f"{page.lower()}{probe}") for page in PAGES for probe in PROBES)


async def came_true(look: Callable[[], bool], seconds: float) -> bool:
    """Whether it did within so long."""
    until = time.monotonic() + seconds
    while not look() and time.monotonic() < until:
        await asyncio.sleep(LOOK_SECONDS)
    return look()


async def watch_memory(pid: int, record: Record, until: float) -> None:
    """Sample the server's resident memory."""
    begun = time.monotonic()
    while time.monotonic() < until:
        record.rss_mb.append((round(time.monotonic() - begun, 1), resident_mb(pid)))
        await asyncio.sleep(SAMPLE_SECONDS)


def resident_mb(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS:"))


async def load(browser: Browser, server: Server, *, sessions: int, seconds: float) -> Record:
    """All sessions at once, for so long."""
    record, until = Record(), time.monotonic() + seconds
    contexts = [await browser.new_context() for _ in range(sessions)]
    people = [
        Session(number, await context.new_page(), server.address, record)
        for number, context in enumerate(contexts)
    ]
    await asyncio.gather(
        watch_memory(server.process.pid, record, until), *(person.live(until) for person in people)
    )
    for context in contexts:
        await context.close()
    return record


def growth_mb(samples: list[tuple[float, float]]) -> float:
    """Median of the last quarter minus that of the second."""
    values, quarter = [mb for _, mb in samples], max(1, len(samples) // 4)
    return statistics.median(values[-quarter:]) - statistics.median(values[quarter : 2 * quarter] or values)


def waits(record: Record) -> dict[str, dict[str, float]]:
    """How often each action was done, and how long it took."""
    return {
        name: {
            "times": len(found),
            "median_s": round(statistics.median(found), 2),
            "p95_s": round(sorted(found)[math.ceil(0.95 * len(found)) - 1], 2),
        }
        for name, found in sorted(record.seconds.items())
    }


def summary(record: Record, options: argparse.Namespace) -> dict[str, object]:
    """What is printed and written: figures, errors and conditions."""
    return {
        "sessions": options.sessions,
        "minutes": options.minutes,
        "actions": waits(record),
        "errors": record.errors,
        "peak_rss_mb": round(max(mb for _, mb in record.rss_mb)),
        "growth_mb": round(growth_mb(record.rss_mb)),
        "growth_limit_mb": options.growth_mb,
        "rss_mb": [(at, round(mb)) for at, mb in record.rss_mb],
        "environment": environment(),
    }


async def measure(options: argparse.Namespace, executable: str) -> dict[str, object]:
    with TemporaryDirectory() as home, running_server(Path(home), BCBP_SHARED="1") as server:
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=executable, args=FLAGS)
            record = await load(browser, server, sessions=options.sessions, seconds=60 * options.minutes)
            await browser.close()
    return summary(record, options)


def parsed(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sessions", type=int, default=20, help=f"1 to {MOST_SESSIONS}")
    parser.add_argument("--minutes", type=float, default=10.0, help=f"up to {MOST_MINUTES:g}")
    parser.add_argument("--growth-mb", type=float, default=150.0, help="bound on the growth of memory")
    parser.add_argument("--json", type=Path, help="where to write everything")
    options = parser.parse_args(arguments)
    if not 1 <= options.sessions <= MOST_SESSIONS or not 0 < options.minutes <= MOST_MINUTES:
        parser.error(f"expected 1 to {MOST_SESSIONS} sessions for up to {MOST_MINUTES:g} minutes")
    return options


def passed(found: dict[str, object], options: argparse.Namespace) -> bool:
    return not found["errors"] and float(str(found["growth_mb"])) <= options.growth_mb


def main() -> int:
    options = parsed()
    executable = find_chromium()
    if executable is None:
        print("No Chromium found: install one, or `python -m playwright install chromium`.", file=sys.stderr)
        return 2
    found = asyncio.run(measure(options, executable))
    print(json.dumps({name: value for name, value in found.items() if name != "rss_mb"}, indent=1))
    if options.json:
        options.json.write_text(json.dumps(found, indent=1))
    return 0 if passed(found, options) else 1


if __name__ == "__main__":
    sys.exit(main())
