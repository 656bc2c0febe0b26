"""Several comparisons beside one another: what differs comes first, and what may not be compared."""

from __future__ import annotations

from collections.abc import Sequence

from app import side_by_side
from app.findings import Finding
from app.html_report import comparison_replay, sections
from app.html_report.cards import accuracy, card, measured_how, tuned_how
from app.html_report.document import Document
from app.html_report.figures import figure
from app.html_report.html import Html, element, table
from app.html_report.manifest import comparison_facts, manifest
from app.html_report.replay import Axis, Grid, Points, replay
from app.html_report.subject import Subject
from app.result_lines import Line, curve_lines, ladder_lines
from app.run_figures import curve_figures, ratio_figure, speed_figure
from app.side_by_side import Run
from app.words import compare_words, report_words, run_words

Subjects = Sequence[tuple[str, Subject]]


def document(runs: Sequence[Run]) -> Document:
    """`runs` are comparisons, each under a name of its own."""
    subjects = [(name, Subject(report)) for name, report in runs]
    batches = side_by_side.shared_batches(runs)
    names = ", ".join(name for name, _ in runs)
    return Document(
        f"{len(runs)} runs side by side: {names}",
        " ".join(f"{name}: {subject.heading}" for name, subject in subjects),
        (
            _differences(runs),
            *(_verdicts(name, subject) for name, subject in subjects),
            replay("; ".join(f"{name}: {subject.recorded}" for name, subject in subjects), _grid(subjects)),
            *(_at_batch(runs, subjects, batch) for batch in batches),
            *([] if batches else [_untimed(runs, subjects)]),
            _ladders(subjects),
            _curves(subjects),
            *(manifest(comparison_facts(subject), subject.request, of=name) for name, subject in subjects),
        ),
    )


def _differences(runs: Sequence[Run]) -> Html:
    """What may not be compared, then every setting and condition that is not the same."""
    lines = side_by_side.setting_lines(runs)
    warnings = [element("p", words, class_="warning") for words in side_by_side.apart(runs)]
    same = [] if lines else [element("p", report_words.NO_DIFFERENCES)]
    title = element("h2", report_words.DIFFERENCES)
    return element("section", title, *warnings, *same, table(lines, "Settings, conditions and digests"))


def _verdicts(name: str, subject: Subject) -> Html:
    return element("section", element("h2", name), sections.verdicts(subject))


def _grid(subjects: Subjects) -> Grid:
    points: Points = {
        (name, *place): point
        for name, subject in subjects
        for place, point in comparison_replay.measured(subject).items()
    }
    axes = comparison_replay.axes(tuple(subject for _, subject in subjects))
    run = Axis("run", tuple(name for name, _ in subjects), slider=False)
    first, whole = subjects[0]
    start = (first, *comparison_replay.grid(whole).start)
    return Grid((run, *axes), comparison_replay.FIGURES, points, start if start in points else ())


def _rows(subjects: Subjects, batch: str | None) -> list[tuple[str, tuple[Finding, ...]]]:
    return [(name, subject.by_batch[batch]) for name, subject in subjects]


def _at_batch(runs: Sequence[Run], subjects: Subjects, batch: str) -> Html:
    rows = _rows(subjects, batch)
    tested = any(row.accuracy for _, found in rows for row in found)
    shows = report_words.RUNS_NOTE if tested else compare_words.NO_ACCURACY
    drawn = [figure(f"runs-{batch}", speed_figure(rows), report_words.RUNS_ALT)] if tested else []
    return element(
        "section",
        element("h2", f"Results at batch {batch}"),
        *drawn,
        table(side_by_side.beside(runs, batch), "Speed and accuracy of every method, run beside run"),
        table(side_by_side.side_by_side(runs, batch), f"Every measured figure at batch {batch}"),
        card(("Shows", shows)),
        *(card(*measured_how(subject, batch), of=name) for name, subject in subjects),
    )


def _untimed(runs: Sequence[Run], subjects: Subjects) -> Html:
    """Where no batch size is shared, what can be read without times."""
    return element(
        "section",
        element("h2", "Accuracy"),
        element("p", compare_words.NO_SHARED_BATCH, class_="note"),
        figure("runs-accuracy", ratio_figure(_rows(subjects, None)), report_words.RATIOS_ALT),
        table(side_by_side.beside(runs, None), "Accuracy of every method, run beside run"),
        table(side_by_side.side_by_side(runs, None), "Every figure but times"),
        card(("Shows", report_words.RATIOS_NOTE)),
        *(card(("Accuracy", accuracy(subject)), of=name) for name, subject in subjects),
    )


def _named(lines: Sequence[Line], name: str) -> list[Line]:
    return [{"Run": name} | line for line in lines]


def _ladders(subjects: Subjects) -> Html:
    lines = [line for name, one in subjects for line in _named(ladder_lines(one.rows), name)]
    if not lines:
        return Html("")
    return element("section", element("h2", run_words.LADDER), table(lines, "Every rung of every run"))


def _curves(subjects: Subjects) -> Html:
    tuned = [(name, subject) for name, subject in subjects if any(row.curve for row in subject.rows)]
    if not tuned:
        return Html("")
    losses, right = curve_figures(_rows(tuned, None))
    lines = [
        line
        for name, subject in tuned
        for line in _named(curve_lines([row for row in subject.rows if row.curve]), name)
    ]
    return element(
        "section",
        element("h2", run_words.CURVES),
        figure("losses", losses, run_words.LOSS_ALT),
        figure("validation", right, run_words.VALIDATION_ALT),
        table(lines, "Every epoch of every run"),
        card(("Shows", run_words.CURVES_NOTE)),
        *(card(*tuned_how(subject), of=name) for name, subject in tuned),
    )
