"""A pruned network that needs nothing but torch and `kernels`: packed layers inside PyTorch's own modules."""

from __future__ import annotations

import torch
from torch import fx, nn

from bcbp.errors import ModelError
from bcbp.fusion import FusedLayer, Layer, decline_layer, fold, fused_layers, replace_layer
from bcbp.geometry import geometry_of
from bcbp.mask import Mask
from bcbp.masking import masked_copy
from bcbp.plan import PruningPlan
from bcbp.tracing import UntraceableError, trace
from kernels.engines import ACTIVATIONS, Epilogue
from kernels.pruned_conv import PrunedConv, PrunedLinear


def portable(module: nn.Module, plan: PruningPlan, input_shape: tuple[int, ...]) -> nn.Module:
    """A copy of `module` in which every pruned layer is a PrunedConv or PrunedLinear.

    Where the forward pass is a fixed graph of operations it is one, with what follows a pruned layer fused
    into it; otherwise the layers are swapped inside the module's own forward pass.
    """
    masks = {planned.name: planned.mask for planned in plan if planned.ratio > 0}
    masked = masked_copy(module, plan)
    try:
        return _graph(trace(masked, input_shape), masked, masks)
    except UntraceableError:
        for name, mask in masks.items():
            layer = masked.get_submodule(name)
            if isinstance(layer, Layer) and decline_layer(layer) is None:
                masked.set_submodule(name, _packed(layer, mask, FusedLayer(name, ())))
        return masked


def _graph(traced: fx.GraphModule, masked: nn.Module, masks: dict[str, Mask]) -> fx.GraphModule:
    for fused in fused_layers(traced, ACTIVATIONS):
        layer = masked.get_submodule(fused.name)
        if fused.name in masks and isinstance(layer, Layer):
            replace_layer(traced, fused, _packed(layer, masks[fused.name], fused))
    traced.delete_all_unused_submodules()
    traced.graph.lint()
    traced.recompile()
    return traced


def _packed(layer: Layer, mask: Mask, fused: FusedLayer) -> PrunedConv:
    weight, bias = fold(layer, fused.batch_norm)
    packed = mask.pack(weight, geometry_of(layer))
    kind = PrunedLinear if isinstance(layer, nn.Linear) else PrunedConv
    return kind.of(packed, Epilogue(bias, fused.activation))


def exported(module: nn.Module, input_shape: tuple[int, ...]) -> torch.export.ExportedProgram:
    """`module` as a program of torch.export, for any number of images. Raises ModelError with the reason."""
    example = torch.zeros(2, *input_shape)
    batch = torch.export.Dim("batch", min=1)
    try:
        return torch.export.export(module, (example,), dynamic_shapes=({0: batch},))
    except Exception as error:  # of many kinds, none of them documented
        reason = str(error).strip().split("\n")[0][:200]
        raise ModelError(
            f"Expected a network that torch.export can write down; it cannot: {reason}"
        ) from error
