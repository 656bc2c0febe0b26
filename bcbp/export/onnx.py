"""The masked network as ONNX: dense, with zeros in it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from bcbp.errors import ModelError
from bcbp.export.base import Pruned


@dataclass(frozen=True)
class Onnx:
    name: str = "onnx"
    title: str = "ONNX (dense zeros: for accuracy, not speed)"
    description: str = (
        "network.onnx: the network with zeros where weights were removed, for any batch size. ONNX has no "
        "operator for balanced columns, so it is for accuracy, not speed."
    )
    needs: tuple[str, ...] = ("onnx", "onnxscript")

    def write(self, pruned: Pruned, folder: Path) -> tuple[Path, ...]:
        path = folder / "network.onnx"
        example = torch.zeros(2, *pruned.model.input_shape)
        try:
            torch.onnx.export(
                pruned.module,
                (example,),
                path,
                dynamo=True,
                external_data=False,
                input_names=["images"],
                output_names=["scores"],
                dynamic_shapes=({0: torch.export.Dim("batch", min=1)},),
                verbose=False,
            )
        except Exception as error:  # of many kinds, none of them documented
            reason = str(error).strip().split("\n")[0][:200]
            raise ModelError(
                f"Expected a network that ONNX can hold; torch cannot write it: {reason}"
            ) from error
        return (path,)


ONNX = Onnx()
