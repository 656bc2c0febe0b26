"""The words of the Idea page and of the three doors: for people who have never pruned anything."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

TITLE = "Remove the same share everywhere, so that nobody waits"
LEAD = (
    "A network multiplies by millions of numbers. Many can go. But a processor works on several blocks at "
    "once, and the slowest block decides: numbers have to go **evenly**."
)
CUT = "1 · Cut the layer into tiles"
CUT_NOTE = (
    "One real layer of the bundled network: each row is a tile of {tile} filters, each column one input "
    "number that they all read. Coloured columns stay, pale ones are gone. Above, every tile loses the same "
    "number; below, each loses what looks weakest over all."
)
RUN = "2 · Run the tiles side by side"
RUN_NOTE = (
    "Each bar is one block's work: the columns it still multiplies. Hatched is waiting, if all blocks run at "
    "once."
)
BALANCED = "Balanced: all {tiles} blocks finish together"
UNBALANCED = "Unbalanced: {idle:.0%} of the time is waiting"
MEASURED = "What it brought, measured"
SPEED, SIZE = "Speed, dense is 1×", "Size, dense is 100 %"
REMOVED = "Numbers removed from the layers"
WORK = "columns left to multiply"
MASKS_ALT = "The layer's tiles, balanced and unbalanced: which columns are kept"
BLOCKS_ALT = "Work and waiting of every block"
TRY = "Try it live"
NONE_REMOVED = "none (the dense network)"
DOORS = "What brings you here?"
OTHER_DOOR = "Another way in"


def accuracy(dense: str) -> str:
    """
    >>> accuracy("93.5 %")
    'Accuracy, dense is 93.5 %'
    """
    return f"Accuracy, dense is {dense}"


def recorded(environment: Mapping[str, Any], *, batch: str, tested_on: str) -> str:
    """
    >>> recorded({"cpu": "A", "threads": 2, "date": "2026-11-25T10:00"}, batch="1", tested_on="9 images")
    'Recorded, not live: A, 2 threads, batch 1, accuracy on 9 images, 2026-11-25. Live figures: Try it live.'
    """
    return (
        f"Recorded, not live: {environment['cpu']}, {environment['threads']} threads, batch {batch}, "
        f"accuracy on {tested_on}, {environment['date'][:10]}. Live figures: {TRY}."
    )
