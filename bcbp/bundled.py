"""Train the bundled models from scratch, reproducibly and resumably: SGD, one warm-up, one cosine.

Nothing is chosen on the test images: the weights of the last epoch are kept, and the test accuracy is
computed once, after it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn
from tqdm import tqdm

from bcbp.checkpoint import load_checkpoint, save_checkpoint
from bcbp.data import ASSETS, CIFAR10, FASHION_MNIST, DataSet, Images, bundled_file, load_images, write_bundle
from bcbp.errors import ModelError
from bcbp.evaluation import accuracy
from bcbp.intake.residual import cifar_resnet20, sample_net
from bcbp.training import Recipe, Training


@dataclass(frozen=True)
class TrainedModel:
    """A model that this repository trains itself: its module, data set and recipe."""

    build: Callable[[], nn.Module]
    dataset: DataSet
    recipe: Recipe


TRAINED = {
    "sample": TrainedModel(sample_net, FASHION_MNIST, Recipe(epochs=12, batch=256, peak_rate=0.2)),
    "cifar-resnet20": TrainedModel(cifar_resnet20, CIFAR10, Recipe(epochs=36, batch=128, peak_rate=0.2)),
}


def train_sample(
    name: str,
    *,
    data: Path | None = None,
    out: Path | None = None,
    epochs: int | None = None,
    seed: int = 0,
    checkpoint: Path | None = None,
) -> dict[str, object]:
    """Train one of TRAINED, write its weights to `out` (default: assets/models) and return its card.

    An interrupted training goes on from `checkpoint`. Raises ModelError for an unknown name, DataError
    when the images are not to be had.
    """
    if name not in TRAINED:
        raise ModelError(f"Expected a model out of {', '.join(TRAINED)}; got {name!r}.")
    chosen = TRAINED[name]
    recipe = replace(chosen.recipe, seed=seed, epochs=epochs or chosen.recipe.epochs)
    images = load_images(chosen.dataset, "train", data)
    model = train(chosen.build, images, recipe, checkpoint=checkpoint or Path(".train") / f"{name}.pt")
    card: dict[str, object] = {
        "model": name,
        "dataset": chosen.dataset.name,
        "trained_on": len(images),
        "recipe": asdict(recipe),
        "weights_of": "last epoch; nothing was chosen on the test images",
    }
    for part in ("validation", "test"):
        card[f"{part}_accuracy"] = accuracy(model, load_images(chosen.dataset, part, data)).share
    if chosen.dataset is FASHION_MNIST and not bundled_file(FASHION_MNIST).exists():
        write_bundle(FASHION_MNIST, data)  # the licence of CIFAR-10 is unclear: its images never ship
    return write_weights(model, out or ASSETS / "models" / f"{name}.safetensors", card)


def train(build: Callable[[], nn.Module], images: Images, recipe: Recipe, *, checkpoint: Path) -> nn.Module:
    """Train `build()` on `images`, resuming from `checkpoint` where it exists; returns it in eval mode.

    bf16 autocast, float32 weights. A checkpoint of another recipe is left alone until the first epoch is
    done. Raises CheckpointError.
    """
    torch.manual_seed(recipe.seed)
    training, first = Training(build(), images, recipe), 0
    saved = load_checkpoint(checkpoint)
    if saved is not None and saved["recipe"] == asdict(recipe):
        training.restore(saved["training"])
        first = saved["epochs_done"]
    for epoch in range(first, recipe.epochs):
        with tqdm(total=100, desc=f"epoch {epoch + 1}/{recipe.epochs}", unit="%", mininterval=2) as bar:
            done = training.epoch(epoch, tell=lambda share, bar=bar: bar.update(int(100 * share) - bar.n))  # type: ignore[misc]
            bar.set_postfix(loss=f"{done.loss:.3f}")
        save_checkpoint(
            checkpoint, {"recipe": asdict(recipe), "epochs_done": epoch + 1, "training": training.state()}
        )
    return training.module.eval()


def write_weights(model: nn.Module, path: Path, card: dict[str, object]) -> dict[str, object]:
    """Safetensors at `path`, and beside it the card: recipe, data, accuracy, versions, date, as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {name: value.contiguous() for name, value in model.state_dict().items()}
    save_file(tensors, path)
    stamped = card | {"torch": torch.__version__, "date": time.strftime("%Y-%m-%d")}
    path.with_suffix(".json").write_text(json.dumps(stamped, indent=2) + "\n")
    return stamped
