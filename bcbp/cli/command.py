"""What a subcommand is, and the arguments and output that several share."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bcbp.allocation import ALLOCATIONS
from bcbp.criteria import CRITERIA
from bcbp.errors import DataError, ModelError, SpecError
from bcbp.geometry import TILE_ROWS
from bcbp.intake.architectures import MODELS, load_model, reference_to
from bcbp.intake.entries import TIMM
from bcbp.intake.model import LoadedModel
from bcbp.intake.uploads import UploadStore
from bcbp.mask_store import MaskStore
from bcbp.picture_store import PictureStore
from bcbp.planning import scope
from bcbp.preprocessing import Adjustment
from bcbp.recovery import RECOVERIES
from bcbp.recovery.tuning import PRECISIONS as TUNING_PRECISIONS
from bcbp.recovery.tuning import Tuning
from bcbp.runtime import CPU, DEVICES, GPU
from bcbp.spec import PruneSpec
from bcbp.training import OPTIMIZERS, SCHEDULES, USUAL_RATES
from kernels.precision import FP16, FP32, PRECISIONS

MODEL_FILE = "a file of weights as FILE or FILE@ARCHITECTURE"
TILED = ("bcbp", "column", "block")  # methods that keep a layer dense when their tile does not fit it


@dataclass(frozen=True)
class Command:
    """One subcommand: name, one sentence, an example, its arguments; `run` gives the exit code."""

    name: str
    summary: str
    example: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]


def add_model(parser: argparse.ArgumentParser, default: str = "sample") -> None:
    parser.add_argument(
        "--model",
        default=default,
        type=model_name,
        metavar="NAME",
        help=f"one of {', '.join(MODELS)}, another classifier of torchvision, {TIMM}NAME, or {MODEL_FILE} "
        "(%(default)s)",
    )


def model_name(text: str) -> str:
    """A model's name as it is; a file of weights is read, kept, and named by its reference."""
    file, _, architecture = text.rpartition("@") if not Path(text).is_file() else (text, "", "")
    if not Path(file).is_file():
        return text
    try:
        return str(reference_to(UploadStore().take_in(Path(file)), architecture or None))
    except ModelError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def add_data(parser: argparse.ArgumentParser) -> None:
    """Where the images are, and what of their preparation is to be otherwise than the model expects."""
    group = parser.add_argument_group("images")
    group.add_argument(
        "--data",
        type=images_name,
        metavar="PLACE",
        help="folder of the images, if not bundled, or a zip of it: train/CLASS and val/CLASS, or CLASS",
    )
    group.add_argument(
        "--resize", type=int, metavar="PIXELS", help="of the shorter side (as the model expects)"
    )
    for name, meaning in (("mean", "subtracted from"), ("std", "then dividing")):
        group.add_argument(
            f"--{name}",
            type=shares,
            metavar="R,G,B",
            help=f"{meaning} each channel, a share from 0 to 1 (likewise)",
        )


def images_name(text: str) -> str:
    """A folder as it is; a zip of one is unpacked, kept, and named by its reference."""
    if not Path(text).is_file():
        return text
    try:
        return PictureStore().take_in(Path(text)).reference
    except DataError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def adjustment_of(chosen: argparse.Namespace) -> Adjustment:
    """What the arguments of `add_data` want otherwise. Raises SpecError."""
    return Adjustment(chosen.resize, chosen.mean, chosen.std)


def add_spec(parser: argparse.ArgumentParser, *, recovery: bool = True, several: bool = False) -> None:
    """What to prune and how, in the dashboard's words; without `recovery` that is not asked for.

    With `several` ratios the argument is a tuple of them.
    """
    spec = PruneSpec()
    tiles = ", ".join(map(str, TILE_ROWS))
    parser.add_argument(
        "--tile", type=int, default=spec.tile, help=f"filters per tile, V: {tiles} (%(default)s)"
    )
    what = "share of weights removed, in [0, 1)"
    if several:
        parser.add_argument(
            "--ratio",
            type=shares,
            default=(spec.ratio,),
            metavar="RATIOS",
            help=f"{what}; several: 0.3,0.5,0.7 ({spec.ratio})",
        )
    else:
        parser.add_argument("--ratio", type=float, default=spec.ratio, help=f"{what} (%(default)s)")
    tables: dict[str, Collection[str]] = {"criterion": CRITERIA, "allocation": ALLOCATIONS}
    for name, table in (tables | {"recovery": RECOVERIES} if recovery else tables).items():
        choices = ", ".join(table)
        parser.add_argument(
            f"--{name}", default=getattr(spec, name), metavar="NAME", help=f"{choices} (%(default)s)"
        )
    parser.add_argument(
        "--layer-ratio",
        action="append",
        default=[],
        type=layer_ratio,
        metavar="LAYER=RATIO",
        help="fix the ratio of one layer; may be repeated",
    )
    parser.add_argument(
        "--exclude", action="append", default=[], metavar="LAYER", help="keep a layer dense; may be repeated"
    )
    parser.add_argument(
        "--k-step", type=int, default=spec.k_step, help="kept columns are multiples of it (1)"
    )
    parser.add_argument(
        "--permute", action="store_true", help="put filters that want the same columns into one tile"
    )
    parser.add_argument("--seed", type=int, default=spec.seed, help="for random choices (%(default)s)")
    parser.add_argument(
        "--budget-ms",
        type=float,
        metavar="MS",
        help="for --allocation latency: what all layers may take",
    )
    parser.add_argument(
        "--masks",
        type=Path,
        metavar="FILE",
        help="a file of masks, masks.safetensors of an export; what it was made by replaces the above",
    )
    parser.add_argument(
        "--budget-batch", type=int, default=spec.batch, help="images at which the budget holds (%(default)s)"
    )


def add_tuning(parser: argparse.ArgumentParser) -> None:
    """How to fine-tune: a field of `Tuning` each."""
    tuning = Tuning()
    numbers = {
        "epochs": "passes over the training images",
        "batch": "images a step, over all processes",
        "weight-decay": "pull towards zero",
        "label-smoothing": "share of a label that is spread over all classes",
        "distill": "share of the loss that follows the dense network's answers, in [0, 1]",
        "temperature": "softens those answers",
    }
    group = parser.add_argument_group("fine-tuning")
    for name, meaning in numbers.items():
        default = getattr(tuning, name.replace("-", "_"))
        flag = "--tune-batch" if name == "batch" else f"--{name}"
        group.add_argument(flag, type=type(default), default=default, help=f"{meaning} (%(default)s)")
    usual = ", ".join(f"{rate:g} for {name}" for name, rate in USUAL_RATES.items())
    group.add_argument("--rate", type=float, help=f"peak learning rate ({usual})")
    for name, choices in (
        ("optimizer", OPTIMIZERS),
        ("schedule", SCHEDULES),
        ("precision", TUNING_PRECISIONS),
    ):
        flag = "--tune-precision" if name == "precision" else f"--{name}"
        group.add_argument(
            flag,
            default=getattr(tuning, name),
            metavar="NAME",
            help=f"{', '.join(choices)} (%(default)s)",
        )


def tuning_of(chosen: argparse.Namespace) -> Tuning:
    """The settings that the arguments of `add_tuning` and the seed describe. Raises SpecError."""
    return Tuning(
        epochs=chosen.epochs,
        batch=chosen.tune_batch,
        rate=USUAL_RATES.get(chosen.optimizer, Tuning().rate) if chosen.rate is None else chosen.rate,
        optimizer=chosen.optimizer,
        schedule=chosen.schedule,
        weight_decay=chosen.weight_decay,
        label_smoothing=chosen.label_smoothing,
        distill=chosen.distill,
        temperature=chosen.temperature,
        precision=chosen.tune_precision,
        seed=chosen.seed,
    )


def spec_of(
    chosen: argparse.Namespace,
    pattern: str = "bcbp",
    *,
    recovery: str | None = None,
    ratio: float | None = None,
) -> PruneSpec:
    """The spec that the arguments of `add_spec` describe; `recovery` and `ratio` where they are not theirs.

    With --masks it is that of the file. Raises SpecError, ModelError.
    """
    asked = PruneSpec(
        pattern=pattern,
        ratio=chosen.ratio if ratio is None else ratio,
        tile=chosen.tile,
        criterion=chosen.criterion,
        allocation=chosen.allocation,
        recovery=recovery or chosen.recovery,
        k_step=chosen.k_step,
        ratios=tuple(sorted(dict(chosen.layer_ratio).items())),
        exclude=tuple(chosen.exclude),
        seed=chosen.seed,
        budget_ms=chosen.budget_ms,
        batch=chosen.budget_batch,
        permute=chosen.permute,
    )
    return asked if chosen.masks is None else _spec_of_masks(chosen.masks, load_model(chosen.model), asked)


def _spec_of_masks(path: Path, model: LoadedModel, asked: PruneSpec) -> PruneSpec:
    """What a file of masks was made by, with the recovery asked for. Raises SpecError, ModelError."""
    store = MaskStore()
    spec = replace(store.plan(store.take_in(path).id, model).spec, recovery=asked.recovery)
    for name, usual in PruneSpec(recovery=asked.recovery).to_json().items():
        given = asked.to_json()[name]
        if given not in (usual, spec.to_json()[name]):
            raise SpecError(
                f"Expected with --masks what {path} was made by, {name} {spec.to_json()[name]}; got {given}. "
                "Leave it out."
            )
    return spec


def add_device(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--device", choices=DEVICES, default=CPU, help="where to time (%(default)s)")
    parser.add_argument(
        "--precision", choices=tuple(PRECISIONS), help=f"({FP32.name} on {CPU}, {FP16.name} on {GPU})"
    )


def precision_of(chosen: argparse.Namespace) -> str:
    """The precision asked for, else the device's usual one."""
    return str(chosen.precision or (FP32 if chosen.device == CPU else FP16).name)


def check_tile(model: LoadedModel, spec: PruneSpec, methods: Iterable[str]) -> None:
    """Raises SpecError where a method that works in tiles would leave every layer in scope dense."""
    tiled = [method for method in methods if method in TILED]
    if not tiled:
        return
    layers, _ = scope(model, spec)
    reasons = [reason for layer in layers if (reason := layer.tile_reason(spec.tile))]
    if len(reasons) == len(layers):
        raise SpecError(
            f"Expected a tile that fits at least one layer of {model.name} for {', '.join(tiled)}; "
            f"got {spec.tile}. In {layers[0].name} {reasons[0]}."
        )


def layer_ratio(text: str) -> tuple[str, float]:
    """`conv1=0.5` as ("conv1", 0.5)."""
    name, equals, ratio = text.rpartition("=")
    try:
        return (name, float(ratio)) if equals and name else _not_a_layer_ratio(text)
    except ValueError:
        return _not_a_layer_ratio(text)


def _not_a_layer_ratio(text: str) -> tuple[str, float]:
    raise argparse.ArgumentTypeError(f"expected LAYER=RATIO, got {text!r}")


def names(text: str) -> tuple[str, ...]:
    """`a,b` as ("a", "b")."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


def numbers(text: str) -> tuple[int, ...]:
    """`1,32` as (1, 32)."""
    try:
        return tuple(int(number) for number in names(text))
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected whole numbers like 1,32; got {text!r}") from None


def shares(text: str) -> tuple[float, ...]:
    """`0.5,0.75` as (0.5, 0.75)."""
    try:
        return tuple(float(number) for number in names(text))
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected numbers like 0.5,0.75; got {text!r}") from None


def add_json(parser: argparse.ArgumentParser, what: str = "everything") -> None:
    parser.add_argument("--json", type=Path, metavar="FILE", help=f"also write {what} as JSON")


def check_json(path: Path | None, option: str = "--json") -> None:
    """Raises SpecError before the work rather than after it, where the file could not be written."""
    if path is None:
        return
    folder = path.resolve().parent
    if not folder.is_dir():
        raise SpecError(f"Expected {option} to name a file in a folder that exists; there is no {folder}.")
    if path.is_dir():
        raise SpecError(f"Expected {option} to name a file; {path} is a folder. Name a file in it.")
    if not os.access(path if path.exists() else folder, os.W_OK):
        raise SpecError(f"Expected {option} to name a file that can be written; {path} cannot. Name another.")


def write_json(path: Path | None, data: dict[str, Any] | None) -> None:
    """Write `data` where there is any, and a file to write it to."""
    if path is not None and data is not None:
        path.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
