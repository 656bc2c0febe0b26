"""At the server's start load PyTorch, the sample and its scores while the browser is still opening, and start
waiting runs; at its end end the worker.
"""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bcbp.jobs import JobQueue


@asynccontextmanager
async def lifespan(_server: object) -> AsyncIterator[None]:
    """Called by the server once it runs. The thread lets it answer before PyTorch is there."""
    queues: list[JobQueue] = []
    threading.Thread(target=_load, args=(queues,), name="bcbp-warm-up", daemon=True).start()
    yield
    for queue in queues:
        queue.close()


def _load(queues: list[JobQueue]) -> None:
    from app.services import jobs, planning  # here: PyTorch, and caches that need the running server
    from bcbp.spec import PruneSpec

    queues.append(jobs.queue())
    planning.planner("sample", PruneSpec().criterion, 32)
