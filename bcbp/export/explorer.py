"""What was removed, layer by layer, for Google's Model Explorer: node data to lay over the program's graph.

The format is that of Model Explorer's node_data_builder: graph id, then node id, then a value; its adapter
for torch.export calls the graph "graph" and nodes by their names in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from bcbp.export.base import Pruned
from bcbp.files import write_json

GRAPH = "graph"
# White where nothing is removed, the colour of BCBP where all is.
_GRADIENT = [{"stop": 0, "bgColor": "#ffffff"}, {"stop": 1, "bgColor": "#2f6fde"}]


@dataclass(frozen=True)
class Explorer:
    name: str = "explorer"
    title: str = "Model Explorer node data"
    description: str = (
        "node_data.json: the removed share of every pruned layer, to be opened in Google's Model Explorer "
        "beside program.pt2."
    )
    needs: tuple[str, ...] = ()

    def write(self, pruned: Pruned, folder: Path) -> tuple[Path, ...]:
        path = folder / "node_data.json"
        results = {node: {"value": share} for node, share in shares(pruned).items()}
        write_json(path, {GRAPH: {"results": results, "gradient": _GRADIENT}})
        return (path,)


EXPLORER = Explorer()


def shares(pruned: Pruned) -> dict[str, float]:
    """The removed share of the layer behind each node of the program that runs a pruned layer."""
    ratios, found = {layer.name: layer.ratio for layer in pruned.plan}, {}
    for node in pruned.program.graph.nodes:
        if node.target is torch.ops.bcbp_kernels.pruned_conv.default:
            *_, (owner, _) = node.meta["nn_module_stack"].values()
            found[node.name] = ratios[owner]
    return found
