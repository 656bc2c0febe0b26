"""Sentences of the reports in HTML that no page says."""

from __future__ import annotations

SPEEDS = (
    "The number is the time of the best dense layer / the time of the sparse one, with its 95 % bootstrap"
    " interval. *Sparse wins* where the whole interval is above 1, *sparse loses* where it is below."
)
DENSE_LAYER = (
    "The fastest of all measured ways to run the unpruned layer, our own engine with nothing removed among "
    "them, found anew in every session."
)
BREAK_EVEN = (
    "**Our definition**: the smallest measured ratio from which on sparse beats the best dense layer, by "
    "verdict and up to the highest ratio measured. Nothing is interpolated."
)
COUNTED_ONCE = "Each distinct layer of the passport counts once: it does not know how often a model has it."
COUNTED = "Each distinct layer counts as often as the model has it."

LOSSES = "Accuracy lost when one layer alone is pruned"
LOSSES_ALT = "Layer by ratio: points of accuracy lost when that layer alone is pruned"
LOSSES_NOTE = (
    "▼ clearly loses · ≈ cannot tell · ▲ clearly gains · ✕ was not pruned · – not measured. The number is"
    " the accuracy lost in percentage points."
)
LOSSES_INTERVAL = (
    "Dense and pruned answer the same images; the 95 % interval is that of the paired difference (Agresti"
    " and Min 2005). It is clear where the interval leaves out 0."
)
NOT_ROBUST = "*Not measured* is not robust. Losses of single layers need not add up when many are pruned."
NO_CONDITIONS = "When and where it was measured was not kept"

DIFFERENCES = "What differs"
NO_DIFFERENCES = "The runs were asked the same, of the same network on the same device."
RUNS_NOTE = (
    "A colour a run, a marker a method. Speed is against the best dense **of the same run**, so it can be"
    " read across runs even where their times cannot; bars are 95 % intervals. Up and to the right is "
    "better."
)
RUNS_ALT = "Accuracy over speed of every method, a colour a run"
RATIOS_NOTE = (
    "A colour a run, a marker a method; bars are 95 % intervals. No batch size was timed in all runs, so "
    "nothing is said of speed."
)
RATIOS_ALT = "Accuracy over the share removed of every method, a colour a run"


def measured_by(images: int, calibration: int) -> str:
    """
    >>> measured_by(1000, 500)[:68]
    'The layer is pruned, the batch norms behind it are measured again on'
    """
    return (
        f"The layer is pruned, the batch norms behind it are measured again on {calibration:,} training "
        f"images, and {images:,} validation images are answered; test images are never looked at."
    )


def timed_in(rounds: int, device: str, dtype: str) -> str:
    """
    >>> timed_in(15, "Test processor", "float32")[:60]
    'Medians of 15 rounds on Test processor in float32. In every '
    """
    return (
        f"Medians of {rounds} rounds on {device} in {dtype}. In every round sparse and dense run once each, "
        "in an order shuffled anew, so that a slow moment meets both."
    )


def times_apart(names: str) -> str:
    """
    >>> times_apart("device, threads")
    'Their times may not be compared; not the same: device, threads. Each speed is against its own dense.'
    """
    return f"Their times may not be compared; not the same: {names}. Each speed is against its own dense."


def accuracies_apart(names: str) -> str:
    """
    >>> accuracies_apart("test images")
    'Their accuracies may not be compared; not the same: test images.'
    """
    return f"Their accuracies may not be compared; not the same: {names}."
