"""`python -m bcbp models`: what there is to prune."""

from __future__ import annotations

import argparse

from bcbp.cli.command import MODEL_FILE, Command, add_json, check_json, model_name, write_json
from bcbp.cli.table import table
from bcbp.intake.architectures import MODELS, load_model
from bcbp.intake.model import LoadedModel


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--model", type=model_name, metavar="NAME", help=f"only this one, or {MODEL_FILE}, with its layers"
    )
    add_json(parser)


def _run(chosen: argparse.Namespace) -> int:
    check_json(chosen.json)
    loaded = [load_model(name) for name in ([chosen.model] if chosen.model else MODELS)]
    rows = [
        [
            model.name,
            str(len(model.layers)),
            f"{sum(layer.weights for layer in model.layers) / 1e6:.2f} M",
            f"{sum(layer.macs for layer in model.layers) / 1e6:.0f} M",
            "x".join(map(str, model.input_shape)),
            model.dataset.title if model.dataset else "",
            model.note,
        ]
        for model in loaded
    ]
    print(table(["model", "prunable layers", "weights", "MACs", "input", "images", "note"], rows))
    if chosen.model:
        print(f"\n{_layer_table(loaded[0])}")
    write_json(chosen.json, {"schema": 1, "models": [_to_json(model) for model in loaded]})
    return 0


def _layer_table(model: LoadedModel) -> str:
    """Prunable layers with their sizes, then the others with the reason."""
    rows = [
        [layer.name, layer.kind, f"{layer.rows} x {layer.columns}", f"{layer.macs / 1e6:.1f} M", "prunable"]
        for layer in model.layers
    ]
    rows += [[name, "", "", "", reason] for name, reason in model.skipped]
    return table(["layer", "kind", "shape", "MACs", ""], rows)


def _to_json(model: LoadedModel) -> dict[str, object]:
    return {
        "name": model.name,
        "title": model.title,
        "digest": model.digest,
        "input_shape": list(model.input_shape),
        "dataset": model.dataset.name if model.dataset else None,
        "trained": model.trained,
        "note": model.note,
        "layers": [
            {"name": layer.name, "kind": layer.kind, "shape": [layer.rows, layer.columns], "macs": layer.macs}
            for layer in model.layers
        ],
        "skipped": [list(pair) for pair in model.skipped],
    }


COMMAND = Command(
    name="models",
    summary="List the models that can be pruned, their layers, and why a layer cannot be.",
    example="python -m bcbp models --model mobilenet_v2",
    add_arguments=_add_arguments,
    run=_run,
)
