"""Puts weights into an architecture: its head gets the number of classes, tensors that fit are taken."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from bcbp.intake.inference import Match


def fitted(module: nn.Module, found: Match, state: Mapping[str, Tensor]) -> nn.Module:
    """`module` with everything of `state` that fits it; the rest stays as it is. Changes `module`."""
    if found.classes:
        for name in found.signature.head:
            _resize(module, name.rpartition(".")[0], found.classes)
    own = module.state_dict()
    taken = {name: state[name] for name, value in own.items() if _shape(state, name) == value.shape}
    module.load_state_dict(own | taken)
    return module


def _shape(state: Mapping[str, Tensor], name: str) -> object:
    return state[name].shape if name in state else None


def _resize(module: nn.Module, name: str, classes: int) -> None:
    """Give the layer `name` that many outputs, if it has another number."""
    layer = module.get_submodule(name)
    assert isinstance(layer, nn.Conv2d | nn.Linear), f"{name} is a head"
    if layer.weight.shape[0] == classes:
        return
    has_bias = layer.bias is not None
    made: nn.Module
    if isinstance(layer, nn.Linear):
        made = nn.Linear(layer.in_features, classes, has_bias)
    else:  # a 1x1 convolution in SqueezeNet
        made = nn.Conv2d(layer.in_channels, classes, layer.kernel_size, bias=has_bias)  # type: ignore[arg-type]
    module.set_submodule(name, made)
