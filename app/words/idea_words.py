"""The words of the Idea page and of the three doors: for people who have never pruned anything."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kernels.device import processor

TITLE = "Remove the same share everywhere, so that nobody waits"
LEAD = (
    "A network multiplies by millions of numbers. Many can go. Where all blocks of the work run at once, as "
    "on a GPU, the slowest decides: numbers have to go **evenly**."
)
CUT = "1 · Cut the layer into tiles"
CUT_NOTE = (
    "One real layer of the bundled network: each row is a tile of {tile} filters, each column one input "
    "number that they all read. Colour stays, grey is gone, pale is some of both. Above, every tile loses "
    "the same number; below, each loses what looks weakest over all."
)
RUN = "2 · Run the tiles side by side"
RUN_NOTE = (
    "Each bar is one block's work: the columns it still multiplies. Hatched is waiting, if all blocks run at "
    "once, as on a GPU with room for them. Counted from the masks, not measured. On a processor of few "
    "cores, whichever is free takes the next block, and little is waited for."
)
BALANCED = "Balanced: all {tiles} blocks would finish together"
UNBALANCED = "Unbalanced: {idle:.0%} of the time would be waiting"
MEASURED = "What it brought, measured"
SPEED, SIZE = "Speed, dense is 1×", "Size, dense is 100 %"
REMOVED = "Numbers removed from the layers"
WORK = "columns left to multiply"
MASKS_ALT = "The layer's tiles, balanced and unbalanced: which columns are kept"
BLOCKS_ALT = "Work and waiting of every block"
TRY = "Try it live"
NONE_REMOVED = "none (the dense network)"
DOORS = "What brings you here?"


def accuracy(dense: str) -> str:
    """
    >>> accuracy("93.5 %")
    'Accuracy, dense is 93.5 %'
    """
    return f"Accuracy, dense is {dense}"


Speed = tuple[str, tuple[float, float]]  # in words, and its interval


def balance_here(balanced: Speed, unbalanced: Speed) -> str:
    """What balance alone brought in the recording: columns with it (BCBP) beside columns without (Column).

    >>> balance_here(("2.15×", (2.1, 2.2)), ("2.13×", (2.0, 2.2))).split(": ")[0]
    'Balanced 2.15×, unbalanced (Column) 2.13×, no clear difference'
    >>> balance_here(("2.15×", (2.1, 2.2)), ("1.9×", (1.8, 2.0))).split(": ")[0]
    'Balanced 2.15×, unbalanced (Column) 1.9×, balance is faster'
    """
    (words, (low, high)), (other, (least, most)) = balanced, unbalanced
    found = (
        "balance is faster" if low > most else "balance is slower" if high < least else "no clear difference"
    )
    return (
        f"Balanced {words}, unbalanced (Column) {other}, {found}: this was recorded on a processor, whose "
        "few cores take block after block. Balance is meant for devices that run all blocks at once."
    )


def recorded(environment: Mapping[str, Any], *, batch: str, tested_on: str) -> str:
    """
    >>> recorded({"cpu": "A", "threads": 2, "date": "2026-11-25T10:00"}, batch="1", tested_on="9 images")
    'Recorded, not live: A, 2 threads, batch 1, accuracy on 9 images, 2026-11-25. Live figures: Try it live.'
    """
    return (
        f"Recorded, not live: {processor(environment)}, {environment['threads']} threads, batch {batch}, "
        f"accuracy on {tested_on}, {environment['date'][:10]}. Live figures: {TRY}."
    )
