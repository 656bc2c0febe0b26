"""Sentences of the comparison of several ratios, of equal accuracy, and of changed answers."""

from __future__ import annotations

from collections.abc import Sequence

from app.words.formats import capital, literal, ratio_percent

TRADE_OFF_ALT = "Accuracy over latency of every method, with intervals"
TRADE_OFF_NOTE = (
    "All of it is measured. Bars: quartiles of the latency, 95 % interval of the accuracy. "
    "Up and to the left is better; the dotted line joins what no other beats on both, and leaves "
    "out what the table calls *accuracy lost*. "
    "Faded is what another clearly beats on both, with bars that do not meet; the rest may be on the line."
)
NO_ACCURACY = "No accuracy: the weights are random, or there are no images at hand."

EXAMPLE = "What a run shows: the sample, recorded"
RECORDED = "Recorded elsewhere, not measured on this machine"

EQUAL_ACCURACY = "At equal accuracy"
LIMIT = "At most this many points below dense"
NO_EQUAL_ACCURACY = "Needs a method that is tested and timed."
ONE_RATIO = "Each method was measured at one ratio. Several, on the Run page, give more to choose from."

CHANGED = "Answers changed by pruning"
BY_CLASS, MOVES = "By class", "Most frequent changes"
KIND_TITLES = {"lost": "Lost", "gained": "Gained", "still wrong": "Still wrong"}
EVERY_CLASS = "all classes"
NO_IMAGES_OF_KIND = "No image is of this kind and class."
NO_ANSWERS = "Nothing to compare: this row is not tested."

HISTORY = "Runs on this machine"
IMPORTED = "Imported: measured elsewhere"
NO_SHARED_BATCH = "No batch size was timed in all of them, so no times are shown."

ONE, SEVERAL = "One ratio", "Several ratios"
RATIO_FOLLOWS = (
    "One ratio: this preset does not go by the ratio above, so several would give the same network again."
)
NO_RATIO = "Choose at least one ratio."


def at_ratio(title: str, ratio: float) -> str:
    """
    >>> at_ratio("BCBP", 0.5)
    'BCBP at 50 %'
    """
    return f"{title} at {ratio_percent(ratio)}"


def equal_ratio(ratio: float | None) -> str:
    """
    >>> equal_ratio(0.5), equal_ratio(None)
    ('At equal ratio: 50 % removed', 'At equal ratio')
    """
    return "At equal ratio" if ratio is None else f"At equal ratio: {ratio_percent(ratio)} removed"


def run_label(methods: int, ratios: int) -> str:
    """
    >>> run_label(4, 1), run_label(1, 3)
    ('Run: dense and 4 methods', 'Run: dense and 1 method at 3 ratios')
    """
    words = "Run: dense and 1 method" if methods == 1 else f"Run: dense and {methods} methods"
    return words if ratios == 1 else f"{words} at {ratios} ratios"


def other_results(batch: str | None, batches: int, ratio: float | None) -> str:
    """Which of several results a page shows that has room for one; `ratio` where there are several.

    >>> other_results("1", 2, 0.3)
    'Times at batch 1, recovery at 30 %; the others stand on Compare.'
    >>> other_results("1", 1, None), other_results(None, 0, None)
    ('Times at batch 1.', '')
    """
    parts = [f"times at batch {batch}"] if batch else []
    parts += [] if ratio is None else [f"recovery at {ratio_percent(ratio)}"]
    rest = "; the others stand on Compare." if ratio is not None or batches > 1 else "."
    return capital(", ".join(parts)) + rest if parts else ""


def changed(title: str, images: int, lost: int, gained: int, still_wrong: int) -> str:
    """
    >>> changed("BCBP", 10_000, 114, 40, 1)
    'BCBP against dense, on the same 10,000 images: 114 lost, 40 gained, 1 still wrong, in another way.'
    """
    return (
        f"{title} against dense, on the same {images:,} images: {lost} lost, {gained} gained, "
        f"{still_wrong} still wrong, in another way."
    )


def kind_label(kind: str, count: int) -> str:
    """
    >>> kind_label("lost", 1140)
    'Lost (1,140)'
    """
    return f"{KIND_TITLES[kind]} ({count:,})"


def picture(label: str, before: str, after: str, title: str) -> str:
    """What stands under an image; class names may come out of somebody's folders.

    >>> picture("Coat", "Coat", "Shirt", "BCBP")
    '**Coat**  \\ndense: Coat  \\nBCBP: Shirt'
    """
    lines = (f"**{literal(label)}**", f"dense: {literal(before)}", f"{literal(title)}: {literal(after)}")
    return "  \n".join(lines)


def shown(first: int, last: int, total: int) -> str:
    """
    >>> shown(25, 48, 114)
    'Images 25 to 48 of 114.'
    """
    return f"Images {first} to {last} of {total}."


RESUME, RUN_AGAIN = "Resume", "Run again"


def again(kept: str, *, unfinished: bool) -> tuple[str, str]:
    """What the button is called and what it does, by what a run has kept for the next of the same request.

    >>> again("", unfinished=True)
    ('Run again', 'Run again: all of it is done anew.')
    >>> again("Layers that were timed are not timed again.", unfinished=True)
    ('Resume', 'Resume: layers that were timed are not timed again.')
    """
    label = RESUME if unfinished and kept else RUN_AGAIN
    words = kept or "All of it is done anew."
    return label, f"{label}: {words[0].lower()}{words[1:]}"


def picked(title: str, tag: str) -> str:
    """What Name, Run again, Export and Delete are about.

    >>> picked("sample", "2026-11-23 17:48 UTC (a1b2c3)")
    'Picked: **sample**, 2026-11-23 17:48 UTC (a1b2c3)'
    """
    return f"Picked: **{title}**, {tag}"


def delete(title: str, tag: str, stays: str) -> str:
    """
    >>> delete("sample", "2026-11-23 17:48 UTC (a1b2c3)", "")
    'Deletes **sample**, 2026-11-23 17:48 UTC (a1b2c3), with its results. This cannot be undone.'
    >>> delete("sample", "now", "the layer times that it measured")
    'Deletes **sample**, now. Not deleted: the layer times that it measured. This cannot be undone.'
    """
    rest = f". Not deleted: {stays}" if stays else ", with its results"
    return f"Deletes **{title}**, {tag}{rest}. This cannot be undone."


def deleted(title: str, run_id: str) -> str:
    """
    >>> deleted("sample", "20261123-174811-a1b2c3")
    'Deleted sample (a1b2c3).'
    """
    return f"Deleted {title} ({short_id(run_id)})."


def renamed(name: str, run_id: str) -> str:
    """
    >>> renamed("mine", "20261123-174811-a1b2c3"), renamed("", "20261123-174811-a1b2c3")
    ('Run a1b2c3 is now called mine.', 'Run a1b2c3 has no name now.')
    """
    return f"Run {short_id(run_id)} {f'is now called {name}' if name else 'has no name now'}."


def short_id(run_id: str) -> str:
    """
    >>> short_id("20261123-174811-a1b2c3")
    'a1b2c3'
    """
    return run_id.rpartition("-")[2][:6]


def run_tag(when: str, run_id: str) -> str:
    """No two are the same.

    >>> run_tag("2026-11-23 17:48 UTC", "20261123-174811-a1b2c3")
    '2026-11-23 17:48 UTC (a1b2c3)'
    """
    return f"{when} ({short_id(run_id)})"


def differs(name: str, values: Sequence[str]) -> str:
    """
    >>> differs("threads", ["1", "2"])
    'The runs differ in threads: 1; 2. Each row is against the dense of its own run; read no further.'
    """
    return (
        f"The runs differ in {name}: {'; '.join(values)}. Each row is against the dense of its own run; "
        "read no further."
    )
