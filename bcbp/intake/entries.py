"""The table of models by name; besides those in it, every classifier of torchvision, and `timm:NAME`."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import torch
from torch import nn

from bcbp.data import ASSETS, CIFAR10, FASHION_MNIST, DataSet
from bcbp.errors import ModelError
from bcbp.intake.residual import cifar_resnet20, sample_net
from bcbp.intake.signatures import Signature, shapes_of, signatures

# torch draws initial weights from one generator per process, which threads that build at once would share.
_SEEDING = threading.Lock()

TIMM = "timm:"  # before a name: a model of that library
_SEPARABLE = ("mobilenet", "mnasnet", "efficientnet", "shufflenet", "convnext")


@dataclass(frozen=True)
class ModelEntry:
    """One line of the table: how to build the architecture, and the data it is for, if that is at hand.

    `family` is "residual", "plain", "other" or "separable"; the last is no home ground of tiles: `advice`.
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


def torchvision_models() -> ModuleType:
    """Imported on first use: it takes over a second, and the bundled models do without it."""
    from torchvision import models

    return models


def _torchvision(
    name: str,
    title: str,
    description: str,
    family: str = "residual",
    input_shape: tuple[int, int, int] = (3, 224, 224),
) -> ModelEntry:
    def build() -> nn.Module:
        return torchvision_models().get_model(name, weights=None)

    return ModelEntry(name, title, description, build, input_shape, family=family)


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


def entry_of(name: str) -> ModelEntry:
    """What is known of a model by name: a line of MODELS, else of torchvision or timm. Raises ModelError."""
    check_architecture(name)
    if name in MODELS:
        return MODELS[name]
    if name.startswith(TIMM):
        return _timm(name)
    known, family = signatures()[name], "separable" if name.startswith(_SEPARABLE) else "other"
    return _torchvision(name, name, "A classifier of torchvision.", family, known.input_shape)


def check_architecture(name: str) -> None:
    """Raises ModelError for a name that is none; names of timm are only looked up when they are built."""
    if not (name in MODELS or name.startswith(TIMM) or name in signatures()):
        raise ModelError(
            f"Expected a model out of {', '.join(MODELS)}, another classifier of torchvision such as vgg19, "
            f"{TIMM}NAME, or on the command line a file of weights that exists; got {name!r}."
        )


def timm_library() -> ModuleType:
    """timm, which is an optional extra. Raises ModelError where it is not installed."""
    if find_spec("timm") is None:
        raise ModelError(
            f"Expected the library timm for names with {TIMM}; it is not installed. Run `pip install timm`."
        )
    import timm

    return timm


def _timm(name: str) -> ModelEntry:
    """An architecture of timm; its weights are never fetched."""
    timm, bare = timm_library(), name.removeprefix(TIMM)
    if not timm.is_model(bare):
        raise ModelError(f"Expected a model that timm knows; got {bare!r}. `timm.list_models()` lists them.")
    config = timm.get_pretrained_cfg(bare)
    shape = config.input_size if config is not None else (3, 224, 224)
    return ModelEntry(name, name, "A model of timm.", lambda: timm.create_model(bare), shape, family="other")


def signature_of(entry: ModelEntry) -> Signature:
    """From the shipped table; of timm's models from two that are built without memory."""
    if entry.name in signatures():
        return signatures()[entry.name]
    timm, bare = timm_library(), entry.name.removeprefix(TIMM)

    def built(classes: int) -> nn.Module:
        with torch.device("meta"):
            return timm.create_model(bare, num_classes=classes)

    return Signature(entry.name, entry.input_shape, shapes_of(built))


def build_seeded(entry: ModelEntry) -> nn.Module:
    """The architecture with random weights, the same every time."""
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
