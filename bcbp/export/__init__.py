"""The table of exports: what can be taken away of a pruned network. One file and one line each."""

from bcbp.export.base import Export, Pruned
from bcbp.export.explorer import EXPLORER
from bcbp.export.masks import MASKS
from bcbp.export.onnx import ONNX
from bcbp.export.package import PACKAGE
from bcbp.export.program import PROGRAM
from bcbp.export.recipe import RECIPE
from bcbp.export.weights import WEIGHTS

EXPORTS: dict[str, Export] = {
    export.name: export for export in (WEIGHTS, MASKS, RECIPE, PACKAGE, PROGRAM, ONNX, EXPLORER)
}

__all__ = ["EXPORTS", "Export", "Pruned"]
