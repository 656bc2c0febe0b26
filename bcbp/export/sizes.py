"""How many bytes a network takes: dense, with zeros, packed, and each of these compressed."""

from __future__ import annotations

import contextlib
import zlib
from collections.abc import Iterable
from dataclasses import dataclass

from torch import Tensor, nn

from bcbp.errors import ModelError
from bcbp.export.base import Pruned


@dataclass(frozen=True)
class Size:
    """Bytes of the tensors of one form of the network, as they are and compressed by zlib."""

    form: str
    bytes: int
    compressed: int


def sizes(pruned: Pruned) -> tuple[Size, ...]:
    """Dense, with zeros, and packed where the network can be: weights, index lists and all other tensors."""
    forms: dict[str, nn.Module] = {"dense": pruned.model.module, "with zeros": pruned.module}
    with contextlib.suppress(ModelError):
        forms["packed"] = pruned.portable
    return tuple(_size(form, module.state_dict().values()) for form, module in forms.items())


def _size(form: str, tensors: Iterable[Tensor]) -> Size:
    every = [tensor.detach().contiguous().numpy().tobytes() for tensor in tensors]
    return Size(form, sum(map(len, every)), sum(len(zlib.compress(one, 6)) for one in every))
