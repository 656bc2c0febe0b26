"""Settings for every test: two threads, a private run store, and hypothesis without time limits."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import settings

settings.register_profile("project", deadline=None, max_examples=30, derandomize=True)
settings.load_profile("project")


@pytest.fixture(scope="session", autouse=True)
def two_threads() -> None:
    torch.set_num_threads(2)


@pytest.fixture(autouse=True)
def private_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test writes into the run store of whoever runs it."""
    monkeypatch.setenv("BCBP_HOME", str(tmp_path / "home"))
