"""Settings for every test: two threads, private folders, and hypothesis without time limits."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import settings

settings.register_profile("project", deadline=None, max_examples=30, derandomize=True)
settings.load_profile("project")


@pytest.fixture(autouse=True)
def two_threads() -> None:
    torch.set_num_threads(2)


@pytest.fixture(scope="session", autouse=True)
def private_weights(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test depends on the weights that whoever runs it has downloaded. For servers of a session, too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TORCH_HOME", str(tmp_path_factory.mktemp("torch")))
        yield


@pytest.fixture(autouse=True)
def private_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test writes into the run store of whoever runs it."""
    monkeypatch.setenv("BCBP_HOME", str(tmp_path / "home"))
