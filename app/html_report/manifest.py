"""The manifest: everything that a reader needs to know, or to measure it again."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from app import wording
from app.html_report.html import Html, definitions, element
from app.html_report.subject import Subject


def manifest(subject: Subject) -> Html:
    """A list of facts, then the request as it was asked."""
    asked = json.dumps(subject.request, indent=1, sort_keys=True)
    return element(
        "section",
        element("h2", "Manifest"),
        definitions(facts(subject)),
        element("h3", "Request"),
        element("pre", asked),
    )


def facts(subject: Subject) -> list[tuple[str, str]]:
    """(Name, value) of what is known; runs of earlier versions know less."""
    report, where, model = subject.report, subject.environment, subject.report["model"]
    versions = {"Python": where.get("python")} | dict(where.get("versions") or {})
    found = [
        ("State", "finished" if report["finished"] else "not finished: what is missing was not reached"),
        ("Model", f"{model['title']} ({model['name']})"),
        ("Weights", f"SHA-256 {model['digest']}"),
        ("Images", model.get("dataset")),
        ("Preprocessing", (model.get("preprocessing") or {}).get("words")),
        ("Note", model.get("note")),
        ("Seed", subject.request["spec"].get("seed")),
        ("Device", subject.device),
        ("Timing", subject.timed_on),
        ("Machine", _machine(where)),
        ("Clocks", _clocks(subject)),
        ("Measured rates", _rates(report.get("ceiling"))),
        ("System", where.get("os")),
        ("Versions", ", ".join(f"{name} {version}" for name, version in versions.items() if version)),
        ("Commit", where.get("commit")),
        ("Date", wording.moment(where["date"])),
        ("Took", wording.seconds(report["seconds"]) if report["seconds"] else None),
        ("Report", f"SHA-256 {digest(report)} of its JSON (sorted keys, no spaces)"),
    ]
    return [(name, str(value)) for name, value in found if value is not None and value != ""]


def digest(report: Any) -> str:
    """Of the content, whatever the file looks like that it was read from."""
    return hashlib.sha256(json.dumps(report, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _machine(where: Any) -> str:
    parts = [where.get("cpu"), where.get("instruction_set"), where.get("gpu")]
    parts += [f"{where['cores']} cores"] if where.get("cores") else []
    return ", ".join(str(part) for part in parts if part)


def _clocks(subject: Subject) -> str:
    """How steady the clock was: threads, load, and the same code against itself."""
    where = subject.environment
    parts = [f"{where.get('threads')} threads"]
    loads = (("before", where.get("load")), ("after", where.get("load_after")))
    parts += [f"load {load} {when}" for when, load in loads if load is not None]
    for batch, session in subject.report["latency"].items():
        bounds = wording.interval(tuple(session["control"]["interval"]), wording.times)
        noisy = ", noisy" if session.get("noisy") else ""
        parts.append(f"the same code against itself at batch {batch} {bounds}{noisy}")
    return "; ".join(parts)


def _rates(ceiling: Any) -> str:
    if not ceiling:
        return ""
    return f"{wording.rate(ceiling['flops'], 'FLOP/s')}, {wording.rate(ceiling['bytes'], 'B/s')}"
