"""The report of a comparison: JSON, schema 1. Rows are filled in as results arrive.

{"schema": 1, "environment", "request", "model", "rows", "latency": {BATCH: session}, "ceiling", "tuning",
"seconds", "finished"}

Of "model", "images_digest" tells images of one's own apart, names and preprocessing included, and
"preprocessing" has the fields of `bcbp.preprocessing.Preprocessing` and its "words"; empty and null for
images that a model comes with.

A row is a method at one asked ratio (its key: `bcbp.rows.key_of`); dense comes first and once.

A row: "method", "title", "asked_ratio", "sparsity" (share of weights removed over the layers in scope),
"macs" per image and "parameters" of the whole network, "accuracy" {"correct", "total", "interval"} or null
with "accuracy_reason", "accuracy_vs_dense" {"gained", "lost", "p_value", "verdict"} (paired, same images),
"ladder" (its rungs, lowest first), "recovery" (the rung kept) {"name", "title", "seconds"} or null,
"curve" (epochs of fine-tuning so far),
"latency_ms" {BATCH: {"median", "q1", "q3", "samples", "engine", "noisy", "speed_claim", "limit_ms",
"limit_share"}} with "latency_reason" {BATCH: reason} where there is none,
"speedup" {BATCH: {"value", "interval", "verdict"}},
"wit_before" and "wit_after" (largest of all layers), "importance" (shares kept before and after filters were
permuted; null where no permutation was looked for), "notes", "kept_dense" [[layer, reason]], "layers", and
under a latency budget "forecast", the fields of `plan.Forecast`.

A rung: "name", "title", "accuracy" {"correct", "total", "interval"}, "against_below" (paired test against the
rung below, null for the lowest), "seconds" it took, "validation" {"correct", "total"}, "kept" (whether it
is the one that the row's accuracy is of: the best on validation images), "notes".

An epoch of fine-tuning: "number" from 1, "loss" and "accuracy" on training images as they were changed,
"correct" of "total" validation images, "seconds". How it is done stands in "request"; "tuning" of the report
has what was found out: {"images", "part", "precision", "device", "processes"}, null without fine-tuning.

A layer: "name", "shape" [M, K], "kept" weights, "tiles" (how many), "columns" kept by each tile, "rows"
filters kept, "target" ratio asked for, "ratio" removed, "importance" as above, "engine" and "engine_reason"
at the first batch size timed, and "engines" {BATCH: {"engine", "reason"}}, since the faster engine is found
anew for every batch.

"limit_ms" is the least time at the device's measured rates, which are the "ceiling" of the report (fields of
`kernels.roofline.Ceiling`), and "limit_share" that over the median; all null with "ceiling_reason" where the
rates could not be measured. `bcbp.roofline` says what is counted.

"speed_claim" is false where the time says nothing about pruning: no pruned layer ran sparse or smaller.

`samples` are milliseconds, one per round. A session of `latency` is the result of `timing.time_batch`
without its methods: the dense candidates, the best of them, who declined, the A/A control.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

from bcbp.allocation import ALLOCATIONS
from bcbp.costs import kept_parameters, network_macs, network_parameters, removed_macs
from bcbp.evaluation import PairedTest, Quality
from bcbp.intake.model import LoadedModel
from bcbp.patterns import PATTERNS
from bcbp.plan import LayerPlan, PruningPlan
from bcbp.recovery import RECOVERIES
from bcbp.recovery.ladder import Rung
from bcbp.recovery.tuning import Epoch
from bcbp.request import CompareRequest
from bcbp.rows import key_of
from bcbp.spec import DENSE, PruneSpec
from kernels.measure import CANNOT_TELL

SCHEMA = 1
Json = dict[str, Any]


def new_report(request: CompareRequest, model: LoadedModel, environment: Json) -> Json:
    """A report with no rows yet."""
    return {
        "schema": SCHEMA,
        "environment": environment,
        "request": request.to_json(),
        "model": {
            "name": model.name,
            "title": model.title,
            "digest": model.digest,
            "input_shape": list(model.input_shape),
            "trained": model.trained,
            **_images_of(model),
            "note": model.note,
        },
        "rows": [],
        "latency": {},
        "ceiling": None,
        "ceiling_reason": "",
        "tuning": None,
        "seconds": 0.0,
        "finished": False,
    }


def _images_of(model: LoadedModel) -> Json:
    """Which images; of those of one's own, what tells them apart and how they are prepared."""
    dataset = model.dataset
    prepared = dataset.preprocessing if dataset else None
    return {
        "dataset": dataset.title if dataset else None,
        "images_digest": model.images_digest,
        "preprocessing": prepared.to_json() | {"words": prepared.words} if prepared else None,
    }


def dense_row(model: LoadedModel) -> Json:
    """The row of the unpruned network."""
    return _row(DENSE, "Dense") | {
        "macs": network_macs(model),
        "parameters": network_parameters(model.module),
        "layers": [
            {
                "name": info.name,
                "shape": [info.rows, info.columns],
                "kept": info.weights,
                "tiles": 1,
                "columns": [info.columns],
                "rows": info.rows,
                "ratio": 0.0,
                "engine": None,
                "engines": {},
            }
            for info in model.layers
        ],
    }


def plan_row(model: LoadedModel, plan: PruningPlan) -> Json:
    """The row of a pruned method, as far as its plan tells."""
    method = plan.spec.pattern
    return _row(method, PATTERNS[method].title) | {
        "asked_ratio": plan.spec.ratio,
        "sparsity": plan.sparsity,
        "macs": network_macs(model) - removed_macs(model, plan),
        "parameters": kept_parameters(model, plan),
        "wit_before": max((layer.wit_before for layer in plan), default=0.0),
        "wit_after": max((layer.mask.wit for layer in plan), default=0.0),
        "importance": list(plan.importance.shares) if plan.importance else None,
        "layers": [_layer(layer) for layer in plan],
        "kept_dense": [list(pair) for pair in plan.kept_dense],
        "notes": [*_of_file(plan.spec), *plan.notes],
        "forecast": asdict(plan.forecast) if plan.forecast else None,
    }


def _of_file(spec: PruneSpec) -> list[str]:
    return [f"Masks from a file: {spec.masks}."] if spec.masks else []


def _row(method: str, title: str) -> Json:
    return {
        "method": method,
        "title": title,
        "asked_ratio": 0.0,
        "sparsity": 0.0,
        "macs": 0,
        "parameters": 0,
        "accuracy": None,
        "accuracy_reason": None,
        "accuracy_vs_dense": None,
        "ladder": [],
        "recovery": None,
        "curve": [],
        "latency_ms": {},
        "latency_reason": {},
        "speedup": {},
        "wit_before": 0.0,
        "wit_after": 0.0,
        "importance": None,
        "layers": [],
        "kept_dense": [],
        "notes": [],
    }


def _layer(planned: LayerPlan) -> Json:
    mask = planned.mask
    return {
        "name": planned.name,
        "shape": list(planned.shape),
        "kept": mask.kept,
        "tiles": len(mask.keep),
        "columns": mask.kept_per_tile.tolist(),
        "rows": int(mask.rows.sum()),
        "target": planned.target,
        "ratio": planned.ratio,
        "importance": list(planned.importance.shares) if planned.importance else None,
        "engine": None,
        "engines": {},
    }


def settled_spec(spec: PruneSpec, row: Json) -> PruneSpec:
    """The spec that gives the masks of a row again, whatever was measured since its run, which had `spec`."""
    spec = replace(spec.for_pattern(row["method"]), ratio=row["asked_ratio"])
    if spec.masks or not ALLOCATIONS[spec.allocation].reads:
        return spec
    ratios = {layer["name"]: _settled(row["method"], layer) for layer in row["layers"]}
    pruned = tuple((name, ratio) for name, ratio in ratios.items() if ratio > 0)
    return replace(spec, allocation="explicit", budget_ms=None, ratios=pruned)


def _settled(method: str, layer: Json) -> float:
    """The ratio that leaves this layer the same: of filters, of whole columns, or of weights as asked."""
    if method == "filter":
        return 1 - layer["rows"] / layer["shape"][0]
    return float(layer["ratio"] if method == "bcbp" else layer["target"])


def row_of(report: Json, key: str) -> Json:
    return next(row for row in report["rows"] if key_of(row) == key)


def add_accuracy(row: Json, quality: Quality, paired: PairedTest | None) -> None:
    """`paired` is the test against dense; None for dense itself."""
    row["accuracy"] = _accuracy(quality)
    row["accuracy_vs_dense"] = asdict(paired) if paired else None


def add_rung(row: Json, rung: Rung, quality: Quality, paired: PairedTest | None) -> None:
    """Add a rung with its `quality` on test images; `paired` is the test against the rung below."""
    if rung.kept:
        for lower in row["ladder"]:
            lower["kept"] = False
    title = RECOVERIES[rung.name].title
    row["ladder"].append(
        {
            "name": rung.name,
            "title": title,
            "accuracy": _accuracy(quality),
            "against_below": asdict(paired) if paired else None,
            "seconds": rung.seconds,
            "validation": {"correct": rung.validation.correct, "total": rung.validation.total},
            "kept": rung.kept,
            "notes": list(rung.notes),
        }
    )
    if rung.kept:
        row["recovery"] = {"name": rung.name, "title": title, "seconds": rung.seconds}


def add_epoch(row: Json, epoch: Epoch) -> None:
    row["curve"].append(asdict(epoch))


def _accuracy(quality: Quality) -> Json:
    return {"correct": quality.correct, "total": quality.total, "interval": list(quality.interval)}


def add_session(report: Json, batch: int, session: Json) -> None:
    """Spread the result of `timing.time_batch` over the rows, and keep the session itself beside them."""
    key = str(batch)
    methods, declined = session["methods"], session["declined"]
    for row in report["rows"]:
        if row["method"] == DENSE:
            _add_dense(row, key, session)
        elif key_of(row) in methods:
            _add_method(row, key, methods[key_of(row)])
        elif key_of(row) in declined:
            row["latency_reason"][key] = declined[key_of(row)]
    report["latency"][key] = {name: value for name, value in session.items() if name != "methods"}


def _add_dense(row: Json, key: str, session: Json) -> None:
    """Dense is what it is compared with, so its speed-up is 1; the A/A control gives its interval."""
    best = session["best_dense"]
    engine = f"dense ({best})"
    row["latency_ms"][key] = session["dense"][best] | {"engine": engine, "speed_claim": True}
    interval = session["control"]["interval"]
    row["speedup"][key] = {"value": 1.0, "interval": interval, "verdict": CANNOT_TELL}
    for layer in row["layers"]:
        layer["engine"] = layer["engine"] or engine
        layer["engines"][key] = {"engine": engine, "reason": "the fastest dense network"}


def _add_method(row: Json, key: str, timed: Json) -> None:
    kept = ("median", "q1", "q3", "samples", "engine", "noisy", "speed_claim", "limit_ms", "limit_share")
    row["latency_ms"][key] = {name: timed[name] for name in kept}
    row["speedup"][key] = timed["speedup"]
    smaller = PATTERNS[row["method"]].changes_shapes
    ran = {layer["name"]: layer for layer in timed["layers"]}
    for layer in row["layers"]:
        if layer["name"] in ran:
            run = ran[layer["name"]]
            _add_engine(layer, key, run["engine"], run["reason"])
    row["latency_ms"][key]["speed_claim"] &= smaller or _ran_sparse(row["layers"], key)


def _add_engine(layer: Json, key: str, engine: str, reason: str) -> None:
    layer["engines"][key] = {"engine": engine, "reason": reason}
    if layer["engine"] is None:
        layer["engine"], layer["engine_reason"] = engine, reason


def _ran_sparse(layers: list[Json], key: str) -> bool:
    """Whether any pruned layer ran on an engine that can skip what was removed."""
    return any(
        layer["engines"][key]["engine"] != DENSE
        for layer in layers
        if layer["ratio"] > 0 and key in layer["engines"]
    )
