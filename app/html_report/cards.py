"""Method cards: what a figure shows, how it was measured, and how to read it."""

from __future__ import annotations

from app.html_report.html import Html, definitions, element, prose
from app.html_report.subject import Subject
from app.words import compare_words, formats, run_words
from app.words.help_texts import HELP
from bcbp.spec import DENSE


def card(*entries: tuple[str, str], of: str = "") -> Html:
    """(What is said, in prose) each; empty ones are left out. `of` names one of several."""
    told = definitions([(name, prose(text)) for name, text in entries])
    return element("aside", element("h4", f"Method card{of and f': {of}'}"), told, class_="card")


def trade_off_card(subject: Subject, batch: str, *, tested: bool) -> Html:
    shows = compare_words.TRADE_OFF_NOTE if tested else compare_words.NO_ACCURACY
    return card(("Shows", shows), *measured_how(subject, batch))


def measured_how(subject: Subject, batch: str) -> list[tuple[str, str]]:
    """The entries of a card that say how times and accuracies came about."""
    return [
        ("Latency", _latency(subject, batch)),
        ("Dense", _dense(subject, batch)),
        ("Clock", _clock(subject, batch)),
        ("Accuracy", accuracy(subject)),
        ("Speed", HELP["speedup"]),
        ("Limit", HELP["limit"] if subject.report.get("ceiling") else ""),
        ("WIT", HELP["wit"]),
    ]


def _latency(subject: Subject, batch: str) -> str:
    return (
        f"Median and quartiles over {subject.request.get('rounds')} rounds at batch {batch}, "
        f"{subject.timed_on}, {subject.environment.get('threads')} threads, on {subject.device}. In every "
        "round each network runs once, in an order shuffled anew, so that a slow moment meets them all."
    )


def _dense(subject: Subject, batch: str) -> str:
    dense = (subject.report["latency"].get(batch) or {}).get("dense") or {}
    times = ", ".join(f"{name} {formats.milliseconds(one['median'])}" for name, one in dense.items())
    return f"The fastest of all measured ways to run the unpruned network: {times}." if times else ""


def _clock(subject: Subject, batch: str) -> str:
    session = subject.report["latency"].get(batch) or {}
    bounds = (session.get("control") or {}).get("interval")
    if bounds is None:
        return ""
    noisy = " This session was noisy: something else was running." if session.get("noisy") else ""
    return (
        "The same code against itself, in the same rounds, gives "
        f"{formats.interval(tuple(bounds), formats.times)} (95 % interval; 1.00× is a true clock).{noisy}"
    )


def accuracy(subject: Subject) -> str:
    dense = next((row for row in subject.rows if row.method == DENSE and row.accuracy), None)
    if dense is None or dense.accuracy is None:
        return ""
    return (
        f"Share of {dense.accuracy.total:,} test images ({subject.report['model'].get('dataset')}) that are "
        f"right, with its 95 % Wilson interval, in float32 on the processor. {HELP['paired']}"
    )


def equal_accuracy_card() -> Html:
    return card(
        ("Shows", HELP["equal_accuracy"]), ("Points lost", HELP["points_lost"]), ("Speed", HELP["speedup"])
    )


def ladder_card(subject: Subject) -> Html:
    return card(
        ("Shows", run_words.LADDER_NOTE),
        ("Rungs", HELP["recovery"]),
        ("Test", HELP["rung"]),
        ("Time", HELP["rung_seconds"]),
        ("Accuracy", accuracy(subject)),
    )


def curves_card(subject: Subject) -> Html:
    return card(("Shows", run_words.CURVES_NOTE), *tuned_how(subject))


def tuned_how(subject: Subject) -> list[tuple[str, str]]:
    """The entries of a card that say how it was fine-tuned."""
    tuning, asked = subject.report.get("tuning") or {}, subject.request.get("tuning") or {}
    how = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in (asked | tuning).items())
    return [("How", how), ("Distillation", HELP["distill"])]
