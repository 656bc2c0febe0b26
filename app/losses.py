"""What a row loses in accuracy, and when that is a no whatever the speed."""

from __future__ import annotations

from app.findings import Finding
from bcbp.equal_accuracy import Loss

MOST = 0.05  # the share of accuracy that a speed-up may cost at most


def loss_of(row: Finding) -> Loss | None:
    """The loss against dense on the same images; None where that is not tested (yet)."""
    if row.paired is None or row.accuracy is None:
        return None
    return Loss.paired(row.paired.gained, row.paired.lost, row.accuracy.total)


def loses_too_much(row: Finding) -> bool:
    """Whether the whole interval of the loss is beyond MOST."""
    loss = loss_of(row)
    return loss is not None and loss.interval[0] > MOST
