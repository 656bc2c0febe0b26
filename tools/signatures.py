"""Make assets/signatures.json.gz again: what every architecture that can be recognised calls its tensors.

`python tools/signatures.py` builds torchvision's classifiers and the bundled networks without memory (on the
meta device), see `shapes_of`.
"""

from __future__ import annotations

import gzip
import json
import sys
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torchvision import models

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bcbp.intake.limits import PARAMETERS
from bcbp.intake.residual import ResidualNet
from bcbp.intake.signatures import TABLE, shapes_of

BUNDLED: dict[str, tuple[dict[str, Any], list[int]]] = {
    "sample": ({"in_channels": 1, "widths": (64, 128, 256), "blocks": (1, 1, 1)}, [1, 28, 28]),
    "cifar-resnet20": ({"in_channels": 3, "widths": (16, 32, 64), "blocks": (3, 3, 3)}, [3, 32, 32]),
}


def side(name: str) -> int:
    """The smallest images that any released weights of the architecture take."""
    return min(release.transforms().crop_size[0] for release in models.get_model_weights(name))


def table() -> dict[str, dict[str, Any]]:
    lines = {
        name: {
            "input": shape,
            "tensors": shapes_of(lambda classes, made=made: ResidualNet(**made, classes=classes)),
        }
        for name, (made, shape) in BUNDLED.items()
    }
    for name in models.list_models(module=models):
        if models.get_model_weights(name).DEFAULT.meta["num_params"] <= PARAMETERS:
            lines[name] = {
                "input": [3, side(name), side(name)],
                "tensors": shapes_of(lambda classes, name=name: _built(name, classes)),
            }
    return lines


def _built(name: str, classes: int) -> nn.Module:
    # RegNet computes its widths with tensors, which need memory.
    with torch.device("cpu" if name.startswith("regnet") else "meta"):
        return models.get_model(name, weights=None, num_classes=classes)


def main() -> None:
    words = json.dumps(table(), separators=(",", ":")).encode()
    TABLE.write_bytes(gzip.compress(words, mtime=0))
    print(f"{TABLE}: {TABLE.stat().st_size / 1024:.0f} KiB")


if __name__ == "__main__":
    main()
