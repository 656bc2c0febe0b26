"""Several runs in one table, each against its own dense, and what makes them hard to compare. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from app import findings
from app.findings import Finding
from app.result_lines import Line, result_lines
from app.titles import METHOD_TITLES
from app.words import compare_words
from app.words.formats import NOT_MEASURED, moment, percent, ratio_percent, times
from app.words.report_words import accuracies_apart, times_apart
from bcbp.rows import goes_by_ratio
from bcbp.runtime import CPU, GPU

Run = tuple[str, Mapping[str, Any]]  # what it is called, and its report
# Conditions on which times, and those on which accuracies, depend beside what is compared.
_OF_TIMES = ("model", "device", "precision", "threads", "torch")
_OF_ACCURACY = ("model", "images", "test images")


def called(names: Sequence[str], otherwise: Sequence[str]) -> list[str]:
    """The names, but what stands `otherwise` for those that are empty or not the only ones of their kind.

    >>> called(["mine", "", "two", "two"], ["a", "b", "c", "d"])
    ['mine', 'b', 'c', 'd']
    """
    return [
        name if name and names.count(name) == 1 else other
        for name, other in zip(names, otherwise, strict=True)
    ]


def shared_batches(runs: Sequence[Run]) -> tuple[str, ...]:
    """Batch sizes at which every run has times, ascending."""
    every = [findings.batches(report) for _, report in runs]
    return tuple(batch for batch in every[0] if all(batch in one for one in every)) if every else ()


def side_by_side(runs: Sequence[Run], batch: str | None) -> list[Line]:
    """The lines of every run after one another; differences are against the dense of the same run."""
    return [
        {"Run": title} | line
        for title, report in runs
        for line in result_lines(findings.findings(report, batch=batch, titles=METHOD_TITLES))
    ]


def beside(runs: Sequence[Run], batch: str | None) -> list[Line]:
    """A line a method at a ratio, with speed and accuracy of every run in columns of their own.

    A ratio that is an outcome, as under a latency target, is the share that was removed.
    """
    rows = {
        (
            row.ratio if goes_by_ratio(report) else round(row.sparsity, 3),
            METHOD_TITLES.get(row.method, row.method),
            title,
        ): row
        for title, report in runs
        for row in findings.findings(report, batch=batch, titles=METHOD_TITLES)
    }
    lines = []
    for ratio, method in sorted({(ratio, method) for ratio, method, _ in rows}):
        found = {title: rows.get((ratio, method, title)) for title, _ in runs}
        lines.append(
            {"Method": method, "Ratio": ratio_percent(ratio)}
            | ({f"Speed, {title}": _speed(row) for title, row in found.items()} if batch else {})
            | {f"Accuracy, {title}": _accuracy(row) for title, row in found.items()}
        )
    return lines


def _speed(row: Finding | None) -> str:
    return times(row.speedup.value) if row and row.speedup else NOT_MEASURED


def _accuracy(row: Finding | None) -> str:
    return percent(row.accuracy.share, 2) if row and row.accuracy else NOT_MEASURED


def differences(runs: Sequence[Run]) -> list[str]:
    """A sentence for each condition in which the runs differ."""
    conditions = [_conditions(report) for _, report in runs]
    found = []
    for name in conditions[0]:
        values = [str(one[name]) for one in conditions]
        if len(set(values)) > 1:
            found.append(compare_words.differs(name, list(dict.fromkeys(values))))
    return found


def apart(runs: Sequence[Run]) -> list[str]:
    """What may not be compared across the runs, and why; nothing where all of it may."""
    conditions = [_conditions(report) for _, report in runs]
    return [
        say(", ".join(names))
        for say, of in ((times_apart, _OF_TIMES), (accuracies_apart, _OF_ACCURACY))
        if (names := [name for name in of if len({str(one[name]) for one in conditions}) > 1])
    ]


def setting_lines(runs: Sequence[Run]) -> list[Line]:
    """A line for each setting, condition or digest in which the runs differ, a column a run."""
    told = [_settings(report) for _, report in runs]
    names = dict.fromkeys(name for one in told for name in one)
    titles = [title for title, _ in runs]
    return [
        {"What": name} | dict(zip(titles, values, strict=True))
        for name in names
        if len(set(values := [one.get(name, "") for one in told])) > 1
    ]


def _settings(report: Mapping[str, Any]) -> dict[str, str]:
    where = report["environment"]
    versions = {f"version of {name}": one for name, one in (where.get("versions") or {}).items()}
    found = (
        _conditions(report)
        | {"weights": f"SHA-256 {report['model']['digest']}"}
        | {"date": moment(where["date"]), "commit": where.get("commit"), "system": where.get("os")}
        | versions
        | {"finished": "yes" if report["finished"] else "no"}
        | dict(_flat(report["request"]))
    )
    return {name: str(value) for name, value in found.items() if value is not None}


def _flat(value: Any, name: str = "asked") -> Iterator[tuple[str, str]]:
    """Every setting of a request under the names that lead to it.

    >>> list(_flat({"spec": {"tile": 32}, "batches": [1, 8]}))
    [('asked: spec tile', '32'), ('asked: batches', '1, 8')]
    """
    if not isinstance(value, Mapping):
        yield name, ", ".join(map(str, value)) if isinstance(value, list) else str(value)
        return
    for key, one in value.items():
        yield from _flat(one, f"{name}: {key}" if name == "asked" else f"{name} {key}")


def _conditions(report: Mapping[str, Any]) -> dict[str, object]:
    request, where, model = report["request"], report["environment"], report["model"]
    device = request.get("device", CPU)
    tested = [row["accuracy"]["total"] for row in report["rows"] if row.get("accuracy")]
    return {
        "model": f"{model['title']} ({model['digest'][:7]})",
        "images": _images(model),
        "test images": max(tested, default=0),
        "device": where.get("gpu" if device == GPU else "cpu"),
        "precision": request.get("precision", "fp32"),
        "threads": where.get("threads"),
        "torch": (where.get("versions") or {}).get("torch"),
    }


def _images(model: Mapping[str, Any]) -> str:
    """Which images, how they are prepared, and what tells one's own apart; reports of old say the first."""
    prepared, digest = model.get("preprocessing") or {}, model.get("images_digest")
    told = (model.get("dataset"), prepared.get("words"), digest and f"digest {digest[:7]}")
    return "; ".join(filter(None, told)) or "none"
