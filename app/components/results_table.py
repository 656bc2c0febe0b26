"""Every measured figure with its interval, one line a method."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from app import wording
from app.findings import NO_CLAIM, Finding, Latency, dense_of, paired_text
from app.help_texts import HELP
from bcbp.spec import DENSE


def results(rows: Sequence[Finding]) -> pd.DataFrame:
    """Differences are against the dense row; columns of which nothing is measured (yet) are left out."""
    dense = dense_of(rows)
    lines = pd.DataFrame([_line(row, dense) for row in rows])
    return lines.loc[:, (lines != "").any()]


def _line(row: Finding, dense: Finding | None) -> dict[str, object]:
    accuracy, latency, speedup = row.accuracy, row.latency, row.speedup
    return {
        "Method": row.title,
        "Removed": wording.percent(row.sparsity),
        "Speed": wording.times(speedup.value) if speedup else "",
        "95 % interval": wording.interval(speedup.interval, wording.times) if speedup else "",
        "Verdict": _verdict(row),
        "Latency": wording.milliseconds(latency.median) if latency else "",
        "Predicted": row.predicted,
        "Quartiles": wording.interval(latency.quartiles, wording.milliseconds) if latency else "",
        "Limit": _limit(latency),
        "Accuracy": wording.percent(accuracy.share, 2) if accuracy else "",
        "± points": _accuracy_change(row, dense),
        "Against dense": paired_text(row.paired),
        "Accuracy interval": wording.interval(accuracy.interval, lambda share: wording.percent(share, 2))
        if accuracy
        else "",
        "Multiply-adds": _with_share(row.macs, dense.macs if dense else None),
        "Parameters": _with_share(row.parameters, dense.parameters if dense else None),
        "WIT before → after": _imbalance(row),
        "Engine": latency.engine if latency else "",
    }


def _limit(latency: Latency | None) -> str:
    if latency is None or latency.limit is None or latency.reached is None:
        return ""
    return wording.limit(latency.limit, latency.reached)


def _verdict(row: Finding) -> str:
    if row.speedup is None or row.latency is None:
        return ""
    if not row.latency.speed_claim:
        return NO_CLAIM
    return "reference" if row.method == DENSE else row.speedup.verdict


def _accuracy_change(row: Finding, dense: Finding | None) -> str:
    if row is dense or dense is None or row.accuracy is None or dense.accuracy is None:
        return ""
    return wording.points(row.accuracy.share - dense.accuracy.share)


def _with_share(value: int, whole: int | None) -> str:
    if not value or not whole or value == whole:
        return wording.amount(value) if value else ""
    return f"{wording.amount(value)} ({wording.percent(value / whole, 0)})"


def _imbalance(row: Finding) -> str:
    if row.wit_before is None or row.wit_after is None:
        return ""
    return f"{wording.percent(row.wit_before)} → {wording.percent(row.wit_after)}"


def results_table(rows: Sequence[Finding], *, key: str) -> None:
    """Show `results`, the method pinned so that it stays in sight on a phone."""
    column = st.column_config.TextColumn
    st.dataframe(
        results(rows),
        key=key,
        hide_index=True,
        height="content",
        column_config={
            "Method": column(pinned=True),
            "Limit": column(help=HELP["limit"]),
            "Predicted": column(help=HELP["predicted"]),
            "Speed": column(help=HELP["speedup"]),
            "WIT before → after": column(help=HELP["wit"]),
            "Against dense": column(help=HELP["paired"]),
            "± points": column(help=HELP["points"]),
        },
        alt="Measured figures of every method",
    )
