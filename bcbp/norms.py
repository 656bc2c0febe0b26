"""Batch norms whose statistics are measured again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn

NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


def keeps_statistics(child: nn.Module) -> bool:
    """Whether `child` is a batch norm with statistics to measure."""
    return isinstance(child, NORMS) and child.track_running_stats


@contextmanager
def re_estimating(norms: Iterable[nn.Module]) -> Iterator[None]:
    """While entered, batches that pass through `norms` become their statistics, each weighing the same.

    Afterwards they are in eval mode.
    """
    layers: list[Any] = list(norms)
    momenta = [norm.momentum for norm in layers]
    for norm in layers:
        norm.reset_running_stats()
        norm.momentum = None  # average over all batches
        norm.train()
    yield
    for norm, momentum in zip(layers, momenta, strict=True):
        norm.momentum = momentum
        norm.eval()
