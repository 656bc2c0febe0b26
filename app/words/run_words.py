"""Sentences of runs: under way, ended, and what they found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from app.words.formats import milliseconds, percent, time_left, times
from kernels.device import processor

LADDER = "Recovery, rung by rung"
LADDER_NOTE = (
    "Every rung gets the same images for every method; but for fine-tuning, nothing is trained. "
    "✓ is the rung kept: the best on validation images, which are neither test nor calibration images."
)
CURVES = "Fine-tuning, epoch by epoch"
CURVES_NOTE = (
    "The best epoch on validation images is kept, and tested once. A stopped run keeps it too: the same run, "
    "started again, goes on behind the last epoch."
)
LOSS_ALT = "Training loss of every method over the epochs of fine-tuning"
VALIDATION_ALT = "Validation accuracy of every method over the epochs of fine-tuning"
LADDER_ALT = "Test accuracy of every method after each recovery, with intervals"
NO_METHOD = "Choose at least one method."
NO_ROWS_YET = "Results appear here, one line a method, as soon as they are measured."
TO_COMPARE = "Read the verdict"
GO_RUN = "Go to Run"
EXPORT_GONE = "The files of this export are no longer in the store. Prepare them again."
EXPORT_SIZES = (
    "Zeros take as much room as any number until they are compressed; packed, only kept weights and their "
    "index lists are stored."
)
NO_RUN = "Nothing measured yet. Press **Run** and watch the results arrive here."
NO_RUN_SELECTED = "This link names a run that is not stored on this machine."
STALE = "The scope above has changed since this run; the figures below belong to the run."
STATE_WORDS = {
    "queued": "Waiting",
    "running": "Running",
    "done": "Done",
    "stopped": "Stopped, what was measured until then is kept",
    "failed": "Failed, what was measured until then is kept",
    "interrupted": "Interrupted, the process ended early; what was measured is kept",
}


def paired(gained: int, lost: int, verdict: str, p_value: float) -> str:
    """
    >>> paired(40, 114, "worse", 0.001), paired(5149, 197, "better", 0.0)
    ('+40 −114, worse (p = 0.001)', '+5149 −197, better (p < 1e-99)')
    """
    told = f"= {p_value:.2g}" if p_value > 1e-99 else "< 1e-99"
    return f"+{gained} −{lost}, {verdict} (p {told})"


def so_far(rung: str) -> str:
    """
    >>> so_far("BatchNorm"), so_far("")
    ('so far: BatchNorm', '')
    """
    return f"so far: {rung}" if rung else ""


def queue_position(position: int) -> str:
    """
    >>> queue_position(0), queue_position(2)
    ('next in line', '2 runs ahead')
    """
    if position <= 0:
        return "next in line"
    return "1 run ahead" if position == 1 else f"{position} runs ahead"


def environment_line(environment: Mapping[str, object]) -> str:
    """Machine, threads, load and versions on one line; parts that are unknown are left out."""
    versions = environment.get("versions")
    torch_version = versions.get("torch") if isinstance(versions, dict) else None
    parts = [
        processor(environment),
        environment.get("gpu"),
        _labelled(environment.get("usable_cores"), "cores"),
        _labelled(environment.get("threads"), "threads"),
        f"load {environment['load']}" if environment.get("load") is not None else None,
        f"torch {torch_version}" if torch_version else None,
        str(environment["date"])[:16].replace("T", " ") + " UTC" if environment.get("date") else None,
    ]
    return " · ".join(str(part) for part in parts if part)


def _labelled(value: object, unit: str) -> str | None:
    return None if value is None else f"{value} {unit}"


def self_check(bounds: str) -> str:
    """
    >>> self_check("0.98× to 1.02×")
    'clock check: 0.98× to 1.02×'
    """
    return f"clock check: {bounds}"


def run_state(state: str) -> str:
    return STATE_WORDS.get(state, state)


def progress_text(stage: str, message: str, seconds_left: float | None) -> str:
    """
    >>> progress_text("bcbp: accuracy", "", 8)
    'bcbp: accuracy · about 10 s left'
    """
    return " · ".join(part for part in (stage, message, time_left(seconds_left)) if part)


def device_title(device: str) -> str:
    """
    >>> device_title("cuda")
    'GPU'
    """
    return {"cuda": "GPU", "cpu": "CPU"}[device]


def timed_on(device: str, precision: str) -> str:
    """
    >>> timed_on("cuda", "fp16"), timed_on("cpu", "fp32")
    ('timed on the GPU in fp16', 'timed on the CPU in fp32')
    """
    return f"timed on the {device_title(device)} in {precision}"


def run_caption(words: Sequence[str], environment: Mapping[str, object]) -> str:
    """What was run, when, how it ended, on what; then the machine."""
    return "  \n".join(filter(None, (" · ".join(words), environment_line(environment))))


def fallbacks(count: int, total: int, reason: str | None) -> str:
    """
    >>> fallbacks(2, 8, "dense was 1.2x faster here")
    '2 of 8 pruned layers ran dense (the first: dense was 1.2x faster here).'
    """
    why = f" (the first: {reason})" if reason else ""
    return f"{count} of {total} pruned layers ran dense{why}."


def predicted(ms: float, dense_ms: float, batch: int) -> str:
    """
    >>> predicted(1.234, 2.3, 8)
    '○ 1.23 ms of 2.3 ms (1.86×) at batch 8'
    """
    return f"○ {milliseconds(ms)} of {milliseconds(dense_ms)} ({times(dense_ms / ms)}) at batch {batch}"


def limit(ms: float, reached: float) -> str:
    """
    >>> limit(0.4567, 0.431)
    '0.457 ms, 43 % reached'
    """
    return f"{milliseconds(ms)}, {percent(reached, 0)} reached"


def limit_beside(title: str, ms: float, reached: float, rates: str) -> str:
    """
    >>> limit_beside("BCBP", 0.4567, 0.431, "461 GFLOP/s")
    'A perfect kernel on this device (461 GFLOP/s) would run BCBP in 0.457 ms; this one reaches 43 %.'
    """
    distance = f"this one reaches {percent(reached, 0)}."
    if reached > 1:
        distance = "this one took less: maps stay in a cache, or the rates were measured while busy."
    return f"A perfect kernel on this device ({rates}) would run {title} in {milliseconds(ms)}; {distance}"


def predicted_beside(predicted: str, measured_ms: float, dense_ms: float, speedup: float) -> str:
    """`speedup` is that of the rounds, of which the two medians need not be the quotient.

    >>> predicted_beside("○ 1 ms of 2 ms (2.00×) at batch 1", 1.5, 2.7, 1.81)
    'Predicted ○ 1 ms of 2 ms (2.00×) at batch 1; measured ● 1.5 ms of 2.7 ms (1.81×).'
    """
    found = f"● {milliseconds(measured_ms)} of {milliseconds(dense_ms)} ({times(speedup)})"
    return f"Predicted {predicted}; measured {found}."
