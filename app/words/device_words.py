"""Sentences of the Device page."""

from __future__ import annotations

from collections.abc import Sequence

from app.words.formats import NOT_MEASURED, moment, ratio_percent

MAP_ALT = "Layer by ratio: where sparse beats the best dense on this device"
MAP_NOTE = (
    "▲ sparse wins · ▼ sparse loses · ≈ cannot tell · ✕ the engine cannot run it · – not measured. "
    "The number is the time of the best dense layer / the time of the sparse one."
)
LAYER_NAMES = (
    "Layers are named kernel/stride, channels in-out, @ input plane; ×3 means that the model has three of it."
)
MEASURE_NOTE = "Minutes for a small model, longer for large batches. What is measured already is left out."
ELSEWHERE = "Other devices have been measured; their figures say nothing of this one:"
WHERE, MEASURE = "Where sparse wins", "Measure this machine"
THIS_MACHINE, THAT_MACHINE = "What this machine is", "What that machine is"


def recorded(device: str, date: str) -> str:
    """
    >>> recorded("Test processor", "2026-11-23T12:00:00+00:00")
    'Recorded on Test processor, 2026-11-23 12:00 UTC'
    """
    return f"Recorded on {device}, {moment(date)}"


def break_even(
    ratio: float | None, highest: float | None, *, declined: bool = False, unclear: bool = False
) -> str:
    """
    >>> break_even(0.5, 0.9), break_even(None, 0.9), break_even(None, None)
    ('from 50 %', 'none up to 90 %', 'not measured')
    >>> break_even(None, 0.9, unclear=True)
    'cannot tell up to 90 %'
    """
    if highest is None:
        return NOT_MEASURED
    if declined:
        return "cannot run"
    if unclear:
        return f"cannot tell up to {ratio_percent(highest)}"
    return f"none up to {ratio_percent(highest)}" if ratio is None else f"from {ratio_percent(ratio)}"


def break_evens(words: Sequence[tuple[str, int]]) -> str:
    """The words of every batch size as one phrase.

    >>> break_evens([("from 50 %", 1), ("none up to 90 %", 8)])
    'from 50 % at batch 1, none up to 90 % at batch 8'
    >>> break_evens([("from 50 %", 1), ("from 50 %", 8)])
    'from 50 %'
    """
    if len({word for word, _ in words}) == 1:
        return words[0][0]
    return ", ".join(f"{word} at batch {batch}" for word, batch in words) or NOT_MEASURED


def passport_label(origin: str, device: str, dates: tuple[str, str], commits: Sequence[str]) -> str:
    """
    >>> passport_label("recorded", "NVIDIA H200", ("2026-11-25T10", "2026-11-25T11"), ["0123456789ab"])
    'recorded: NVIDIA H200, 2026-11-25, commit 0123456'
    """
    days = " to ".join(dict.fromkeys(date[:10] for date in dates))
    at = ", ".join(commit[:7] for commit in commits) or "unknown"
    return f"{origin}: {device}, {days}, commit {at}"


def live_label(device: str) -> str:
    """
    >>> live_label("Xeon")
    'This machine (live): Xeon'
    """
    return f"This machine (live): {device}"


def other_tiles(tile: int, measured: Sequence[int]) -> str:
    """
    >>> other_tiles(32, [64])
    'Nothing is measured in tiles of 32 filters; it is in tiles of 64.'
    """
    return (
        f"Nothing is measured in tiles of {tile} filters; it is in tiles of {', '.join(map(str, measured))}."
    )


def measure_label(model: str, tile: int) -> str:
    return f"Measure the layers of {model} in tiles of {tile}"


def show_tile(tile: int) -> str:
    return f"Show tiles of {tile}"


def cannot_measure(reason: str) -> str:
    return f"Nothing can be measured here: {reason}."
