"""Prunes, converts and runs every classifier of torchvision, and writes docs/coverage.md from what it found.

python tools/coverage.py              what is missing in assets/recorded/coverage.json, one process a model
python tools/coverage.py MODEL        that model again
python tools/coverage.py --page       the page alone
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tools")]

from measured_tables import RECORDED, markdown  # noqa: E402

import bcbp  # noqa: E402
from bcbp.costs import network_macs, network_parameters, removed_macs  # noqa: E402
from bcbp.errors import BcbpError  # noqa: E402
from bcbp.files import read_json, write_json  # noqa: E402
from bcbp.intake.entries import keep_scale  # noqa: E402
from bcbp.recovery.batchnorm import norm_layers  # noqa: E402
from kernels.device import environment, processor  # noqa: E402
from kernels.precision import FP32  # noqa: E402
from kernels.testing import network_tolerance  # noqa: E402

Json = dict[str, Any]
RECORD, PAGE = RECORDED / "coverage.json", ROOT / "docs" / "coverage.md"
RATIO, TILE, ENGINE = 0.5, 32, "cpu-tiles"
_PIXELS = {"inception_v3": 299}
_SEEN = 4  # images that batch norms take their statistics from
_DRAWS_SLOWLY = ("googlenet", "inception_v3")  # their own initial weights take half a minute
# A word for the table, how a reason begins, and what it means.
WHY = (
    ("stem", "the first convolution", "it reads the image: few weights, much to lose"),
    ("head", "the final classifier", "every class needs its row"),
    ("depth-wise", "depth-wise convolution", "one filter for each channel: a matrix of 9, 25 or 49 columns"),
    (
        "grouped",
        "a tile of",
        f"a tile of {TILE} filters would straddle groups; one that divides them fits",
    ),
    ("not called", "never called as a layer", "attention reads its weights itself, or nothing does"),
)
INTRODUCTION = f"""# Coverage

Written by `tools/coverage.py`: every classifier of torchvision, with random weights and batch norms that
have seen {_SEEN} random images, is planned at ratio {RATIO:g} and V = {TILE}, converted, run on the processor
for one image, and compared with the masked dense network. *Off by* is the largest difference, *allowed*
what the rounding of so many layers may come to, both as shares of the root mean square of the output.
MACs are those of the whole network, attention included. *Sparse* counts the layers that run on the sparse
engine. Nothing was timed."""


def names() -> list[str]:
    from torchvision import models

    return models.list_models(module=models)


def load(name: str) -> bcbp.LoadedModel:
    from torchvision import models

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        extra = {"init_weights": False, "aux_logits": True} if name in _DRAWS_SLOWLY else {}
        module = models.get_model(name, weights=None, **extra)
        pixels = _PIXELS.get(name, 224)
        settle(module, torch.randn(_SEEN, 3, pixels, pixels))
    return bcbp.adopt(module, name=name, input_shape=(3, pixels, pixels))


@torch.no_grad()
def settle(module: nn.Module, images: Tensor) -> None:
    """Make every layer count, as training would: with the weights they begin with, some networks answer
    next to nothing whatever their layers do, and others turn rounding into another answer.
    """
    keep_scale(module)
    for child in module.modules():
        if isinstance(child, nn.Linear) and not child.weight.any():  # a head that answers nothing
            nn.init.kaiming_normal_(child.weight)
        if isinstance(scale := getattr(child, "layer_scale", None), nn.Parameter):  # begins at 1e-6
            scale.fill_(1)
    module.eval()
    for norm in norm_layers(module).values():
        norm.train().momentum = 1.0
    module(images)
    module.eval()


def covered(name: str) -> Json:
    """The row of a model: what could be pruned, how it ran, and how far it is off; or why it could not."""
    began = time.monotonic()
    try:
        row = _covered(load(name))
    except BcbpError as error:
        row = {"refused": str(error)}
    return {"model": name} | row | {"seconds": round(time.monotonic() - began, 1)}


def _covered(model: bcbp.LoadedModel) -> Json:
    plan = bcbp.make_plan(model, bcbp.PruneSpec(ratio=RATIO, tile=TILE))
    network = bcbp.convert(model.module, plan, input_shape=model.input_shape, engine=ENGINE)
    image = torch.randn(1, *model.input_shape, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        expected = bcbp.apply_plan(model, plan)(image)
        off = (network(image) - expected).abs().max() / expected.square().mean().sqrt()
    columns = max(layer.columns for layer in model.layers)
    pruned = {layer.name: layer for layer in plan if layer.ratio > 0}
    macs = network_macs(model)
    scope = sum(model.layer(name).macs for name in pruned)
    layers = {run.name for run in network.layers}
    reasons = Counter(reason for name, reason in (*model.skipped, *plan.kept_dense) if name in layers)
    reasons.update(run.reason for run in network.layers if run.name in pruned and run.engine != ENGINE)
    return {
        "parameters": network_parameters(model.module),
        "macs": macs,
        "macs_after": macs - removed_macs(model, plan),
        "prunable": scope / macs,
        "layers": len(network.layers),
        "pruned": len(pruned),
        "sparse": sum(run.engine == ENGINE for run in network.layers),
        "reasons": dict(reasons),
        "note": network.note,
        "off": float(off),
        "allowed": network_tolerance(len(network.layers), columns, FP32),
    }


def record(name: str) -> None:
    held = read_json(RECORD) or {"rows": []}
    rows = [row for row in held["rows"] if row["model"] != name] + [covered(name)]
    write_json(RECORD, {"environment": environment(), "rows": sorted(rows, key=lambda row: row["model"])})


def document(held: Json) -> str:
    rows = held["rows"]
    header = [
        "model",
        "M parameters",
        "prunable share of MACs",
        "M MACs",
        "after",
        "sparse",
        "dense, and why",
    ]
    table = markdown([*header, "off by", "allowed"], [_cells(row) for row in rows])
    words = "\n".join(f"- **{word}**: {meaning}" for word, _, meaning in WHY)
    made = held["environment"]
    versions = ", ".join(f"{name} {made['versions'][name]}" for name in ("torch", "torchvision", "llvmlite"))
    conditions = f"{processor(made)}, {versions}; commit {made['commit'][:10]}, {made['date'][:10]}."
    return "\n\n".join([INTRODUCTION, table, "## Why layers run dense", words, conditions]) + "\n"


def _cells(row: Json) -> list[str]:
    if "refused" in row:
        return [row["model"], *[""] * 7, f"refused: {row['refused']}"]
    return [
        row["model"],
        f"{row['parameters'] / 1e6:.1f}",
        f"{row['prunable']:.0%}",
        f"{row['macs'] / 1e6:,.0f}",
        f"{row['macs_after'] / 1e6:,.0f}",
        str(row["sparse"]),
        _dense(row),
        f"{row['off']:.1e}",
        f"{row['allowed']:.1e}",
    ]


def _dense(row: Json) -> str:
    """How many layers run dense for which reason, in the order of WHY; a reason it lacks in full."""
    found: Counter[str] = Counter()
    for reason, count in row["reasons"].items():
        found[next((word for word, start, _ in WHY if reason.startswith(start)), reason)] += count
    order = [word for word, _, _ in WHY if word in found]
    parts = [f"{found[word]} {word}" for word in (*order, *sorted(found.keys() - set(order)))]
    return ", ".join([*parts, *([f"not fused: {row['note']}"] if row["note"] else [])])


def main() -> None:
    if sys.argv[1:] == ["--page"]:
        PAGE.write_text(document(json.loads(RECORD.read_text())))
    elif sys.argv[1:]:
        record(sys.argv[1])
    else:
        done = {row["model"] for row in (read_json(RECORD) or {"rows": []})["rows"]}
        for name in (name for name in names() if name not in done):
            print(name, flush=True)
            subprocess.run([sys.executable, __file__, name], check=False)


if __name__ == "__main__":
    main()
