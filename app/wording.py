"""Every sentence and number format of the dashboard. No library but Python's own."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence

PAGE_TITLE = "BCBP: does pruning pay here?"
QUESTION = "Does pruning make a network faster on your machine?"
TAGLINE = (
    "Remove weights in a pattern that the hardware can skip, such as balanced columns (BCBP). "
    "Then measure speed and accuracy on this machine against the unpruned network at its best. "
    "The answer may be no."
)
START = "Compare on this machine"
TUNE_FIRST = "Tune the ratios first"
USE_SAMPLE = "Back to the sample"
LOADING = "Loading PyTorch (a few seconds, once)"
CALIBRATING = "Running calibration images through the model (seconds to a minute, once)"
PERMUTING = "Looking for filters that want the same columns (seconds, longer for large layers)"
OWN_ORDER = "filters in their own order"
LADDER = "Recovery, rung by rung"
LADDER_NOTE = (
    "Every rung gets the same images for every method, and nothing is trained. "
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
BY_WORK = "○ Speed by multiply-adds alone"
LOADING_MODEL = "Loading the model and scoring its layers"

UNEXPECTED = (
    "Something went wrong on this page; the details are in the terminal that runs the dashboard. "
    "Other pages still work, and runs on disk are safe."
)
UNTRAINED = "Random weights: speed and masks are real, accuracy would mean nothing and is not shown."
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
NO_METHOD = "Choose at least one method."
WINDOW_TOGGLE = "Show single columns"
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

LOG_IN, LOG_IN_FIRST = "Log in", "This server asks who you are before it shows anything."
NO_AUTHLIB = 'A login is set up, but Authlib is not installed here: `pip install "Authlib>=1.3.2"`.'
NOT_YOUR_FILES = (
    "This needs a network, masks or images that are not yours to use here: upload them yourself, on the "
    "Model page or on Tune."
)
SOMEBODYS = "A run of somebody else"
NOT_YOURS = "Somebody else's, or started from another browser: it can be stopped or deleted only from there."
OWN_NETWORK = "Use your own network: upload weights, or name an architecture"
UPLOAD_NOTE = (
    "Nothing in the file is executed: only its tensors are read, in a process of its own, and kept on this "
    "machine."
)
READING = "Reading the file"
OWN_IMAGES = "Test it on your own images: upload a zip of them"
IMAGES_NOTE = (
    "Only pictures are unpacked, into a folder of their own on this machine. They take the place of images "
    "that the network comes with."
)
READING_IMAGES = "Unpacking the pictures and reading each of them once"
NO_OWN_IMAGES = "no images of your own"
_CLASSES_SHOWN = 12
FETCHING = "Downloading the weights"
HEAD_RANDOM = "without a head that fits"
TENSORS_ALT = "Tensors of the file"

NOT_MEASURED = "not measured"
TO_DEVICE = "Measure this machine"
SENSITIVITY = "Sensitivity"
ALONE = "Accuracy lost when this layer alone is pruned:"
CHOICES = "Why each layer"
SCAN_NOTE = (
    "Prunes one layer at a time and counts what that costs on 1,000 validation images; never on test images. "
    "Minutes on a small machine, longer for large models. What is measured is kept, and not measured again."
)
NO_SCAN = "Needs a trained model with images at hand: without an accuracy there is none to lose."
FORECAST_NOTE = (
    "○ is an estimate: the sum of the layers, each timed alone here; what lies between is not in it. "
    "Run measures the whole network, and Compare shows both."
)
MAP_ALT = "Layer by ratio: where sparse beats the best dense on this device"
MAP_NOTE = (
    "▲ sparse wins · ▼ sparse loses · ≈ cannot tell · ✕ the engine cannot run it · – not measured. "
    "The number is the time of the best dense layer / the time of the sparse one."
)
LAYER_NAMES = (
    "Layers are named kernel/stride, channels in-out, @ input plane; ×3 means that the model has three of it."
)
MEASURE_NOTE = "Minutes for a small model, longer for large batches. What is measured already is left out."
WHERE, MEASURE = "Where sparse wins", "Measure this machine"
THIS_MACHINE, THAT_MACHINE = "What this machine is", "What that machine is"

STATE_WORDS = {
    "queued": "Waiting",
    "running": "Running",
    "done": "Done",
    "stopped": "Stopped, what was measured until then is kept",
    "failed": "Failed, what was measured until then is kept",
    "interrupted": "Interrupted, the process ended early; what was measured is kept",
}


def capital(words: str) -> str:
    """
    >>> capital("column"), capital("BCBP")
    ('Column', 'BCBP')
    """
    return words[:1].upper() + words[1:]


def percent(share: float, digits: int = 1) -> str:
    """
    >>> percent(0.4567)
    '45.7 %'
    """
    return f"{100 * share:.{digits}f} %"


def ratio_percent(ratio: float) -> str:
    """
    >>> ratio_percent(0.5), ratio_percent(0.505)
    ('50 %', '50.5 %')
    """
    return f"{100 * ratio:.4g} %"


def amount(number: float) -> str:
    """
    >>> amount(1_822_177), amount(57_802_752), amount(640)
    ('1.82 M', '57.8 M', '640')
    """
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= limit:
            return f"{number / limit:.3g} {unit}"
    return f"{number:.0f}"


def milliseconds(value: float) -> str:
    """
    >>> milliseconds(0.4567), milliseconds(123.4)
    ('0.457 ms', '123 ms')
    """
    return f"{value:.3g} ms" if value < 1000 else f"{value:.0f} ms"


def times(value: float) -> str:
    """
    >>> times(1.834)
    '1.83×'
    """
    return f"{value:.2f}×"


def points(difference: float) -> str:
    """A difference of two shares in percentage points.

    >>> points(-0.0083), points(0.0)
    ('−0.83', '±0.00')
    """
    number = 100 * difference
    sign = "±" if abs(number) < 0.005 else "+" if number > 0 else "−"
    return f"{sign}{abs(number):.2f}"


def lost_points(share: float) -> str:
    """
    >>> lost_points(0.0083), lost_points(-0.0012)
    ('0.83', '−0.12')
    """
    return f"{100 * share:.2f}".replace("-", "−")


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


def seconds(value: float) -> str:
    """
    >>> seconds(0.04), seconds(3.14), seconds(75.2)
    ('0.0 s', '3.1 s', '75 s')
    """
    return f"{value:.1f} s" if value < 60 else f"{value:.0f} s"


def time_left(seconds: float | None) -> str:
    """
    >>> time_left(None), time_left(8), time_left(200)
    ('estimating the time left', 'about 10 s left', 'about 3 min left')
    """
    if seconds is None:
        return "estimating the time left"
    if seconds < 90:
        return f"about {max(5, 5 * round(seconds / 5))} s left"
    return f"about {round(seconds / 60)} min left"


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
        environment.get("cpu"),
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


def bad_link(name: str, value: str, used: str) -> str:
    """
    >>> bad_link("tile", "5", "32")
    'The link asks for tile = 5, which does not exist here. Showing 32 instead.'
    """
    shown = value if len(value) <= 40 else value[:37] + "..."
    return f"The link asks for {name} = {shown}, which does not exist here. Showing {used} instead."


def interval(bounds: tuple[float, float], form: Callable[[float], str]) -> str:
    """
    >>> interval((1.79, 1.88), times)
    '1.79× to 1.88×'
    """
    return f"{form(bounds[0])} to {form(bounds[1])}"


def self_check(bounds: str) -> str:
    """
    >>> self_check("0.98× to 1.02×")
    'clock check: 0.98× to 1.02×'
    """
    return f"clock check: {bounds}"


def moment(created: str) -> str:
    """
    >>> moment("2026-11-23T17:48:11.123456+00:00")
    '2026-11-23 17:48 UTC'
    """
    return created[:16].replace("T", " ") + " UTC"


def recorded(device: str, date: str) -> str:
    """
    >>> recorded("Test processor", "2026-11-23T12:00:00+00:00")
    'Recorded on Test processor, 2026-11-23 12:00 UTC'
    """
    return f"Recorded on {device}, {moment(date)}"


def layer_kind(kind: str, kernel: tuple[int, int], stride: tuple[int, int]) -> str:
    """
    >>> layer_kind("conv", (3, 3), (2, 2)), layer_kind("linear", (1, 1), (1, 1))
    ('3 × 3 convolution, stride 2', 'Linear')
    """
    if kind == "linear":
        return "Linear"
    words = f"{kernel[0]} × {kernel[1]} convolution"
    return words if stride == (1, 1) else f"{words}, stride {stride[0]}"


def not_prunable(count: int) -> str:
    return f"Not prunable, and why ({count} {'layer' if count == 1 else 'layers'})"


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


def span(numbers: Sequence[int]) -> str:
    """
    >>> span([288, 288]), span([250, 300]), span([])
    ('288', '250 to 300', '')
    """
    if not numbers:
        return ""
    low, high = min(numbers), max(numbers)
    return str(low) if low == high else f"{low} to {high}"


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


def before_after(before: float, after: float) -> str:
    """
    >>> before_after(0.4477, 0.4744)
    '44.8 → 47.4 %'
    """
    return f"{100 * before:.1f} → {percent(after)}"


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


def hero_picture(layer: str) -> str:
    return (
        f"Layer `{layer}`: full colour is kept, grey is removed, pale is some of both where columns are "
        "narrower than a pixel. Rows are filters in tiles; equal bars at the right are equal work."
    )


def fallbacks(count: int, total: int, reason: str | None) -> str:
    """
    >>> fallbacks(2, 8, "dense was 1.2x faster here")
    '2 of 8 pruned layers ran dense (the first: dense was 1.2x faster here).'
    """
    why = f" (the first: {reason})" if reason else ""
    return f"{count} of {total} pruned layers ran dense{why}."


def start_caption(*, with_accuracy: bool) -> str:
    """What the first button does, for a model with or without an accuracy."""
    test = "tests it on real images and times it" if with_accuracy else "times it (no accuracy: see below)"
    return f"Prunes the model above by each method, {test}, in the background. Stop works at any time."


def literal(text: str) -> str:
    r"""Words out of a file that somebody else wrote, as Markdown that makes no picture and no colour of them.

    >>> print(literal("Xeon(R) ![x](y) :red[z]"))
    Xeon\(R\) \!\[x\]\(y\) \:red\[z\]
    """
    return re.sub(r"([!-+\--/:-@\[-`{-~])", r"\\\1", " ".join(text.split()))


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


def rate(value: float, unit: str) -> str:
    """
    >>> rate(4.61e11, "FLOP/s"), rate(2.13e10, "B/s")
    ('461 GFLOP/s', '21.3 GB/s')
    """
    for limit, prefix in ((1e12, "T"), (1e9, "G"), (1e6, "M")):
        if value >= limit:
            return f"{value / limit:.3g} {prefix}{unit}"
    return f"{value:.3g} {unit}"


def layer_count(name: str, count: int) -> str:
    """
    >>> layer_count("3x3 64-64 @56", 4), layer_count("linear 512-1000", 1)
    ('3x3 64-64 @56 ×4', 'linear 512-1000')
    """
    return f"{name} ×{count}" if count > 1 else name


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


def slider_range(least: float, most: float) -> tuple[float, float, float]:
    """Ends rounded up so that both can be met, and a step of about a fiftieth.

    >>> slider_range(0.61234, 1.83999)
    (0.6124, 1.84, 0.02)
    """
    digits = 5 - math.floor(math.log10(most)) - 1
    low, high = (math.ceil(end * 10**digits) / 10**digits for end in (least, most))
    return low, high, float(f"{max((high - low) / 50, 10.0**-digits):.1g}")


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


def predicted_beside(predicted: str, measured_ms: float, dense_ms: float) -> str:
    """
    >>> predicted_beside("○ 1 ms of 2 ms (2.00×) at batch 1", 1.5, 2.7)
    'Predicted ○ 1 ms of 2 ms (2.00×) at batch 1; measured ● 1.5 ms of 2.7 ms (1.80×).'
    """
    found = f"● {milliseconds(measured_ms)} of {milliseconds(dense_ms)} ({times(dense_ms / measured_ms)})"
    return f"Predicted {predicted}; measured {found}."


def total_loss(loss: float, bound: float, of: str) -> str:
    """A sum of layers' losses, of accuracy in points, and how low it could be where that is not certain.

    >>> total_loss(0.0123, 0.0123, "accuracy"), total_loss(0.31, 0.3, "importance")
    ('1.23 points', '31.0 % (at least 30.0 %)')
    """
    form = "{:.2f} points" if of == "accuracy" else "{:.1f} %"
    least = "" if bound >= loss else f" (at least {form.format(100 * bound)})"
    return form.format(100 * loss) + least


def losses_at(drops: Sequence[float | None]) -> str:
    """Points of accuracy lost, by rising ratio.

    >>> losses_at([0.001, 0.0345, None])
    '0.1 · 3.5 · –'
    """
    return " · ".join("–" if drop is None else f"{100 * drop:.1f}".replace("-", "−") for drop in drops)


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


def measure_label(model: str, tile: int) -> str:
    return f"Measure the layers of {model} in tiles of {tile}"


def show_tile(tile: int) -> str:
    return f"Show tiles of {tile}"


def cannot_measure(reason: str) -> str:
    return f"Nothing can be measured here: {reason}."


def file_line(name: str, kind: str, tensors: int, numbers: int) -> str:
    """
    >>> file_line("net.pt", "safetensors", 122, 11_700_000)
    '**net\\\\.pt** is safetensors: 122 tensors, 11.7 M numbers.'
    """
    count = "1 tensor" if tensors == 1 else f"{tensors:,} tensors"
    return f"**{literal(name)}** is {kind}: {count}, {amount(numbers)} numbers."


def images_line(name: str, pictures: int, classes: int, *, tested: int, others: int) -> str:
    """
    >>> print(images_line("cats", 1200, 3, tested=600, others=1))
    **cats**: 1,200 pictures in 3 classes, 600 of them to test on. 1 other file was left out.
    """
    kinds = "1 class" if classes == 1 else f"{classes:,} classes"
    line = f"**{literal(name)}**: {pictures:,} pictures in {kinds}, {tested:,} of them to test on."
    if not others:
        return line
    return f"{line} {others:,} other {'file was' if others == 1 else 'files were'} left out."


def class_order(classes: Sequence[str]) -> str:
    """
    >>> class_order(["cat", "dog"]).split(":")[0]
    'Class 0 is cat, 1 is dog'
    """
    shown = [f"{number} is {literal(name)}" for number, name in enumerate(classes[:_CLASSES_SHOWN])]
    if len(classes) > _CLASSES_SHOWN:
        shown += ["…", f"{len(classes) - 1} is {literal(classes[-1])}"]
    return (
        f"Class {', '.join(shown)}: the sorted order of the folders. Run says so where the network seems to "
        "number its classes otherwise."
    )


def images_in_use(images: str) -> str:
    """
    >>> images_in_use("cats-0123456789ab")
    'Images: `cats-0123456789ab`, uploaded on the Model page.'
    """
    return f"Images: `{images}`, uploaded on the Model page."


def prepared(words: str) -> str:
    """
    >>> prepared("shorter side resized to 256")
    'Images: shorter side resized to 256.'
    """
    return f"Images: {words}."


def recognised(name: str, share: float, classes: int | None) -> str:
    """
    >>> recognised("resnet18", 1.0, 10)
    'Recognised as **resnet18**: 100.0 % of the tensors fit, a head of 10 classes.'
    """
    head = f"a head of {classes:,} classes" if classes else HEAD_RANDOM
    return f"Recognised as **{name}**: {percent(share)} of the tensors fit, {head}."


def fit_label(name: str, share: float) -> str:
    """
    >>> fit_label("resnet18", 0.977)
    'resnet18 (97.7 % fit)'
    """
    return f"{name} ({percent(share)} fit)"


def use_as(name: str) -> str:
    return f"Use as {name}"


def fetch_label(megabytes: float) -> str:
    """
    >>> fetch_label(44.66)
    'Download its ImageNet weights (45 MB)'
    """
    return f"Download its ImageNet weights ({megabytes:.0f} MB)"
