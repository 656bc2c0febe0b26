"""The packed network as a Python file with its weights: needs torch and `kernels`, nothing of bcbp."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from safetensors.torch import save_file
from torch import fx, nn

from bcbp.errors import ModelError
from bcbp.export.base import Pruned
from kernels.pruned_conv import PrunedConv

_FILE = '''"""{title}, packed: {sparsity:.1%} of the weights in scope are gone ({pattern}, tile {tile}).

Needs torch, safetensors and the `kernels` folder of bcbp beside it or installed:

    from network import load
    network = load()
    scores = network(images)        # float32 {shape}, as many as you like

Written by bcbp; dense weights {digest}, recovery {recovery}.
"""

from __future__ import annotations

from pathlib import Path

{imports}
from safetensors.torch import load_file
from torch import nn

from kernels.pruned_conv import PrunedConv, PrunedLinear


class Network(nn.Module):
    """Every pruned layer runs on the engine of the device it is on, with what follows it fused in."""

    def __init__(self) -> None:
        super().__init__()
{modules}

{forward}

def load(weights: Path | str = Path(__file__).with_name("network.safetensors")) -> Network:
    """The network with its weights, ready to run."""
    network = Network()
    network.load_state_dict(load_file(weights))
    return network.eval()
'''


@dataclass(frozen=True)
class Package:
    name: str = "packed"
    title: str = "Packed network"
    description: str = (
        "network.py and network.safetensors: the network with only its kept weights stored, and the module "
        "that runs it. Needs torch, safetensors and this project's kernels folder, nothing else."
    )
    needs: tuple[str, ...] = ()

    def write(self, pruned: Pruned, folder: Path) -> tuple[Path, ...]:
        paths = (folder / "network.py", folder / "network.safetensors")
        body = pruned.portable
        if not isinstance(body, fx.GraphModule):
            raise ModelError(
                f"Expected a forward pass that is a fixed graph of operations; that of {pruned.model.name} "
                "is not. Take the weights or the masks."
            )
        paths[0].write_text(source_of(pruned, body), encoding="utf-8")
        state = {name: value.detach().clone().contiguous() for name, value in body.state_dict().items()}
        save_file(state, paths[1], pruned.metadata())
        return paths


PACKAGE = Package()


def source_of(pruned: Pruned, body: fx.GraphModule) -> str:
    """The Python file. Raises ModelError for a module or value that has no words of its own."""
    for node in body.graph.nodes:
        node.type = None  # annotations would need names of their own
    code = body.graph.python_code("self")
    plan, metadata = pruned.plan, pruned.metadata()
    return _FILE.format(
        title=pruned.model.title,
        sparsity=plan.sparsity,
        pattern=metadata["pattern"],
        tile=metadata["tile"],
        shape=f"[N, {', '.join(map(str, pruned.model.input_shape))}]",
        digest=pruned.model.digest[:12],
        recovery=pruned.recovery,
        imports="\n".join(_imports(code.src, code.globals)),
        modules="\n".join(f"        {line}" for line in _made(body)),
        forward="\n".join(f"    {line}".rstrip() for line in code.src.strip().splitlines()) + "\n",
    )


def _imports(source: str, known: dict[str, Any]) -> list[str]:
    """What the source of a graph needs of the names that it was generated with."""
    used = set(re.findall(r"[A-Za-z_]\w*", source))
    lines = {"import torch"}
    for name, value in known.items():
        if name in used and name != "torch":
            if isinstance(value, ModuleType):
                lines.add(f"import {value.__name__} as {name}")
            elif callable(value):
                lines.add(f"from {value.__module__} import {value.__qualname__} as {name}")
            else:
                lines.add(f"from math import {name}")
    return sorted(lines)


def _made(body: fx.GraphModule) -> Iterator[str]:
    """Statements that make every module and parameter of the graph, empty."""
    for name, child in body.named_modules():
        if type(child) is nn.Module:
            words = "nn.Module()"
        elif isinstance(child, PrunedConv):
            words = repr(child)
        elif type(child).__module__.startswith("torch.nn.modules") and not list(child.children()):
            words = f"nn.{child!r}"
        elif name:
            raise ModelError(
                f"Expected modules that are PyTorch's own; {name} is a {type(child).__name__}. "
                "Take the weights or the masks."
            )
        if name:
            yield f"self.set_submodule({name!r}, {words})"
    for name, value in [*body.named_parameters(recurse=False), *body.named_buffers(recurse=False)]:
        yield f"self.register_buffer({name!r}, torch.zeros({tuple(value.shape)}, dtype={value.dtype}))"
