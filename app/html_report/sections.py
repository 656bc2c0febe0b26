"""The parts of the page that carry results: verdicts, figures with their tables, and layers."""

from __future__ import annotations

from collections.abc import Sequence

from app import findings, verdict
from app.finding_figures import curve_figures, ladder_figure, latency_figure, trade_off_figure
from app.findings import Finding
from app.html_report import cards
from app.html_report.figures import figure
from app.html_report.html import Html, element, join, prose, table
from app.html_report.subject import Subject
from app.result_lines import choice_line, curve_lines, ladder_lines, result_lines
from app.titles import METHOD_TITLES
from app.verdict import Verdict, untimed_verdict
from app.words import compare_words, run_words
from bcbp.equal_accuracy import Answer, equal_accuracy, sentence

LAYERS = "What is left of each layer, what ran it, and why"
POINT = 0.01  # the share of accuracy that may be lost "at equal accuracy"


def verdicts(subject: Subject) -> Html:
    """The answer for the method that stands first, at every batch size."""
    focus = subject.focus
    answers = [] if focus is None else [_verdict(subject, focus, batch) for batch in subject.batches]
    if focus is not None and not subject.request["batches"]:
        answers = [untimed_verdict(subject.rows, focus, ended=True)]
    return join(*(answer_box(answer) for answer in answers or [verdict.UNTIMED]))


def _verdict(subject: Subject, focus: Finding, batch: str) -> Verdict:
    rows = findings.at_ratio(subject.by_batch[batch], focus.ratio)
    return verdict.verdict(rows, method=focus.method, batch=batch, ended=True)


def answer_box(answer: Verdict, *, lead: str = "") -> Html:
    """The sentence, with what it is of before it, then its cause."""
    mood = answer.mood.replace(" ", "-")
    return element(
        "p", element("strong", lead + answer.sentence), " ", prose(answer.cause), class_=f"verdict {mood}"
    )


def of_batch(subject: Subject, batch: str) -> Html:
    """Accuracy over latency at one batch size, and every figure of it."""
    rows = subject.by_batch[batch]
    focus = subject.focus.method if subject.focus else ""
    drawn = trade_off_figure(rows, focus=focus, several=subject.several)
    alt = compare_words.TRADE_OFF_ALT if drawn else "Latency of every method"
    return element(
        "section",
        element("h2", f"Results at batch {batch}"),
        figure(f"trade-off-{batch}", drawn or latency_figure(rows), alt),
        table(result_lines(rows), f"Every measured figure at batch {batch}"),
        *(element("p", remark, class_="note") for remark in findings.remarks(rows)),
        cards.trade_off_card(subject, batch, tested=drawn is not None),
    )


def at_equal_accuracy(subject: Subject) -> Html:
    """Who is fastest among those that lose at most one point."""
    answers = [
        answer
        for batch in subject.batches
        if (answer := equal_accuracy(dict(subject.report), batch=batch, bound=POINT))
    ]
    if not answers:
        return Html("")
    return element(
        "section",
        element("h2", compare_words.EQUAL_ACCURACY),
        *(_within(answer) for answer in answers),
        cards.equal_accuracy_card(),
    )


def _within(answer: Answer) -> Html:
    lines = [choice_line(choice) for choice in answer.choices]
    title = f"At most one point below dense, at batch {answer.batch}"
    return join(element("p", element("strong", sentence(answer, METHOD_TITLES))), table(lines, title))


def ladder(subject: Subject) -> Html:
    """Drawn at the ratio that stands first, since lines of all would hide each other; all in the table."""
    rows = [row for row in subject.rows if row.ladder]
    if not rows or subject.focus is None:
        return Html("")
    drawn = ladder_figure(findings.at_ratio(rows, subject.focus.ratio))
    return element(
        "section",
        element("h2", run_words.LADDER),
        figure("ladder", drawn, run_words.LADDER_ALT),
        table(ladder_lines(rows), "Every rung at every ratio"),
        cards.ladder_card(subject),
    )


def curves(subject: Subject) -> Html:
    """Fine-tuning epoch by epoch."""
    rows = [row for row in subject.rows if row.curve]
    if not rows:
        return Html("")
    losses, right = curve_figures(rows)
    return element(
        "section",
        element("h2", run_words.CURVES),
        figure("losses", losses, run_words.LOSS_ALT),
        figure("validation", right, run_words.VALIDATION_ALT),
        table(curve_lines(rows), "Every epoch"),
        cards.curves_card(subject),
    )


def layers(subject: Subject) -> Html:
    """What is left of every layer of the row that stands first, and what ran it."""
    batch = next(iter(subject.batches), None)
    rows: Sequence[Finding] = subject.by_batch[batch]
    row = next((one for one in rows if subject.focus and one.key == subject.focus.key), None)
    if row is None or not row.layers:
        return Html("")
    lines = [{name: str(cell) for name, cell in line.items()} for line in findings.layer_lines(row)]
    title = f"Layers of {row.title}"
    return element("section", element("h2", title), table(lines, LAYERS))
