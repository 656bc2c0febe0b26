"""`finetune` on a small network and images that can be learnt, for processes that torchrun starts.

`torchrun --nproc-per-node 2 -m tests.bcbp.finetune_team ARGUMENTS`
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from bcbp import experiment
from bcbp.cli import compare, finetune, main
from bcbp.data import DataSet, ImageSet
from tests.bcbp.small import small_model, use_small_model

UNTRAINED = "resnet18"  # stands for a small network without images
COUNTS = {"train": 128, "calibration": 64, "validation": 60, "test": 200}


def bright_images(dataset: DataSet, part: str, _folder: Path | None = None) -> ImageSet:
    """Noise, dark or bright: two classes that a few steps tell apart."""
    generator = torch.Generator().manual_seed(len(part))
    labels = torch.randint(0, 2, (COUNTS[part],), generator=generator)
    noise = torch.randint(0, 100, (COUNTS[part], *dataset.shape), generator=generator, dtype=torch.uint8)
    return ImageSet(dataset, part, noise + (100 * labels).to(torch.uint8)[:, None, None, None], labels)


def training_images(dataset: DataSet, _folder: Path | None) -> ImageSet:
    return bright_images(dataset, "train")


def run(arguments: list[str]) -> int:
    """`python -m bcbp finetune` with the stand-ins; gives the exit code."""
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        model, untrained = use_small_model(patch), small_model(trained=False)
        patch.setattr(experiment, "load_images", bright_images)
        for module in (experiment, finetune):
            patch.setattr(module, "training_images", training_images)
        for module in (compare, experiment, finetune):
            patch.setattr(module, "load_model", lambda name: untrained if name == UNTRAINED else model)
        return main(["finetune", *arguments])


def left_threads() -> list[str]:
    """The names of this process's threads that talk to others; they must not outlive the team."""
    names = [path.read_text().strip() for path in Path("/proc/self/task").glob("*/comm")]
    return [name for name in names if "gloo" in name]


if __name__ == "__main__":
    code = run(sys.argv[1:])
    sys.exit(f"threads outlive the team: {left}" if (left := left_threads()) else code)
