"""The pruned weights as a plain state_dict."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from safetensors.torch import save_file

from bcbp.export.base import Pruned


@dataclass(frozen=True)
class Weights:
    """Loads into the original class: no shape changes, zeros stand where weights were removed."""

    name: str = "weights"
    title: str = "Weights"
    description: str = (
        "weights.safetensors: a plain state_dict of unchanged shapes, zeros where weights were removed. "
        "Load it into the original class: load_state_dict(safetensors.torch.load_file(...)). As large and as "
        "fast as the dense network."
    )
    needs: tuple[str, ...] = ()

    def write(self, pruned: Pruned, folder: Path) -> tuple[Path, ...]:
        path = folder / "weights.safetensors"
        # Copies, since two names may share one tensor, which the format does not allow.
        state = {name: value.detach().clone() for name, value in pruned.module.state_dict().items()}
        save_file({name: value.contiguous() for name, value in state.items()}, path, pruned.metadata())
        return (path,)


WEIGHTS = Weights()
