"""Every sentence and number format of the dashboard. No library but Python's own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

PAGE_TITLE = "BCBP: does pruning pay here?"
TAGLINE = (
    "**Does pruning make this network faster on this machine?** Remove weights in a pattern the hardware can skip, "
    "then measure speed and accuracy against dense at its best."
)
START = "Compare on this machine"
TUNE_FIRST = "Tune the ratios first"
USE_SAMPLE = "Back to the sample"
START_CAPTION = (
    "Prunes the model above by each method, tests it on real images and times it on this machine, in the background; "
    "Stop works at any time. The sample needs no download."
)
LOADING = "Loading PyTorch and the model (a few seconds, once)"

# Who said it: help texts keep the paper's statements and our definitions apart.
PAPER = "**Paper** (Park et al., AAAI 2023)"
OURS = "**Our definition**"

PAGE_HELP = {
    "model": "Choose a network and see which of its layers can be pruned, and why the others cannot.",
    "tune": "Set each layer's ratio and see at once what every tile keeps.",
    "masks": "The same layer pruned by each method, on the same axes.",
    "run": "Prune, recover, test and time every method on this machine, one after the other.",
    "compare": "What was measured: the verdict, the trade-off, every figure with its interval.",
}

HELP = {
    "model": "The network to prune. Only trained models with images at hand get an accuracy.",
    "tile": (
        f"Filters that share one choice of columns (V). {PAPER}: weights are removed as column vectors of a tile. "
        f"{OURS}: a tile is V consecutive filters over the whole layer."
    ),
    "ratio": (
        "Share of weights **removed** from the layers that are pruned; 50 % leaves half. "
        "The work saved in multiply-adds and the bytes stand beside every result."
    ),
    "method": (
        "The pattern in which weights are removed. It is shown first on Tune and Masks; "
        "Run measures several side by side."
    ),
    "allocation": (
        "How the ratio is spread over the layers. *Uniform*: the same everywhere. *Global threshold*: one threshold over "
        f"the scores of the network, so layers with weak weights give more. {PAPER}: step 1 prunes with a global view. "
        f"{OURS}: the exact formulas. *Explicit*: only layers whose ratio you set."
    ),
    "criterion": "How a column vector's importance is scored before any is removed.",
    "balance": (
        f"{PAPER}: every tile of a layer keeps the same number of columns, so no tile waits for another. "
        "Bars of one height are the proof."
    ),
    "wit": (
        f"Workload imbalance of tiles. {PAPER}: unequal tiles leave hardware idle. {OURS}: 1 − mean / max of kept columns, "
        "the idle share if all tiles of a layer run at once. Before balancing it sizes the problem, after it must be 0."
    ),
    "estimate": "Estimated from sizes alone, not measured. Run measures.",
    "lock": "A locked layer keeps its ratio when the presets or the ratio above change.",
    "exclude": "An excluded layer stays dense.",
    "engine": "What is expected to run the layer. The measured choice stands in the results of a run.",
    "batches": "Images run at once. Small batches measure waiting time, large ones throughput.",
    "methods": "Each is pruned at the same ratio, given the same recovery and timed in the same interleaved rounds.",
    "recovery": (
        "What is done after pruning, without training. *BatchNorm*: its statistics are measured again on images the model "
        "was trained on; test images are never used."
    ),
    "images": "Test images for the accuracy. Fewer is quicker and widens the interval.",
    "rounds": "Interleaved timing rounds per method. More narrows the interval.",
    "bound": (
        "Estimate, not measured: the multiply-adds that are left, if each took as long as before. "
        "Run measures what remains of it."
    ),
    "idle": (
        f"The largest WIT of a layer before balancing. {PAPER}: balance removes this waiting. {OURS}: how it is counted."
    ),
    "masks_methods": "Each gets the scope's ratio; the axes are the same, so masks can be read one above the other.",
    "magnitude": "Magnitude shades what is kept by its score: the brighter, the larger the column vector's L2 norm.",
    "viewer": "The canvas zooms and shows single columns. The chart shows equal bins and needs no drawing in the browser.",
    "window": "The whole layer is too wide to send bit by bit; off, it is shown as exact shares of equal bins.",
    "axes": (
        f"{OURS}: a layer is the matrix of its filters (rows) and its columns: input channel × kernel row × kernel column."
    ),
    "stop": "Stops within a second or two; what has been measured is kept.",
    "environment": "Times hold for this machine, with this load and these versions.",
    "speedup": "Best dense time / this method's time, paired by round; the interval is a 95 % bootstrap interval.",
}

UNEXPECTED = (
    "Something went wrong on this page; the details are in the terminal that runs the dashboard. "
    "Other pages still work, and runs on disk are safe."
)
UNTRAINED = "Random weights: speed and masks are real, accuracy would mean nothing and is not shown."
TABLE_NOTE = (
    "Double-click a ratio to change it; that locks the layer. Columns marked ○ are expectations, not measurements."
)
BEFORE_BALANCE = "Before balancing"
NO_METHOD = "Choose at least one method."
WINDOW_TOGGLE = "Show single columns"
NO_ROWS_YET = "Results appear here, one line a method, as soon as they are measured."
TO_COMPARE = "Read the verdict"
GO_RUN = "Go to Run"
TRADE_OFF_ALT = "Accuracy over latency of every method, with intervals"
TRADE_OFF_NOTE = (
    "Filled markers are measured. Bars: quartiles of the latency, 95 % interval of the accuracy. "
    "Up and to the left is better; the dotted line joins what no other method beats on both."
)
NO_ACCURACY = "No accuracy: the weights are random, or there are no images at hand."
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


def moment(created: str) -> str:
    """
    >>> moment("2026-11-23T17:48:11.123456+00:00")
    '2026-11-23 17:48 UTC'
    """
    return created[:16].replace("T", " ") + " UTC"


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


def forget_edits(locked: int, dense: int) -> str:
    """
    >>> forget_edits(2, 0), forget_edits(1, 1)
    ('Forget edits (2 locked)', 'Forget edits (1 locked, 1 dense)')
    """
    parts = [f"{count} {word}" for count, word in ((locked, "locked"), (dense, "dense")) if count]
    return f"Forget edits ({', '.join(parts)})"


def kept_columns(counts: Sequence[int], columns: int) -> str:
    """
    >>> kept_columns([288, 288], 576), kept_columns([250, 300], 576)
    ('every tile keeps 288 of 576 columns', 'tiles keep 250 to 300 of 576 columns')
    """
    low, high = min(counts), max(counts)
    if low == high:
        return f"every tile keeps {low} of {columns} columns"
    return f"tiles keep {low} to {high} of {columns} columns"


def layer_line(name: str, rows: int, columns: int, macs: int) -> str:
    return f"`{name}`: {rows} filters (down) × {columns} columns (across), {amount(macs)} multiply-adds an image"


def balance_note(before: float, after: float) -> str:
    """
    >>> balance_note(0.12, 0.0)
    'WIT before balancing 12.0 %, after 0.0 %'
    """
    return f"WIT before balancing {percent(before)}, after {percent(after)}"


def window_label(columns: int) -> str:
    return f"First of {columns} columns to show one by one"


def run_label(methods: int) -> str:
    """
    >>> run_label(4)
    'Run: dense and 4 methods'
    """
    return "Run: dense and 1 method" if methods == 1 else f"Run: dense and {methods} methods"


def run_state(state: str) -> str:
    return STATE_WORDS.get(state, state)


def progress_text(stage: str, message: str, seconds_left: float | None) -> str:
    """
    >>> progress_text("bcbp: accuracy", "", 8)
    'bcbp: accuracy · about 10 s left'
    """
    return " · ".join(part for part in (stage, message, time_left(seconds_left)) if part)


def batch_caption(batch: str, count: int) -> str:
    """
    >>> batch_caption("1", 2)
    'Batch 1; the other batch sizes stand on Compare.'
    """
    return f"Batch {batch}" + ("; the other batch sizes stand on Compare." if count > 1 else ".")


def run_caption(title: str, created: str, state: str, environment: Mapping[str, object]) -> str:
    """What was run, when, how it ended, where."""
    words = run_state(state)
    return "  \n".join(filter(None, (f"{title} · {moment(created)} · {words}", environment_line(environment))))
