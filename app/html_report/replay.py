"""The replay: sliders over the measured grid, and the three figures of the point under them."""

from __future__ import annotations

from app import wording
from app.findings import Finding, dense_of, paired_text
from app.html_report.html import Html, data, element
from app.html_report.subject import Subject
from app.result_lines import accuracy_change, verdict_word
from app.titles import METHOD_TITLES
from bcbp.spec import DENSE

TITLE = "Replay"
NOTE = "Recorded, not computed: the sliders stop only where something was measured. Nothing is interpolated."
NOT_MEASURED = "not measured"
FIGURES = ("speed", "accuracy", "size")


def replay(subject: Subject) -> Html:
    """Nothing before there is a pruned row; shown by the script, and never printed."""
    pruned = [row for row in subject.rows if row.method != DENSE]
    if not pruned or not subject.batches:
        return Html("")
    return element(
        "section",
        element("h2", TITLE),
        element("p", element("strong", subject.recorded), ". ", NOTE, class_="recorded"),
        element("div", *_controls(), class_="controls"),
        element("div", *(_figure(name) for name in FIGURES), class_="figures", aria_live="polite"),
        data("grid", grid(subject, pruned)),
        id="replay",
        class_="screen-only",
        hidden=True,
    )


def _controls() -> list[Html]:
    method = element("label", "Method", element("select", id="replay-method"))
    sliders = [
        element(
            "label",
            label,
            Html(f'<input type="range" min="0" step="1" id="replay-{name}">'),
            element("output", id=f"replay-{name}-shown", for_=f"replay-{name}"),
        )
        for name, label in (("ratio", "Ratio"), ("batch", "Batch"))
    ]
    return [method, *sliders]


def _figure(name: str) -> Html:
    value, under = (element(tag, id=f"replay-{name}{end}") for tag, end in (("b", ""), ("small", "-under")))
    return element("div", element("span", name.capitalize()), value, under, class_="metric")


def grid(subject: Subject, pruned: list[Finding]) -> dict[str, object]:
    """What the sliders go over, and at "METHOD RATIO BATCH" the words: [figure, what stands under it]."""
    ratios = sorted({row.ratio for row in pruned})
    titles = {row.method: METHOD_TITLES.get(row.method, row.method) for row in pruned}
    points = {}
    for batch, rows in subject.by_batch.items():
        dense = dense_of(rows)
        for row in rows if batch and dense else ():
            if row.method != DENSE:
                points[f"{row.method} {ratios.index(row.ratio)} {batch}"] = _point(row, dense)
    focus = subject.focus
    return {
        "methods": list(titles.items()),
        "ratios": [wording.ratio_percent(ratio) for ratio in ratios],
        "batches": list(subject.batches),
        "points": points,
        "start": [focus.method, ratios.index(focus.ratio)] if focus else None,
        "missing": NOT_MEASURED,
    }


def _point(row: Finding, dense: Finding | None) -> dict[str, tuple[str, str]]:
    assert dense is not None
    speed = accuracy = (NOT_MEASURED, "; ".join(row.remarks))
    if row.speedup and row.latency:
        bounds = wording.interval(row.speedup.interval, wording.times)
        words = f"95 % interval {bounds}; {wording.milliseconds(row.latency.median)}; {verdict_word(row)}"
        speed = (wording.times(row.speedup.value), words)
    if row.accuracy:
        bounds = wording.interval(row.accuracy.interval, lambda share: wording.percent(share, 2))
        change = accuracy_change(row, dense)
        words = f"95 % interval {bounds}; {change} points; {paired_text(row.paired)}"
        accuracy = (wording.percent(row.accuracy.share, 2), words)
    size = (
        wording.percent(row.parameters / dense.parameters, 0),
        f"of the parameters, {wording.amount(row.parameters)} of {wording.amount(dense.parameters)}; "
        f"{wording.percent(row.macs / dense.macs, 0)} of the multiply-adds; counted, so without interval",
    )
    return {"speed": speed, "accuracy": accuracy, "size": size}
