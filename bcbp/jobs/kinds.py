"""The kinds of background jobs: what each is asked to do, and what carries it out. One line a kind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from bcbp.device_request import DeviceRequest
from bcbp.experiment import OnEvent, ShouldStop, compare
from bcbp.export_request import ExportRequest
from bcbp.exporting import export, zipped
from bcbp.measuring import measure_device
from bcbp.predictions import write_predictions
from bcbp.recovery import FINETUNE
from bcbp.recovery.workshop import Workshop
from bcbp.request import CompareRequest
from bcbp.scanning import scan_layers
from bcbp.sensitivity_request import SensitivityRequest
from bcbp.team import Team, training_device

Json = dict[str, Any]


class Request(Protocol):
    """A frozen value with JSON both ways; its class has a `from_json`."""

    @property
    def title(self) -> str: ...

    def to_json(self) -> Json: ...


@dataclass(frozen=True)
class Kind:
    """How requests of one type are read and carried out.

    `run(request, folder=, on_event=, should_stop=)` tells `on_event` its progress and, where it has one, its
    report; `should_stop` is looked at between steps. `folder` is that of the run, two below its store.
    `title` is for lists of runs. `kept(request)` says what a run, finished or not, leaves to the next one of
    the same request; it is empty where that begins anew. `stays(request)` names what is still there when
    the run is deleted, and `files(request)` what lies elsewhere in its store and goes with the last such run.
    """

    title: str
    request: type
    read: Callable[[Json], Request]
    run: Callable[..., object]
    kept: Callable[[Any], str]
    stays: Callable[[Any], str]
    files: Callable[[Any], tuple[str, ...]] = lambda _request: ()


def _compare(request: CompareRequest, *, folder: Path, on_event: OnEvent, should_stop: ShouldStop) -> None:
    """Beside its report a comparison keeps what its networks answered; in the store, what it fine-tunes."""
    root = folder.parent.parent
    compare(
        request,
        on_event=on_event,
        on_predictions=partial(write_predictions, folder / PREDICTIONS),
        should_stop=should_stop,
        workshop=Workshop(root / FINETUNED, Team(device=training_device())),
        root=root,
    )


def _in_store(run: Callable[..., object]) -> Callable[..., object]:
    """A job that keeps everything in the store itself, at `root`."""

    def run_there(request: Request, *, folder: Path, on_event: OnEvent, should_stop: ShouldStop) -> None:
        run(request, root=folder.parent.parent, on_event=on_event, should_stop=should_stop)

    return run_there


def _export(request: ExportRequest, *, root: Path, on_event: OnEvent, should_stop: ShouldStop) -> None:
    """Into a folder named by the content of the request, and one file of all beside it."""
    folder = root / EXPORTED / request.id
    workshop = Workshop(root / FINETUNED, Team(device=training_device()))
    export(request, folder, root=root, on_event=on_event, should_stop=should_stop, workshop=workshop)
    zipped(folder)


def _kept_of_training(request: CompareRequest | ExportRequest) -> str:
    tunes = request.spec.recovery == FINETUNE.name
    return "Fine-tuning goes on from its checkpoints; all else is done again." if tunes else ""


def _kept_of_times(request: DeviceRequest) -> str:
    return "" if request.again else "Layers that were timed are not timed again."


def _kept_of_scan(_request: SensitivityRequest) -> str:
    return "Layers that were measured are not measured again."


def _training_stays(request: CompareRequest | ExportRequest) -> str:
    tunes = request.spec.recovery == FINETUNE.name
    return "checkpoints and weights of fine-tuning, which the next such run takes up" if tunes else ""


def _times_stay(_request: DeviceRequest) -> str:
    return "the layer times that it measured, which Device shows"


def _scan_stays(_request: SensitivityRequest) -> str:
    return "the layers that it measured, which Tune shows"


def _exported(request: ExportRequest) -> tuple[str, ...]:
    return f"{EXPORTED}/{request.id}", f"{EXPORTED}/{request.id}.zip"


EXPORTED = "exported"  # the folder of a store in which exports lie
FINETUNED = "finetuned"  # the folder of a store in which checkpoints and weights of fine-tuning lie
PREDICTIONS = "predictions.npz"  # beside the report of a comparison

# Runs stored before there were kinds are comparisons.
DEFAULT = "compare"
KINDS: dict[str, Kind] = {
    "compare": Kind(
        "Comparison", CompareRequest, CompareRequest.from_json, _compare, _kept_of_training, _training_stays
    ),
    "device": Kind(
        "Layer times",
        DeviceRequest,
        DeviceRequest.from_json,
        _in_store(measure_device),
        _kept_of_times,
        _times_stay,
    ),
    "export": Kind(
        "Export",
        ExportRequest,
        ExportRequest.from_json,
        _in_store(_export),
        _kept_of_training,
        _training_stays,
        _exported,
    ),
    "sensitivity": Kind(
        "Sensitivity scan",
        SensitivityRequest,
        SensitivityRequest.from_json,
        _in_store(scan_layers),
        _kept_of_scan,
        _scan_stays,
    ),
}


def kind_of(request: Request) -> str:
    """The name of the kind that such requests are."""
    return next(name for name, kind in KINDS.items() if kind.request is type(request))
