"""`python -m bcbp plan`: what would be removed, without running anything."""

from __future__ import annotations

import argparse

from bcbp.cli.command import (
    Command,
    add_data,
    add_json,
    add_model,
    add_spec,
    adjustment_of,
    check_json,
    check_tile,
    spec_of,
    write_json,
)
from bcbp.cli.report_text import importance_text
from bcbp.cli.table import table
from bcbp.costs import kept_parameters, network_macs, network_parameters, removed_macs
from bcbp.devices import first_device
from bcbp.gathering import gather
from bcbp.image_folder import with_image_folder
from bcbp.intake.architectures import load_model
from bcbp.jobs.store import default_root
from bcbp.names import check_names
from bcbp.passport_store import PassportStore
from bcbp.picture_store import place_of
from bcbp.plan import Forecast, Importance, LayerPlan
from bcbp.planning import make_plan
from bcbp.sensitivity import ScanStore
from kernels.device import environment

_HEADER = ["layer", "shape", "tiles", "columns per tile", "filters", "asked", "ratio", "WIT before", "after"]
_KEPT = ["importance kept", "permuted"]


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    add_model(parser)
    parser.add_argument("--method", default="bcbp", metavar="NAME", help="how to prune (%(default)s)")
    add_spec(parser)
    add_data(parser)
    add_json(parser)


def _run(chosen: argparse.Namespace) -> int:
    check_json(chosen.json)
    spec = spec_of(chosen, chosen.method)
    check_names(spec)
    folder = place_of(chosen.data)
    model = with_image_folder(load_model(chosen.model), folder, adjustment_of(chosen))
    check_tile(model, spec, [spec.pattern])
    root = default_root()
    measured = gather(
        model,
        spec,
        scans=ScanStore(root),
        passports=PassportStore(root),
        device=first_device(),
        conditions=environment(),
    )
    plan = make_plan(model, spec, measured, folder=folder)
    if plan.importance is None:
        print(table(_HEADER, [_row(layer) for layer in plan]))
    else:
        print(table([*_HEADER, *_KEPT], [_row(layer) + _kept(layer.importance) for layer in plan]))
    kept, parameters = kept_parameters(model, plan), network_parameters(model.module)
    macs = network_macs(model)
    left = macs - removed_macs(model, plan)
    print(f"\nremoved {plan.sparsity:.2%} of the weights in scope")
    print(f"network: {kept:,} of {parameters:,} parameters, {left / 1e6:,.1f} of {macs / 1e6:,.1f} M MACs")
    if plan.importance is not None:
        print(importance_text(*plan.importance.shares))
    if spec.masks:
        print(f"masks from a file, kept as {spec.masks}")
    for name, reason in plan.kept_dense:
        print(f"dense: {name}: {reason}")
    for note in plan.notes:
        print(f"note: {note}")
    if plan.forecast is not None:
        print(forecast_text(plan.forecast))
    write_json(chosen.json, plan.to_json())
    return 0


def _row(layer: LayerPlan) -> list[str]:
    counts = layer.mask.kept_per_tile
    least, most = int(counts.min()), int(counts.max())
    return [
        layer.name,
        f"{layer.shape[0]} x {layer.shape[1]}",
        str(len(counts)),
        str(most) if least == most else f"{least} to {most}",
        str(int(layer.mask.rows.sum())),
        f"{layer.target:.4f}",
        f"{layer.ratio:.4f}",
        f"{layer.wit_before:.3f}",
        f"{layer.mask.wit:.3f}",
    ]


def _kept(importance: Importance | None) -> list[str]:
    """Shares of the layer's importance, with filters in their own order and permuted."""
    return [f"{share:.4f}" for share in importance.shares] if importance else ["", ""]


def forecast_text(forecast: Forecast) -> str:
    """What a latency budget brings, layer by layer; estimates all."""
    rows = [[name, reason] for name, reason in forecast.reasons]
    head = (
        f"estimate: {forecast.ms:.4g} ms of {forecast.dense_ms:.4g} ms dense at batch {forecast.batch} on "
        f"{forecast.device}, the sum of its layers timed alone; budget {forecast.budget_ms:g} ms"
    )
    return f"\n{head}\n{forecast.price}\n{table(['layer', 'choice'], rows)}"


COMMAND = Command(
    name="plan",
    summary="Show what each layer would keep. Nothing is run or timed.",
    example="python -m bcbp plan --model resnet18 --tile 64 --ratio 0.5 --allocation global --json plan.json",
    add_arguments=_add_arguments,
    run=_run,
)
