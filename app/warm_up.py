"""Load PyTorch, the sample and its scores while the browser is still opening; waiting runs start as well."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


@asynccontextmanager
async def lifespan(_server: object) -> AsyncIterator[None]:
    """Called by the server once it runs. The thread lets it answer before PyTorch is there."""
    threading.Thread(target=_load, name="bcbp-warm-up", daemon=True).start()
    yield


def _load() -> None:
    from app import services  # here, because it imports PyTorch and its caches need the running server
    from bcbp.spec import PruneSpec

    services.queue()
    services.planner("sample", PruneSpec().criterion, 32)
