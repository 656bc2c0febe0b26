"""What a report says, in the order in which people ask: is it better, by how much, at what cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.words import compare_words, formats, plan_words, run_words
from bcbp.patterns import PATTERNS
from bcbp.rows import key_of
from bcbp.spec import DENSE

NO_CLAIM = "no speed claim"


@dataclass(frozen=True)
class Accuracy:
    """Correct answers of `total` with the 95 % interval of their share."""

    correct: int
    total: int
    interval: tuple[float, float]

    @property
    def share(self) -> float:
        return self.correct / self.total


@dataclass(frozen=True)
class Paired:
    """McNemar's test against dense on the same images: answers gained, lost, and what follows."""

    gained: int
    lost: int
    p_value: float
    verdict: str


@dataclass(frozen=True)
class Rung:
    """One recovery of a method: what it reaches, against the rung below, in how many seconds.

    `kept` marks the one that the method's accuracy is of, once all are tested.
    """

    title: str
    accuracy: Accuracy
    against_below: Paired | None
    seconds: float
    kept: bool


@dataclass(frozen=True)
class Epoch:
    """An epoch of fine-tuning: mean training loss, share of validation images that are right."""

    loss: float
    validation: float


@dataclass(frozen=True)
class Latency:
    """Milliseconds per batch: median and quartiles over `rounds`; `noisy` if the clock was unsteady.

    `speed_claim` is False where the time says nothing about pruning. `limit` is the least time that the
    device's measured rates allow, `reached` its share of the median; None in runs of old.
    """

    median: float
    quartiles: tuple[float, float]
    rounds: int
    engine: str
    noisy: bool
    speed_claim: bool
    limit: float | None = None
    reached: float | None = None


@dataclass(frozen=True)
class Speedup:
    """Best dense time over this time, with its interval and the verdict on it."""

    value: float
    interval: tuple[float, float]
    verdict: str


@dataclass(frozen=True)
class Finding:
    """One row of a report at one batch size; what is not measured (yet) is None.

    `so_far` is the highest recovery tested while others are to come; what follows from the last is None then.
    `key` names the row; so does `title`, with the ratio where the report has several. `layers` are the
    report's, with "engine" and "engine_reason" at that batch size.
    """

    key: str
    method: str
    title: str
    ratio: float
    sparsity: float
    macs: int
    parameters: int
    accuracy: Accuracy | None
    paired: Paired | None
    ladder: tuple[Rung, ...]
    curve: tuple[Epoch, ...]
    latency: Latency | None
    speedup: Speedup | None
    wit_before: float | None
    wit_after: float | None
    layers: tuple[Mapping[str, Any], ...]
    remarks: tuple[str, ...]
    predicted: str = ""
    so_far: str = ""


def batches(report: Mapping[str, Any]) -> tuple[str, ...]:
    """Batch sizes with any latency, ascending, as the report writes them."""
    found = {batch for row in report.get("rows", ()) for batch in row.get("latency_ms") or {}}
    return tuple(sorted(found, key=int))


def answers(report: Mapping[str, Any]) -> bool:
    """Whether there is an answer in it: it is finished, or some batch size is timed."""
    return bool(report.get("finished") or batches(report))


def findings(
    report: Mapping[str, Any], *, batch: str | None, titles: Mapping[str, str]
) -> tuple[Finding, ...]:
    """The rows of a (possibly partial) report at one batch size, in the report's order."""
    several = len(ratios(report)) > 1
    return tuple(
        _finding(row, batch, titles, several, _so_far(report, row)) for row in report.get("rows", ())
    )


def _so_far(report: Mapping[str, Any], row: Mapping[str, Any]) -> str:
    """The highest rung of a ladder that ends below the recovery asked for; empty where it is climbed."""
    ladder = row.get("ladder")
    if report.get("finished", True) or not ladder:
        return ""
    return "" if ladder[-1]["name"] == report["request"]["spec"]["recovery"] else str(ladder[-1]["title"])


# They have a row of their own whatever ratios were asked.
_ANY_RATIO = {DENSE, *(name for name, pattern in PATTERNS.items() if pattern.fixed_ratio is not None)}


def ratios(report: Mapping[str, Any]) -> tuple[float, ...]:
    """The ratios that were asked of every method; runs of earlier versions had one."""
    request = report.get("request") or {}
    return tuple(request.get("ratios") or (request["spec"]["ratio"],)) if request else ()


def at_ratio(rows: Sequence[Finding], ratio: float | None) -> tuple[Finding, ...]:
    """Dense and every method at one ratio, with those that know but one; all rows where there is none."""
    return tuple(row for row in rows if ratio in (None, row.ratio) or row.method in _ANY_RATIO)


def newest_ratio(rows: Sequence[Finding]) -> float | None:
    """The last ratio at which a rung is tested, else the first; None without pruned rows."""
    pruned = [row for row in rows if row.method != DENSE]
    climbed = [row.ratio for row in pruned if row.ladder]
    return (climbed or [row.ratio for row in pruned[:1]])[-1] if pruned else None


def _title(row: Mapping[str, Any], titles: Mapping[str, str], several: bool) -> str:
    title = titles.get(row["method"], row["method"])
    return compare_words.at_ratio(title, row["asked_ratio"]) if several and row["method"] != DENSE else title


def _finding(
    row: Mapping[str, Any], batch: str | None, titles: Mapping[str, str], several: bool, so_far: str
) -> Finding:
    accuracy, paired = row.get("accuracy"), None if so_far else row.get("accuracy_vs_dense")
    latency, speedup = (row.get("latency_ms") or {}).get(batch), (row.get("speedup") or {}).get(batch)
    return Finding(
        key=key_of(row),
        method=row["method"],
        title=_title(row, titles, several),
        ratio=row.get("asked_ratio") or 0.0,
        sparsity=row.get("sparsity") or 0.0,
        macs=row.get("macs") or 0,
        parameters=row.get("parameters") or 0,
        accuracy=accuracy and _accuracy(accuracy),
        paired=paired and Paired(**paired),
        ladder=tuple(_rung(rung, climbed=not so_far) for rung in row.get("ladder") or ()),
        curve=tuple(Epoch(each["loss"], each["correct"] / each["total"]) for each in row.get("curve") or ()),
        latency=latency and _latency(latency),
        speedup=speedup and Speedup(speedup["value"], tuple(speedup["interval"]), speedup["verdict"]),
        wit_before=row.get("wit_before"),
        wit_after=row.get("wit_after"),
        layers=tuple(_layer(layer, batch) for layer in row.get("layers") or ()),
        remarks=_remarks(row, batch),
        predicted=_predicted(row, batch),
        so_far=so_far,
    )


def _accuracy(data: Mapping[str, Any]) -> Accuracy:
    return Accuracy(data["correct"], data["total"], tuple(data["interval"]))


def _rung(data: Mapping[str, Any], *, climbed: bool) -> Rung:
    paired = data["against_below"]
    return Rung(
        data["title"],
        _accuracy(data["accuracy"]),
        paired and Paired(**paired),
        data["seconds"],
        data["kept"] and climbed,
    )


def _predicted(row: Mapping[str, Any], batch: str | None) -> str:
    """The time that a latency target was expected to bring at that batch size; runs of old have none."""
    forecast = row.get("forecast")
    if not forecast or str(forecast["batch"]) != batch:
        return ""
    return run_words.predicted(forecast["ms"], forecast["dense_ms"], forecast["batch"])


def predicted_beside(rows: Sequence[Finding], method: str) -> str:
    """Predicted and measured time of a method in one sentence; empty without both."""
    dense, row = dense_of(rows), next((row for row in rows if row.method == method), None)
    if row is None or not row.predicted or row.latency is None or dense is None or dense.latency is None:
        return ""
    assert row.speedup is not None, "what is timed has one"
    return run_words.predicted_beside(
        row.predicted, row.latency.median, dense.latency.median, row.speedup.value
    )


def limit_beside(report: Mapping[str, Any], rows: Sequence[Finding], method: str) -> str:
    """How far the time of a method is from what the device allows, in one sentence; empty without a limit."""
    row, rates = next((row for row in rows if row.method == method), None), report.get("ceiling")
    if row is None or not rates or row.latency is None or row.latency.limit is None:
        return ""
    assert row.latency.reached is not None
    machine = f"{formats.rate(rates['flops'], 'FLOP/s')}, {formats.rate(rates['bytes'], 'B/s')}"
    return run_words.limit_beside(row.title, row.latency.limit, row.latency.reached, machine)


def _layer(layer: Mapping[str, Any], batch: str | None) -> Mapping[str, Any]:
    """A layer as it ran at one batch size. Runs stored by earlier versions know only the first."""
    if "engines" not in layer:
        return layer
    run = layer["engines"].get(batch) or {"engine": None, "reason": None}
    return {**layer, "engine": run["engine"], "engine_reason": run["reason"]}


def _latency(data: Mapping[str, Any]) -> Latency:
    samples = data["samples"]
    rounds = len(samples) if isinstance(samples, Sequence) else samples
    return Latency(
        data["median"],
        (data["q1"], data["q3"]),
        rounds,
        data["engine"],
        noisy=bool(data.get("noisy")),
        speed_claim=bool(data.get("speed_claim", True)),
        limit=data.get("limit_ms"),
        reached=data.get("limit_share"),
    )


def _remarks(row: Mapping[str, Any], batch: str | None) -> tuple[str, ...]:
    """Why a figure is missing, and what the planner had to say."""
    reasons = [row.get("accuracy_reason"), (row.get("latency_reason") or {}).get(batch)]
    kept = row.get("importance")
    brought = f"{plan_words.importance_kept(*kept)}." if kept else ""
    notes = [*(row.get("notes") or ()), *(note for rung in row.get("ladder") or () for note in rung["notes"])]
    return tuple(reason for reason in (*reasons, brought, *notes) if reason)


def remarks(rows: Sequence[Finding]) -> list[str]:
    """Every remark once, after the rows that it is of."""
    titles: dict[str, list[str]] = {}
    for row in rows:
        for remark in row.remarks:
            titles.setdefault(remark, []).append(row.title)
    return [f"{', '.join(named)}: {remark}" for remark, named in titles.items()]


def paired_text(paired: Paired | None) -> str:
    """Images gained and lost, and what that allows to be said; nothing where nothing was compared."""
    return run_words.paired(paired.gained, paired.lost, paired.verdict, paired.p_value) if paired else ""


def dense_of(rows: Sequence[Finding]) -> Finding | None:
    return next((row for row in rows if row.method == DENSE), None)


def layer_lines(row: Finding) -> list[dict[str, object]]:
    """A line a layer: what is left of it, what a permutation kept, what ran it, and why."""
    permuted = any(layer.get("importance") for layer in row.layers)
    return [
        {
            "Layer": layer["name"],
            "Matrix": " × ".join(map(str, layer["shape"])),
            "Removed": formats.percent(layer["ratio"]),
            "Tiles": layer["tiles"],
            "Columns kept": formats.span(layer["columns"]),
            **({"Importance kept": _importance(layer)} if permuted else {}),
            "Engine": layer.get("engine") or "",
            "Why": layer.get("engine_reason") or "",
        }
        for layer in row.layers
    ]


def _importance(layer: Mapping[str, Any]) -> str:
    kept = layer.get("importance")
    return formats.before_after(*kept) if kept else ""
