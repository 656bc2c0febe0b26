"""Background jobs of several kinds: a store of runs on disk, a queue, and a worker process per run.

A run is a folder. Its worker is the only writer of its state; whoever wants it stopped leaves a file.
"""

from bcbp.jobs.queue import JobQueue
from bcbp.jobs.store import RunNotFound, RunStore, RunView, StoreError

__all__ = ["JobQueue", "RunNotFound", "RunStore", "RunView", "StoreError"]
