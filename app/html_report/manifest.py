"""The manifest: everything that a reader needs to know, or to measure it again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from app.html_report.html import Html, definitions, element
from app.html_report.subject import Subject
from app.words import formats

Fact = tuple[str, object]  # its name, and what is known of it: None or "" where nothing is


def manifest(facts: Iterable[Fact], asked: object, *, of: str = "") -> Html:
    """A list of what is known, then the request as it was asked, if that is; `of` names one of several."""
    told = [(name, str(value)) for name, value in facts if value is not None and value != ""]
    request = [] if asked is None else [element("h3", "Request"), element("pre", _readable(asked))]
    return element(
        "section",
        element("h2", f"Manifest{of and f': {of}'}"),
        definitions(told),
        *request,
        class_="manifest",
    )


def _readable(asked: object) -> str:
    return json.dumps(asked, indent=1, sort_keys=True)


def comparison_facts(subject: Subject) -> list[Fact]:
    """Runs of earlier versions know less."""
    report, model = subject.report, subject.report["model"]
    return [
        ("State", "finished" if report["finished"] else "not finished: what is missing was not reached"),
        ("Model", f"{model['title']} ({model['name']})"),
        ("Weights", f"SHA-256 {model['digest']}"),
        ("Images", model.get("dataset")),
        ("Preprocessing", (model.get("preprocessing") or {}).get("words")),
        ("Note", model.get("note")),
        ("Seed", subject.request["spec"].get("seed")),
        ("Device", subject.device),
        ("Timing", subject.timed_on if subject.request["batches"] else "nothing was timed"),
        ("Steadiness", _steadiness(report["latency"])),
        ("Measured rates", _rates(report.get("ceiling"))),
        *conditions(subject.environment),
        ("Took", formats.seconds(report["seconds"]) if report["seconds"] else None),
        ("Report", fingerprint(report)),
    ]


def conditions(where: Mapping[str, Any]) -> list[Fact]:
    """The machine and what ran on it (`kernels.device.environment`)."""
    versions = {"Python": where.get("python")} | dict(where.get("versions") or {})
    return [
        ("Machine", _machine(where)),
        ("Threads", where.get("threads")),
        ("Load", _before_after(where.get("load"), where.get("load_after"))),
        ("Clocks", _clocks(where)),
        ("System", where.get("os")),
        ("Versions", ", ".join(f"{name} {version}" for name, version in versions.items() if version)),
        ("Commit", where.get("commit")),
        ("Date", formats.moment(where["date"])),
    ]


def fingerprint(data: object) -> str:
    return f"SHA-256 {digest(data)} of its JSON (sorted keys, no spaces)"


def digest(data: object) -> str:
    """Of the content, whatever the file looks like that it was read from."""
    return hashlib.sha256(json.dumps(data, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _machine(where: Mapping[str, Any]) -> str:
    parts = [where.get("cpu"), where.get("instruction_set"), where.get("gpu")]
    parts += [f"{where['cores']} cores"] if where.get("cores") else []
    return ", ".join(str(part) for part in parts if part)


def _before_after(before: object, after: object) -> str:
    parts = ((before, "before"), (after, "after"))
    return ", ".join(f"{value} {when}" for value, when in parts if value is not None)


def _clocks(where: Mapping[str, Any]) -> str:
    """Frequencies and what governs them, as far as the system tells."""
    clock, after, card = (where.get(name) or {} for name in ("clock", "clock_after", "gpu_state"))
    told = _before_after(_mhz(clock, "mhz"), _mhz(after, "mhz"))
    parts = [
        f"first core {told}" if told else "",
        f"at most {_mhz(clock, 'most_mhz')}" if clock.get("most_mhz") else "",
        f"governor {clock.get('governor', 'not told')}" if clock else "",
        *(f"{name} {value}" for name, value in card.items()),
    ]
    return ", ".join(filter(None, parts)) or "not told by this system, or not recorded"


def _mhz(clock: Mapping[str, Any], name: str) -> str | None:
    return f"{clock[name]} MHz" if clock.get(name) else None


def _steadiness(sessions: Mapping[str, Any]) -> str:
    """The same code against itself."""
    parts = []
    for batch, session in sessions.items():
        bounds = formats.interval(tuple(session["control"]["interval"]), formats.times)
        parts.append(f"batch {batch} {bounds}{', noisy' if session.get('noisy') else ''}")
    return f"the same code against itself: {'; '.join(parts)}" if parts else ""


def _rates(ceiling: Mapping[str, float] | None) -> str:
    if not ceiling:
        return ""
    return f"{formats.rate(ceiling['flops'], 'FLOP/s')}, {formats.rate(ceiling['bytes'], 'B/s')}"
