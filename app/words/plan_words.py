"""Sentences of plans and masks: the Tune and Masks pages."""

from __future__ import annotations

from collections.abc import Sequence

from app.words.formats import amount, literal, milliseconds, percent, ratio_percent

CALIBRATING = "Running calibration images through the model (seconds to a minute, once)"
PERMUTING = "Looking for filters that want the same columns (seconds, longer for large layers)"
OWN_ORDER = "filters in their own order"
BY_WORK = "○ Speed by work"
TABLE_NOTE = (
    "Double-click a ratio to change it; that locks the layer. "
    "Columns marked ○ are expectations, not measurements."
)
MASKS_TABLE_NOTE = (
    "As the file has it; to change a ratio, use the settings again. "
    "Columns marked ○ are expectations, not measurements."
)
MASKS_FILE, ANOTHER_MASKS_FILE = "Masks from a file", "Masks from another file"
USE_SETTINGS, FORGET_MASKS = "Use the settings again", "Forget these masks"
THE_SETTINGS = "the settings"
NOTHING_SET = "No layer has a ratio yet: set one in the table."
LOCKED = "locked on Tune"
BEFORE_BALANCE = "Before balancing"
WINDOW_TOGGLE = "Show single columns"
TO_DEVICE = "Measure this machine"
SENSITIVITY = "Sensitivity"
ALONE = "Accuracy lost when this layer alone is pruned:"
CHOICES = "Why each layer"
SCAN_NOTE = (
    "Prunes one layer at a time and counts what that costs on up to 1,000 validation images; never on test "
    "images. Minutes on a small machine, longer for large models. What is measured is kept, and not measured "
    "again."
)
NO_SCAN = "Needs a trained model with images at hand: without an accuracy there is none to lose."
FORECAST_NOTE = (
    "○ is an estimate: the sum of the layers, each timed alone here; what lies between is not in it. "
    "Run measures the whole network, and Compare shows both."
)


def masks_from(name: str, method: str) -> str:
    """
    >>> masks_from("mine", "BCBP")
    ':material/attach_file: **Masks from the file mine** for BCBP; other methods at its settings.'
    """
    return (
        f":material/attach_file: **Masks from the file {literal(name)}** for {method}; other methods at its "
        "settings."
    )


def forget_edits(locked: int, dense: int) -> str:
    """
    >>> forget_edits(2, 0), forget_edits(1, 1)
    ('Forget edits (2 locked)', 'Forget edits (1 locked, 1 dense)')
    """
    parts = [f"{count} {word}" for count, word in ((locked, "locked"), (dense, "dense")) if count]
    return f"Forget edits ({', '.join(parts)})"


def layer_line(name: str, rows: int, columns: int, macs: int) -> str:
    return (
        f"`{name}`: {rows} filters (down) × {columns} columns (across), {amount(macs)} multiply-adds an image"
    )


def own_ratio(title: str, target: float, removed: float, by: str) -> str:
    """
    >>> own_ratio("BCBP", 0.8, 0.7986, "locked on Tune")
    'Ratio of this layer: 80 % (locked on Tune); BCBP removes 79.9 %.'
    """
    return f"Ratio of this layer: {ratio_percent(target)} ({by}); {title} removes {percent(removed)}."


def balance_note(before: float, after: float) -> str:
    """
    >>> balance_note(0.12, 0.0)
    'WIT before balancing 12.0 %, after 0.0 %'
    """
    return f"WIT before balancing {percent(before)}, after {percent(after)}"


def importance_kept(before: float, after: float) -> str:
    """
    >>> importance_kept(0.4477, 0.4744), importance_kept(0.5, 0.5)
    ('Importance kept: 44.8 % with filters in their own order, 47.4 % permuted', \
'Importance kept: 50.0 %; no other order of the filters was found that keeps more')
    """
    if after == before:
        return f"Importance kept: {percent(after)}; no other order of the filters was found that keeps more"
    return f"Importance kept: {percent(before)} with {OWN_ORDER}, {percent(after)} permuted"


def window_label(columns: int) -> str:
    return f"First of {columns} columns to show one by one"


def no_times(model: str, tile: int) -> str:
    return (
        f"**No layer times yet.** A latency target chooses among measured times: first measure the layers of "
        f"{model} in tiles of {tile} filters on this machine. It is one button on the Device page."
    )


def no_gain(dense_ms: float) -> str:
    return (
        f"At no measured ratio does sparse clearly win, so all layers stay dense: {milliseconds(dense_ms)}. "
        "Another tile or batch size may do better."
    )


def total_loss(loss: float, bound: float, of: str) -> str:
    """A sum of layers' losses, of accuracy in points, and how low it could be where that is not certain.

    >>> total_loss(0.0123, 0.0123, "accuracy"), total_loss(0.31, 0.3, "importance")
    ('1.23 points', '31.0 % (at least 30.0 %)')
    """
    form = "{:.2f} points" if of == "accuracy" else "{:.1f} %"
    least = "" if bound >= loss else f" (at least {form.format(100 * bound)})"
    return form.format(100 * loss) + least


def sensitivity_label(ratios: Sequence[float]) -> str:
    """
    >>> sensitivity_label([0.25, 0.9])
    'Points lost at 25 · 90 %'
    """
    return f"Points lost at {' · '.join(f'{100 * ratio:.4g}' for ratio in ratios)} %"


def drop(ratio: float, lost: float, bounds: tuple[float, float]) -> str:
    """
    >>> drop(0.5, 0.0345, (0.02, 0.05))
    '50 % removed: 3.45 points lost (2.00 to 5.00)'
    """
    low, high = (f"{100 * end:.2f}" for end in bounds)
    words = f"{ratio_percent(ratio)} removed: {100 * lost:.2f} points lost ({low} to {high})"
    return words.replace("-", "−")


def scan_label(method: str, tile: int) -> str:
    return f"Measure sensitivity ({method}, tile {tile})"
