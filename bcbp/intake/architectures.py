"""The table of models by name: the bundled ones, and architectures of torchvision."""

from __future__ import annotations

import json
import pickle
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from bcbp.data import ASSETS, CIFAR10, FASHION_MNIST, DataSet
from bcbp.errors import ModelError
from bcbp.intake.model import LoadedModel, adopt
from bcbp.intake.residual import cifar_resnet20, sample_net

# torch draws initial weights from one generator per process, which threads that build at once would share.
_SEEDING = threading.Lock()
_RANDOM = "Random weights (seed 0): shapes and speed are those of the architecture, accuracy says nothing."


@dataclass(frozen=True)
class ModelEntry:
    """One line of the table: how to build the architecture, and the data it is for, if that is at hand.

    `family` is "residual", "plain" or "separable"; the last is not the home ground of tiles (see `advice`).
    """

    name: str
    title: str
    description: str
    build: Callable[[], nn.Module]
    input_shape: tuple[int, int, int]
    dataset: DataSet | None = None
    family: str = "residual"

    @property
    def bundled(self) -> Path:
        """Where weights that ship with the product would lie."""
        return ASSETS / "models" / f"{self.name}.safetensors"

    @property
    def advice(self) -> str:
        """A warning for families that suffer under column pruning; empty for the others."""
        if self.family != "separable":
            return ""
        return (
            "Depth-wise separable: its depth-wise layers cannot be pruned in tiles; published results for "
            "its 1x1 layers are below filter pruning. The home ground of the method is standard convolutions."
        )


def _torchvision_models() -> ModuleType:
    """Imported on first use: it takes over a second, and the bundled models do without it."""
    from torchvision import models

    return models


def _torchvision(name: str, title: str, description: str, family: str = "residual") -> ModelEntry:
    def build() -> nn.Module:
        return _torchvision_models().get_model(name, weights=None)

    return ModelEntry(name, title, description, build, (3, 224, 224), family=family)


_ENTRIES = (
    ModelEntry(
        "sample",
        "Sample: residual CNN on Fashion-MNIST",
        "Three residual blocks of 64, 128 and 256 channels, trained here on Fashion-MNIST.",
        sample_net,
        FASHION_MNIST.shape,
        FASHION_MNIST,
    ),
    ModelEntry(
        "cifar-resnet20",
        "ResNet-20 on CIFAR-10",
        "The ResNet-20 of He et al. (2016), 16 to 64 channels, trained here on CIFAR-10.",
        cifar_resnet20,
        CIFAR10.shape,
        CIFAR10,
    ),
    _torchvision("resnet18", "ResNet-18", "18 layers of 3x3 convolutions in residual blocks."),
    _torchvision("resnet34", "ResNet-34", "34 layers of 3x3 convolutions in residual blocks."),
    _torchvision("resnet50", "ResNet-50", "50 layers in bottleneck blocks of 1x1 and 3x3 convolutions."),
    _torchvision("vgg16", "VGG-16", "13 plain 3x3 convolutions and three large Linear layers.", "plain"),
    _torchvision("wide_resnet50_2", "Wide ResNet-50-2", "ResNet-50 with twice the inner channels."),
    _torchvision("mobilenet_v2", "MobileNetV2", "Depth-wise separable convolutions.", "separable"),
)
MODELS: dict[str, ModelEntry] = {entry.name: entry for entry in _ENTRIES}


def load_model(name: str, *, weights: Path | None = None) -> LoadedModel:
    """The model of that name, in eval mode.

    Weights come from `weights` (safetensors, or a state_dict of torch), else from those that ship with the
    product, else from torchvision's local cache; where there are none they are random from seed 0, and
    `trained` and `note` say so. Nothing is downloaded. Raises ModelError for an unknown name and for a
    file that is missing, damaged or of another architecture.
    """
    if name not in MODELS:
        raise ModelError(f"Expected a model out of {', '.join(MODELS)}; got {name!r}.")
    entry = MODELS[name]
    module = _build_seeded(entry)
    path, note = _find_weights(entry, weights)
    if path is not None:
        _load_state(module, read_state(path), path)
    trained = path is not None
    return adopt(
        module,
        name=entry.name,
        title=entry.title,
        input_shape=entry.input_shape,
        dataset=entry.dataset if trained else None,
        trained=trained,
        note=" ".join(part for part in (note, entry.advice) if part),
    )


def _build_seeded(entry: ModelEntry) -> nn.Module:
    with _SEEDING, torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = entry.build()
        keep_scale(module)
        return module


def keep_scale(module: nn.Module) -> None:
    """Draw random convolutions so that values keep their size on the way forward (He et al. 2015, fan-in).

    torchvision scales them for the way back; with batch norms that know no statistics yet, MobileNetV2's
    outputs then come to 3e-9, which is nothing in float16.
    """
    for child in module.modules():
        if isinstance(child, nn.Conv2d):
            nn.init.kaiming_normal_(child.weight, mode="fan_in", nonlinearity="relu")


def _find_weights(entry: ModelEntry, weights: Path | None) -> tuple[Path | None, str]:
    """The file to load, if any, and a sentence on where the weights come from."""
    if weights is not None:
        return weights, f"Weights from {weights.name}."
    if entry.bundled.exists():
        return entry.bundled, f"Weights that ship with the product. {_card_sentence(entry)}"
    cached = cached_weights(entry.name)
    if cached is not None:
        return (
            cached,
            f"torchvision's ImageNet weights ({cached.name}). No ImageNet images here, so no accuracy.",
        )
    return None, _RANDOM


def _card_sentence(entry: ModelEntry) -> str:
    """What the card beside bundled weights says of their accuracy."""
    card = json.loads(entry.bundled.with_suffix(".json").read_text())
    return (
        f"Trained on {card['trained_on']:,} images of {card['dataset']}; {card['test_accuracy']:.2%} on its "
        "test images when they were made."
    )


def cached_weights(name: str) -> Path | None:
    """torchvision's weights for `name` in the local cache, newest release first; None if absent."""
    torchvision_models = _torchvision_models()
    if name not in torchvision_models.list_models():
        return None
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    releases = reversed(list(torchvision_models.get_model_weights(name)))
    paths = (folder / release.url.rsplit("/", 1)[-1] for release in releases)
    return next((path for path in paths if path.exists()), None)


def read_state(path: Path) -> Mapping[str, Tensor]:
    """A state_dict from safetensors or torch's own format; nothing that the file names is executed."""
    if not path.is_file():
        raise ModelError(f"Expected a weights file at {path}; there is none.")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError, OSError) as error:
        raise ModelError(
            f"Expected safetensors or a state_dict of plain tensors; {path.name} cannot be read as one "
            f"({type(error).__name__}). Save it again with safetensors."
        ) from error
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise ModelError(f"Expected a state_dict, names to tensors; {path.name} holds something else.")
    return state


def _load_state(module: nn.Module, state: Mapping[str, Tensor], path: Path) -> None:
    """Strictly, and only finite real numbers: load_state_dict itself would take complex or NaN weights."""
    own = module.state_dict()
    wrong = sorted(set(own) ^ set(state)) or [name for name in own if own[name].shape != state[name].shape]
    if wrong:
        raise ModelError(
            f"Expected the {len(own)} tensors of this architecture; {path.name} differs in {wrong[0]}"
            + (f" and {len(wrong) - 1} more" if len(wrong) > 1 else "")
            + ". Choose the model it was saved from."
        )
    bad = [name for name, value in state.items() if value.is_complex() or not torch.isfinite(value).all()]
    if bad:
        raise ModelError(f"Expected finite real weights; {path.name} holds others in {bad[0]}.")
    module.load_state_dict(dict(state))
