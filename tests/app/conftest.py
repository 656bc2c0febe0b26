"""The dashboard under AppTest: from its entry script, with a private store and an idle queue."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from app.services import jobs, stores
from bcbp.jobs import RunStore

ENTRY = Path(__file__).resolve().parents[2] / "app" / "main.py"


class RecordedQueue:
    """Takes runs and stops them, and starts no process."""

    def __init__(self, store: RunStore) -> None:
        self.store = store
        self.submitted: list[Any] = []
        self.stopped: list[str] = []

    def submit(self, request: Any) -> str:
        self.submitted.append(request)
        return self.store.create(request)

    def stop(self, run_id: str) -> None:
        self.stopped.append(run_id)
        self.store.ask_to_stop(run_id)

    def position(self, run_id: str) -> int:
        return 0


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """The private run store's folder."""
    return tmp_path / "home"


@pytest.fixture(autouse=True)
def queue(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RecordedQueue]:
    stores.runs.clear()
    recorded = RecordedQueue(RunStore(home))
    monkeypatch.setattr(jobs, "queue", lambda: recorded)
    yield recorded
    stores.runs.clear()


@pytest.fixture
def open_page() -> Callable[..., AppTest]:
    """Open a page of the dashboard with the given link."""

    def open_(page: str = "model", **link: str) -> AppTest:
        app = AppTest.from_file(str(ENTRY), default_timeout=60)
        for name, value in link.items():
            app.query_params[name] = value
        app.run()
        if page != "model":
            app.switch_page(f"views/{page}.py").run()
        return app

    return open_
