"""A model as the rest of the library sees it: its prunable layers, and why the others are not."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bcbp.data import DataSet
from bcbp.errors import ModelError
from bcbp.geometry import LayerInfo, geometry_of

NO_IMAGES = (
    "No images for it here, so no accuracy: give a folder or a zip of pictures, a folder for each class."
)


@dataclass(frozen=True, eq=False)
class LoadedModel:
    """A module in eval mode with what is known of it. Never mutated: pruning works on copies.

    `layers` are prunable, in the order of execution; `skipped` names every other Conv2d/Linear (and other
    weight layer) with its reason. `dataset` is None when there is nothing to measure accuracy on;
    `note` says where the weights are from. `digest` is SHA-256 over the state_dict.
    """

    name: str
    title: str
    module: nn.Module
    digest: str
    input_shape: tuple[int, int, int]
    layers: tuple[LayerInfo, ...]
    skipped: tuple[tuple[str, str], ...]
    dataset: DataSet | None = None
    trained: bool = False
    note: str = ""

    @property
    def images_digest(self) -> str:
        """Of a data set of one's own (see `DataSet`); empty for one that is known by its name."""
        return self.dataset.digest if self.dataset else ""

    @property
    def no_accuracy(self) -> str:
        """Why a model without images has no accuracy, and how it gets one."""
        return f"{self.note} {NO_IMAGES}".strip()

    def layer(self, name: str) -> LayerInfo:
        return {layer.name: layer for layer in self.layers}[name]

    def weight(self, name: str) -> Tensor:
        """The GEMM matrix [M, K] of a prunable layer; a view of the module's own weight."""
        return self.module.get_submodule(name).weight.detach().flatten(1)  # type: ignore[union-attr,operator]


def state_digest(module: nn.Module) -> str:
    """SHA-256 over names, shapes and bytes of the state_dict, in order."""
    digest = hashlib.sha256()
    for name, value in module.state_dict().items():
        digest.update(f"{name}{tuple(value.shape)}{value.dtype}".encode())
        digest.update(value.detach().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def adopt(
    module: nn.Module,
    *,
    name: str,
    input_shape: tuple[int, int, int],
    title: str | None = None,
    dataset: DataSet | None = None,
    trained: bool = False,
    note: str = "",
) -> LoadedModel:
    """Any module as a LoadedModel. It works on a copy in eval mode, so `module` stays as it is.

    Raises ModelError when the module does not take an image of `input_shape` (C, H, W).
    """
    own = copy.deepcopy(module).eval()
    try:
        layers, skipped = inspect_layers(own, input_shape)
    except (RuntimeError, ValueError, TypeError, IndexError) as error:
        reason = str(error).strip().split("\n")[0][:160]
        raise ModelError(
            f"Expected {name} to take images of {' x '.join(map(str, input_shape))}; it fails: {reason}"
        ) from error
    if not layers:
        raise ModelError(
            f"Expected a model with a Conv2d or Linear layer that can be pruned; {name} has none."
        )
    return LoadedModel(
        name, title or name, own, state_digest(own), input_shape, layers, skipped, dataset, trained, note
    )


def inspect_layers(
    module: nn.Module, input_shape: tuple[int, int, int]
) -> tuple[tuple[LayerInfo, ...], tuple[tuple[str, str], ...]]:
    """Run a zero image through `module`: its prunable layers as executed, and the others with reasons."""
    planes: dict[str, tuple[int, int]] = {}
    hooks = [
        child.register_forward_pre_hook(_record_plane(name, child, planes))
        for name, child in module.named_modules()
        if isinstance(child, nn.Conv2d | nn.Linear)
    ]
    try:
        with torch.no_grad():
            module(torch.zeros(1, *input_shape))
    finally:
        for hook in hooks:
            hook.remove()
    owners: dict[int, str] = {}
    reasons: dict[str, str | None] = {}
    for name, child in module.named_modules(remove_duplicate=False):
        if isinstance(child, nn.Conv2d | nn.Linear) or child._parameters.get("weight") is not None:
            owner = owners.setdefault(id(child.weight), name)
            shared = f"shares its weight with {owner}" if owner != name else None
            reasons[name] = shared or decline_layer(name, child, planes)
    layers = tuple(_layer_info(name, module, planes) for name in planes if reasons[name] is None)
    skipped = tuple((name, reason) for name, reason in reasons.items() if reason is not None)
    return layers, skipped


def _record_plane(
    name: str, child: nn.Module, planes: dict[str, tuple[int, int]]
) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
    """A hook that notes the input plane of the first call: (positions, 1) for a Linear layer."""

    def note(_module: nn.Module, args: tuple[Tensor, ...]) -> None:
        if args:
            shape = args[0].shape
            linear = (shape[:-1].numel(), 1)
            planes.setdefault(name, (shape[-2], shape[-1]) if isinstance(child, nn.Conv2d) else linear)

    return note


def decline_layer(name: str, child: nn.Module, planes: dict[str, tuple[int, int]]) -> str | None:
    """Why a layer with weights cannot be pruned in tiles; None if it can."""
    if not isinstance(child, nn.Conv2d | nn.Linear):
        return f"{type(child).__name__} is not a convolution or Linear layer"
    if name not in planes:
        return "never called as a layer: attention reads its weights itself, or nothing does"
    if "weight" not in child._parameters:
        return "its weight is computed by a parametrization, not stored; remove the parametrization first"
    if not child.weight.is_floating_point():
        return f"weights are {child.weight.dtype}, not floating point"
    return _decline_conv(child) if isinstance(child, nn.Conv2d) else None


def _decline_conv(conv: nn.Conv2d) -> str | None:
    if conv.groups == conv.in_channels and conv.groups > 1:
        return f"depth-wise convolution: its matrix has only {conv.weight[0].numel()} columns"
    if conv.padding_mode != "zeros" or isinstance(conv.padding, str):
        return f"padding {conv.padding_mode!r}/{conv.padding!r} is not run by the engines"
    return None


def _layer_info(name: str, module: nn.Module, planes: dict[str, tuple[int, int]]) -> LayerInfo:
    child = module.get_submodule(name)
    assert isinstance(child, nn.Conv2d | nn.Linear)
    kind = "conv" if isinstance(child, nn.Conv2d) else "linear"
    return LayerInfo(name, kind, geometry_of(child), planes[name])
