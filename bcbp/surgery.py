"""Filter pruning for real: smaller layers, and the layers behind them with fewer input channels."""

from __future__ import annotations

from torch import Tensor, nn

from bcbp.channels import ChannelPath, channel_paths
from bcbp.errors import SpecError
from bcbp.masking import masked_copy
from bcbp.plan import PruningPlan


def inner_layers(module: nn.Module, input_shape: tuple[int, ...]) -> dict[str, tuple[str, ...]]:
    """The layers that may lose filters, each with the layers whose input channels shrink with it.

    Residual sums and concatenations would need a common mask, so layers that feed one are not inner.
    {} where the network cannot be traced, or does not take images of `input_shape`.
    """
    return {name: path.consumers for name, path in channel_paths(module, input_shape).items()}


def shrink(module: nn.Module, plan: PruningPlan) -> nn.Module:
    """A physically smaller copy of `module`: equal to the masked one, without the removed filters.

    Raises SpecError for a plan of another pattern than "filter", and for a layer that would lose all its
    filters or that is not inner (see `inner_layers`).
    """
    if plan.spec.pattern != "filter":
        raise SpecError(f"Expected a plan of filter pruning to shrink by; got one of {plan.spec.pattern!r}.")
    small = masked_copy(module, plan)
    paths = channel_paths(small)
    for planned in plan:
        if not planned.mask.rows.all():
            _remove_filters(small, planned.name, planned.mask.rows, paths.get(planned.name))
    return small


def _remove_filters(small: nn.Module, name: str, rows: Tensor, path: ChannelPath | None) -> None:
    if path is None:
        raise SpecError(
            f"Expected an inner layer to lose filters; the channels of {name} are needed elsewhere."
        )
    if not rows.any():
        raise SpecError(f"Expected at least one filter left in {name}; the plan removes all {len(rows)}.")
    for affected in (name, *path.between):
        _keep_outputs(small.get_submodule(affected), rows)
    for consumer in path.consumers:
        _keep_inputs(small.get_submodule(consumer), rows)


def _keep_outputs(layer: nn.Module, kept: Tensor) -> None:
    """Keep these rows of every parameter and buffer, in a layer or a per-channel module behind it."""
    for name, value in layer.named_parameters(recurse=False):
        setattr(layer, name, nn.Parameter(value.detach()[kept].clone(), value.requires_grad))
    for name, statistic in layer.named_buffers(recurse=False):
        if statistic.ndim:
            setattr(layer, name, statistic[kept].clone())
    left = int(kept.sum())
    if isinstance(layer, nn.Conv2d):
        if layer.groups > 1:
            layer.in_channels = layer.groups = left
        layer.out_channels = left
    elif isinstance(layer, nn.Linear):
        layer.out_features = left
    elif isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
        layer.num_features = left


def _keep_inputs(layer: nn.Module, kept: Tensor) -> None:
    """Keep the columns that read these channels; behind a flatten each channel is several inputs in a row."""
    assert isinstance(layer, nn.Conv2d | nn.Linear)
    columns = kept.repeat_interleave(layer.weight.shape[1] // len(kept))
    weight = layer.weight.detach()[:, columns].clone()
    layer.weight = nn.Parameter(weight, layer.weight.requires_grad)
    if isinstance(layer, nn.Conv2d):
        layer.in_channels = int(columns.sum())
    else:
        layer.in_features = int(columns.sum())
