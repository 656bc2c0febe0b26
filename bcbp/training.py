"""Train the bundled models from scratch, reproducibly and resumably: SGD, one warm-up, one cosine.

Nothing is chosen on the test images: the weights of the last epoch are kept, and the test accuracy is
computed once, after it.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import tqdm

from bcbp.data import (
    ASSETS,
    CIFAR10,
    FASHION_MNIST,
    DataSet,
    ImageSet,
    bundled_file,
    load_images,
    normalise,
    write_bundle,
)
from bcbp.errors import ModelError
from bcbp.intake.residual import cifar_resnet20, sample_net


@dataclass(frozen=True)
class Recipe:
    """Hyper-parameters of one training run; `crop` is the zero padding in pixels that crops shift in."""

    epochs: int
    batch: int
    peak_rate: float
    crop: int
    weight_decay: float = 5e-4
    warmup_share: float = 0.15
    seed: int = 0

    def rate(self, progress: float) -> float:
        """Learning rate at `progress` in [0, 1]: linear up to the peak, then a cosine down to 0."""
        if progress < self.warmup_share:
            return self.peak_rate * progress / self.warmup_share
        rest = (progress - self.warmup_share) / (1 - self.warmup_share)
        return self.peak_rate * (1 + math.cos(math.pi * rest)) / 2


@dataclass(frozen=True)
class TrainedModel:
    """A model that this repository trains itself: its module, data set and recipe."""

    build: Callable[[], nn.Module]
    dataset: DataSet
    recipe: Recipe


TRAINED = {
    "sample": TrainedModel(sample_net, FASHION_MNIST, Recipe(epochs=12, batch=256, peak_rate=0.2, crop=2)),
    "cifar-resnet20": TrainedModel(
        cifar_resnet20, CIFAR10, Recipe(epochs=36, batch=128, peak_rate=0.2, crop=4)
    ),
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
        card[f"{part}_accuracy"] = _accuracy(model, load_images(chosen.dataset, part, data))
    if chosen.dataset is FASHION_MNIST and not bundled_file(FASHION_MNIST).exists():
        write_bundle(FASHION_MNIST, data)  # the licence of CIFAR-10 is unclear: its images never ship
    return write_weights(model, out or ASSETS / "models" / f"{name}.safetensors", card)


@torch.no_grad()
def _accuracy(model: nn.Module, images: ImageSet) -> float:
    """Share of `images` that are classified right."""
    starts = range(0, len(images), 500)
    guesses = torch.cat([model(images.inputs(start, start + 500)).argmax(1) for start in starts])
    return (guesses == images.labels).float().mean().item()


def augment(images: Tensor, crop: int, generator: torch.Generator) -> Tensor:
    """Random shift by up to `crop` pixels and random mirror, per image; uint8 [N, C, H, W] both ways."""
    count, _, height, width = images.shape
    padded = F.pad(images, [crop] * 4)
    top = torch.randint(0, 2 * crop + 1, (count, 1), generator=generator)
    left = torch.randint(0, 2 * crop + 1, (count, 1), generator=generator)
    rows = top + torch.arange(height)
    columns = left + torch.arange(width)
    mirrored = torch.rand(count, generator=generator) < 0.5
    columns[mirrored] = columns[mirrored].flip(1)
    index = torch.arange(count)[:, None, None]
    return padded[index, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def _batches(images: ImageSet, recipe: Recipe, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Shuffled, augmented, normalised batches; a function of (seed, epoch), so a resume repeats them."""
    generator = torch.Generator().manual_seed(recipe.seed * 100_003 + epoch)
    order = torch.randperm(len(images), generator=generator)
    for chosen in order.split(recipe.batch)[: len(images) // recipe.batch]:
        augmented = augment(images.images[chosen], recipe.crop, generator)
        yield normalise(augmented, images.dataset), images.labels[chosen]


def train(build: Callable[[], nn.Module], images: ImageSet, recipe: Recipe, *, checkpoint: Path) -> nn.Module:
    """Train `build()` on `images`, resuming from `checkpoint` where it exists; returns it in eval mode.

    bf16 autocast, float32 weights. The checkpoint is replaced atomically after each epoch.
    """
    torch.manual_seed(recipe.seed)
    model = build().to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(
        model.parameters(), lr=0.0, momentum=0.9, nesterov=True, weight_decay=recipe.weight_decay
    )
    first = _resume(model, optimizer, recipe, checkpoint)
    steps = len(images) // recipe.batch
    for epoch in range(first, recipe.epochs):
        model.train()
        bar = tqdm(
            _batches(images, recipe, epoch), f"epoch {epoch + 1}/{recipe.epochs}", steps, mininterval=2
        )
        for step, (inputs, labels) in enumerate(bar):
            for group in optimizer.param_groups:
                group["lr"] = recipe.rate((epoch + step / steps) / recipe.epochs)
            with torch.autocast("cpu", torch.bfloat16):
                loss = F.cross_entropy(model(inputs), labels)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            if step % 20 == 0:
                bar.set_postfix(loss=f"{loss.item():.3f}")
        _save(model, optimizer, recipe, epoch + 1, checkpoint)
    return model.eval()


def _save(model: nn.Module, optimizer: torch.optim.Optimizer, recipe: Recipe, done: int, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    state = {
        "recipe": asdict(recipe),
        "epochs_done": done,
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
    }
    torch.save(state, path.with_suffix(".part"))
    os.replace(path.with_suffix(".part"), path)


def _resume(model: nn.Module, optimizer: torch.optim.Optimizer, recipe: Recipe, path: Path) -> int:
    """Epochs already done. A checkpoint of another recipe is left alone and training starts over."""
    if not path.exists():
        return 0
    state = torch.load(path, weights_only=True)
    if state["recipe"] != asdict(recipe):
        return 0
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    return int(state["epochs_done"])


def write_weights(model: nn.Module, path: Path, card: dict[str, object]) -> dict[str, object]:
    """Safetensors at `path`, and beside it the card: recipe, data, accuracy, versions, date, as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {name: value.contiguous() for name, value in model.state_dict().items()}
    save_file(tensors, path)
    stamped = card | {"torch": torch.__version__, "date": time.strftime("%Y-%m-%d")}
    path.with_suffix(".json").write_text(json.dumps(stamped, indent=2) + "\n")
    return stamped
