"""Results of every kind, as they come in, and what is in a page made of them."""

from __future__ import annotations

import copy
import json
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from bcbp.crossover import LOSES, WINS, distinct_layers
from bcbp.device_report import device_report
from bcbp.device_request import DeviceRequest
from bcbp.intake.architectures import load_model
from bcbp.recovery.tuning import Epoch
from bcbp.report import add_epoch, new_report
from bcbp.request import CompareRequest
from bcbp.sensitivity import Scan, ScanKey, Sensitivity
from tests.app.stored_runs import ENVIRONMENT, report
from tests.bcbp.passports import model_passport

ROOT = Path(__file__).resolve().parents[2]
SEVERAL = CompareRequest(methods=("dense", "filter", "bcbp"), ratios=(0.3, 0.5, 0.7))
HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>'\"&\ud800"


class Outline(HTMLParser):
    """The tags of a page with their attributes, and its text outside scripts and styles."""

    def __init__(self, made: bytes) -> None:
        super().__init__()
        self.scripts: dict[str | None, str] = {}  # by their names
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self._inside, self._name = "", None
        self.feed(made.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._inside, self._name = tag, dict(attrs).get("id")

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, found: str) -> None:
        if self._inside not in ("script", "style"):
            self.words.append(found)
        if self._inside == "script":
            self.scripts[self._name] = self.scripts.get(self._name, "") + found

    @property
    def text(self) -> str:
        return " ".join("".join(self.words).split())

    def count(self, tag: str) -> int:
        return sum(name == tag for name, _ in self.tags)


@cache
def one_ratio(*, accuracy: bool = True, finished: bool = True) -> dict[str, Any]:
    return report(CompareRequest(methods=("dense", "bcbp")), accuracy=accuracy, finished=finished)


@cache
def several_ratios() -> dict[str, Any]:
    return report(SEVERAL)


def unfinished() -> dict[str, Any]:
    return one_ratio(finished=False)


def without_accuracy() -> dict[str, Any]:
    return one_ratio(accuracy=False)


def without_rows() -> dict[str, Any]:
    return new_report(CompareRequest(), load_model("sample"), dict(ENVIRONMENT))


def recorded() -> dict[str, Any]:
    """Of an earlier version, which knew neither ladders nor limits."""
    found: dict[str, Any] = json.loads((ROOT / "assets" / "recorded" / "compare-sample.json").read_text())
    return found


def fine_tuned() -> dict[str, Any]:
    found = copy.deepcopy(one_ratio())
    add_epoch(found["rows"][-1], Epoch(1, 0.5, 0.8, 900, 1000, 3.0))
    return found


def device() -> dict[str, Any]:
    passport = model_passport({0.5: WINS, 0.75: LOSES})
    request = DeviceRequest(ratios=(0.5,))
    return device_report(passport, distinct_layers(load_model("sample")), request)


def device_of_old() -> dict[str, Any]:
    """A passport as it ships, of several models, tiles and batch sizes."""
    path = ROOT / "assets" / "recorded" / "passport-amd-epyc-2-cores.json"
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def nothing_timed() -> dict[str, Any]:
    return device() | {"rows": []}


def sensitivity() -> dict[str, Any]:
    rows = (
        Sensitivity("conv1", 0.5, 1, 41, 0.04, (0.028, 0.052)),
        Sensitivity("conv1", 0.9, 3, 123, 0.12, (0.1, 0.14)),
        Sensitivity("fc", 0.5, 2, 3, 0.001, (-0.003, 0.005)),
        Sensitivity("fc", 0.9, reason="its filters stay"),
        Sensitivity("conv2", 0.5, 40, 1, -0.039, (-0.05, -0.02)),
    )
    key = ScanKey("ab" * 32, "bcbp", "l2", 32, 1000, 500, 7)
    return Scan(key, 930, rows, "Sample", dict(ENVIRONMENT)).to_json()


def scan_of_old() -> dict[str, Any]:
    """Which knew neither its model's name nor where it was measured."""
    return {name: one for name, one in sensitivity().items() if name not in ("model", "environment")}


def scan_without_rows() -> dict[str, Any]:
    return sensitivity() | {"rows": []}


def hostile(value: Any) -> Any:
    """`value` with every text that somebody can choose replaced by markup; names of methods stay."""
    if isinstance(value, dict):
        kept = ("method", "verdict", "date", "device", "precision")
        return {name: one if name in kept else hostile(one) for name, one in value.items()}
    if isinstance(value, list):
        return [hostile(one) for one in value]
    return HOSTILE if isinstance(value, str) else value


COMPARISONS = (one_ratio, unfinished, without_accuracy, without_rows, recorded, fine_tuned)
DEVICES, SCANS = (device, device_of_old, nothing_timed), (sensitivity, scan_of_old, scan_without_rows)
BUILDS = (*COMPARISONS, *DEVICES, *SCANS)
