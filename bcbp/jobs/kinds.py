"""The kinds of background jobs: what each is asked to do, and what carries it out. One line a kind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from bcbp.device_request import DeviceRequest
from bcbp.experiment import compare
from bcbp.measuring import measure_device
from bcbp.request import CompareRequest
from bcbp.scanning import scan_layers
from bcbp.sensitivity_request import SensitivityRequest

Json = dict[str, Any]


class Request(Protocol):
    """A frozen value with JSON both ways; its class has a `from_json`."""

    @property
    def title(self) -> str: ...

    def to_json(self) -> Json: ...


@dataclass(frozen=True)
class Kind:
    """How requests of one type are read and carried out, for the store at `root` of `run`.

    `run(request, root=, on_event=, should_stop=)` tells `on_event` its progress and, where it has one, its
    report; `should_stop` is looked at between steps.
    """

    request: type
    read: Callable[[Json], Request]
    run: Callable[..., object]


# Runs stored before there were kinds are comparisons.
DEFAULT = "compare"
KINDS: dict[str, Kind] = {
    "compare": Kind(CompareRequest, CompareRequest.from_json, compare),
    "device": Kind(DeviceRequest, DeviceRequest.from_json, measure_device),
    "sensitivity": Kind(SensitivityRequest, SensitivityRequest.from_json, scan_layers),
}


def kind_of(request: Request) -> str:
    """The name of the kind that such requests are."""
    return next(name for name, kind in KINDS.items() if kind.request is type(request))
