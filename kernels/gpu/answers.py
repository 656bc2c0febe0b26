"""What was measured to be fastest on a kind of card, kept between runs: one small JSON file per problem.

A file of its own for each answer needs no lock: it is written beside its place and renamed, so that
processes that tune at once lose nothing, and a damaged file costs one answer. Tables of cards that were
measured for the product are shipped; a card's own answers come first.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from kernels.device import ROOT
from kernels.gpu.launch import LaunchConfig

SCHEMA = 2
# Raise it with every change to a kernel, to how an operator binds its launch or to which launches are timed:
# what was fastest before it may not be any more, and is measured anew.
KERNELS = 1
TABLES = ROOT / "assets" / "tuning"
HERE, SHIPPED = "here", "on another card of this kind"


@dataclass(frozen=True)
class Timed:
    """One candidate of OPERATORS and its time; `config` is None where the operator needs none."""

    engine: str
    config: LaunchConfig | None
    median_ms: float
    q1_ms: float
    q3_ms: float

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Timed:
        config = None if data["config"] is None else LaunchConfig(**data["config"])
        times = [float(data[name]) for name in ("median_ms", "q1_ms", "q3_ms")]
        return cls(str(data["engine"]), config, *times)


@dataclass(frozen=True)
class Answer:
    """All candidates that were timed for a problem, and when. `where` says whose measurement it is.

    `refused` names those that could not be timed, each with what the card or the library said.
    """

    problem: str
    timed: tuple[Timed, ...]
    date: str
    noisy: bool = False
    where: str = HERE
    refused: tuple[str, ...] = ()

    def fastest(self, engines: frozenset[str]) -> Timed | None:
        """The fastest of those engines; None if none was timed."""
        found = [one for one in self.timed if one.engine in engines]
        return min(found, key=lambda one: one.median_ms, default=None)

    def to_json(self) -> dict[str, Any]:
        return {
            "problem": self.problem,
            "timed": [asdict(one) for one in self.timed],
            "date": self.date,
            "noisy": self.noisy,
            "refused": list(self.refused),
        }

    @classmethod
    def from_json(cls, data: dict[str, Any], *, where: str = HERE) -> Answer:
        """Inverse of `to_json`. Raises KeyError, TypeError or ValueError for anything else."""
        timed = tuple(Timed.from_json(one) for one in data["timed"])
        if not timed:
            raise ValueError("expected at least one time, got none")
        refused = tuple(map(str, data["refused"]))
        return cls(str(data["problem"]), timed, str(data["date"]), bool(data["noisy"]), where, refused)


def default_folder() -> Path:
    """$BCBP_HOME/tuning, else this user's folder for what can be made again."""
    if home := os.environ.get("BCBP_HOME"):
        return Path(home) / "tuning"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData/Local")) / "bcbp" / "tuning"
    if sys.platform == "darwin":
        return Path.home() / "Library/Caches/bcbp/tuning"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "bcbp" / "tuning"


def key_of(card: str, *, triton: str, torch: str, cudnn: int | None) -> str:
    """What answers are kept under: all that decides how fast the same launch is, as a file name.

    >>> key_of("nvidia-h200-sm90", triton="3.8.0", torch="2.11.0+cu130", cudnn=91200)
    'nvidia-h200-sm90-triton3.8.0-torch2.11.0+cu130-cudnn91200-kernels1'
    """
    return f"{card}-triton{triton}-torch{torch}-cudnn{cudnn or 'none'}-kernels{KERNELS}"


class Answers:
    """The answers for one `key`: a kind of card, and the versions of what runs on it (see key_of)."""

    def __init__(self, key: str, *, folder: Path | None = None, tables: Path = TABLES) -> None:
        self.key = key
        self.folder = (folder or default_folder()) / key
        self._table = tables / f"{key}.json"
        self._shipped: dict[str, Answer] | None = None

    def find(self, problem: str) -> tuple[Answer | None, str]:
        """The answer for a problem, or None; and a warning, empty if all files could be read."""
        own, warning = _read(self._path(problem))
        if own is not None and own.problem == problem:
            return own, ""
        return self._shipped_answers().get(problem), warning

    def remember(self, answer: Answer) -> str:
        """Keep an answer; gives the reason why it could not be kept, else an empty text."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            _replace(self._path(answer.problem), {"schema": SCHEMA, **answer.to_json()})
        except OSError as error:
            return f"not remembered: {error.strerror or error} ({self.folder})"
        return ""

    def all(self) -> Iterator[Answer]:
        """Every readable answer, the card's own before shipped ones."""
        own = [_read(path)[0] for path in sorted(self.folder.glob("*.json"))]
        known = {answer.problem: answer for answer in own if answer is not None}
        yield from known.values()
        yield from (one for one in self._shipped_answers().values() if one.problem not in known)

    def _path(self, problem: str) -> Path:
        return self.folder / f"{hashlib.sha256(problem.encode()).hexdigest()[:24]}.json"

    def _shipped_answers(self) -> dict[str, Answer]:
        if self._shipped is None:
            self._shipped = read_table(self._table) if self._table.exists() else {}
        return self._shipped


def known_cards(folder: Path | None = None, tables: Path = TABLES) -> list[str]:
    """The keys of all kinds of card that anything is known of."""
    own = {path.name for path in (folder or default_folder()).glob("*") if path.is_dir()}
    return sorted(own | {path.stem for path in tables.glob("*.json")})


def table_of(key: str, answers: Iterator[Answer]) -> dict[str, Any]:
    """Answers as one JSON-able table, fit to be shipped as TABLES / f"{key}.json"."""
    return {"schema": SCHEMA, "card": key, "answers": [answer.to_json() for answer in answers]}


def read_table(path: Path) -> dict[str, Answer]:
    """A shipped table by problem. Raises ValueError for a file that is no such table."""
    try:
        data = _of_this_schema(json.loads(path.read_text(encoding="utf-8")))
        found = [Answer.from_json(entry, where=SHIPPED) for entry in data["answers"]]
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"expected a table of tuned launches in {path}, got {error}") from error
    return {answer.problem: answer for answer in found}


def _read(path: Path) -> tuple[Answer | None, str]:
    """The answer in a file, if there is one; and a warning if the file is damaged or of another schema."""
    try:
        return Answer.from_json(_of_this_schema(json.loads(path.read_text(encoding="utf-8")))), ""
    except FileNotFoundError:
        return None, ""
    except (OSError, KeyError, TypeError, ValueError) as error:
        return None, f"{path} is damaged and was passed over ({type(error).__name__}: {error})"


def _of_this_schema(data: dict[str, Any]) -> dict[str, Any]:
    """`data` itself. Raises ValueError for what another version of this product wrote."""
    if data["schema"] != SCHEMA:
        raise ValueError(f"expected schema {SCHEMA}, got {data['schema']}")
    return data


def _replace(path: Path, data: dict[str, Any]) -> None:
    """Write in one step, under a name of this writer's own: two may write the same answer."""
    handle, beside = tempfile.mkstemp(dir=path.parent, prefix=path.stem, suffix=".part")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(data, file)
        os.replace(beside, path)
    except BaseException:
        Path(beside).unlink(missing_ok=True)
        raise
