"""The processes that train one network together, as torchrun started them; a team of one without it.

Every process gets its share of each batch, and gradients are averaged, so that a step is the one a single
process would take on the whole batch. Batch norms see the process's own share on the processor
(torch has no synchronised ones there) and the whole batch on GPUs; running statistics are averaged.
"""

from __future__ import annotations

import gc
import importlib
import inspect
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TypeVar

import torch
from torch import distributed, nn

T = TypeVar("T")

# The others wait while the first plans, refits and tests.
_PATIENCE = timedelta(hours=12)


@dataclass(frozen=True)
class Team:
    """This process as one of `size`; the first, of `rank` 0, alone writes and prints. `device` is its own."""

    rank: int = 0
    size: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    @property
    def leads(self) -> bool:
        return self.rank == 0

    def share(self, batch: int) -> slice:
        """This process's part of a batch; equal parts, so that the mean of means is the mean."""
        part = batch // self.size
        return slice(self.rank * part, (self.rank + 1) * part)

    def wrap(self, module: nn.Module) -> nn.Module:
        """`module` such that gradients are averaged over the team; the parameters stay its own."""
        if self.size == 1:
            return module
        if self.device.type == "cuda":
            module = nn.SyncBatchNorm.convert_sync_batchnorm(module)
        parallel = nn.parallel.DistributedDataParallel
        known = inspect.signature(parallel).parameters
        # Statistics are averaged once a pass. From 2.14 on torch has another name for leaving them alone.
        unsynced = "forward_sync_buffers" if "forward_sync_buffers" in known else "broadcast_buffers"
        return parallel(module, **{unsynced: False})  # type: ignore[arg-type]

    def any(self, flag: bool) -> bool:
        """Whether any process says so; all learn the same."""
        return flag if self.size == 1 else self._sum(torch.tensor([float(flag)])).item() > 0

    def total(self, *values: float) -> list[float]:
        """Each value, added up over the team."""
        return (
            list(values) if self.size == 1 else self._sum(torch.tensor(values, dtype=torch.float64)).tolist()
        )

    def average_statistics(self, module: nn.Module) -> None:
        """Have all processes hold the mean of their running statistics."""
        if self.size > 1:
            for statistic in module.buffers():
                if statistic.is_floating_point():
                    statistic.copy_(self._sum(statistic) / self.size)

    def broadcast(self, value: T) -> T:
        """The first process's `value`, to all."""
        if self.size == 1:
            return value
        held = [value]
        distributed.broadcast_object_list(held, src=0)
        return held[0]

    @staticmethod
    def _sum(values: torch.Tensor) -> torch.Tensor:
        summed = values.clone()
        distributed.all_reduce(summed)
        return summed


ALONE = Team()


@contextmanager
def joined() -> Iterator[Team]:
    """The team that torchrun made of this process and others; without it, a team of one."""
    size, rank = int(os.environ.get("WORLD_SIZE", 1)), int(os.environ.get("RANK", 0))
    device = training_device()
    if size == 1:
        yield Team(device=device)
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
    # This module keeps the group that is the default one as it is imported, and wrapping imports it. A group
    # that is kept has threads beyond its end, and such a thread can abort the process as Python shuts down.
    importlib.import_module("torch.distributed.nn.functional")
    distributed.init_process_group(
        "cuda:nccl,cpu:gloo" if device.type == "cuda" else "gloo", timeout=_PATIENCE
    )
    try:
        yield Team(rank, size, device)
    finally:
        gc.collect()  # wrapped modules, which keep the group as well
        distributed.destroy_process_group()


def training_device() -> torch.device:
    """The GPU of this process where there is one, else the processor."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)) % torch.cuda.device_count())
