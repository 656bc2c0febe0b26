"""From what a pickle held to tensors by name: finds the state_dict in a checkpoint, a module, a wrapper."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from bcbp.errors import ModelError
from bcbp.intake.inert import Opaque
from bcbp.intake.limits import DEPTH, NODES
from bcbp.intake.tensors import Claim

# Where training scripts keep the weights, the likeliest first; and what lies beside them.
WEIGHTS = (
    *("state_dict", "model_state_dict", "model_state", "model", "net", "network", "module", "weights"),
    *("params", "ema_state_dict", "model_ema", "ema", "state_dict_ema"),
)
_BESIDE = ("optim", "opt", "scheduler", "lr_scheduler", "scaler")
# What wrappers put before every name: DataParallel, Lightning, torch.compile, common classes.
PREFIXES = ("module.", "model.", "_orig_mod.", "net.", "network.", "backbone.", "encoder.")
_OLD_DENSENET = re.compile(r"(denselayer\d+\.(?:norm|relu|conv))\.(?=[12]\.)")
_MOST = 0.9  # of the names: averaging wrappers count their updates beside the weights
_SECTIONS = ("_parameters", "_buffers", "_modules")


def tensors_in(tree: object) -> tuple[dict[str, Claim], tuple[str, ...]]:
    """The weights in a tree by their names, and notes on where they were. Raises ModelError."""
    place, notes = _Walk().find(tree)
    claims, prefix = strip_prefixes(_Walk().flatten(place))
    if prefix:
        notes = (*notes, f"Without the prefix {prefix!r} of every name.")
    return claims, notes


def strip_prefixes(claims: dict[str, Claim]) -> tuple[dict[str, Claim], str]:
    """Names without the prefixes of wrappers that (nearly) all of them have, and those prefixes.

    >>> strip_prefixes({"module.model.fc.weight": 1})[1], strip_prefixes({"fc.weight": 1})[1]
    ('module.model.', '')
    """
    removed = ""
    while prefix := next((one for one in PREFIXES if _is_common(one, claims)), ""):
        claims = {name.removeprefix(prefix): claim for name, claim in claims.items()}
        removed += prefix
    return {usual_name(name): claim for name, claim in claims.items()}, removed


def usual_name(name: str) -> str:
    """The name that torchvision gives a tensor today; its released DenseNets have older ones.

    >>> usual_name("features.denseblock1.denselayer2.norm.1.weight")
    'features.denseblock1.denselayer2.norm1.weight'
    """
    return _OLD_DENSENET.sub(r"\1", name)


def _is_common(prefix: str, claims: dict[str, Claim]) -> bool:
    """Whether names can do without it: nearly all have it, and none becomes another's."""
    having = [name for name in claims if name.startswith(prefix)]
    stripped = {name.removeprefix(prefix) for name in claims}
    return len(having) >= _MOST * len(claims) > 0 and len(stripped) == len(claims)


@dataclass
class _Walk:
    """One way through a tree that may share its branches and so unfold without end: it counts its steps."""

    steps: int = 0
    found: dict[str, Claim] = field(default_factory=dict)

    def find(self, tree: object) -> tuple[object, tuple[str, ...]]:
        """The part of the tree that holds the weights, and what else there was."""
        path: list[str] = []
        notes: tuple[str, ...] = ()
        while isinstance(tree, dict) and not any(isinstance(value, Claim) for value in tree.values()):
            names = [name for name in WEIGHTS if name in tree and _Walk().flatten(tree[name])]
            if not names or len(path) > DEPTH:
                break
            path.append(names[0])
            others = f" (not from {', '.join(names[1:])})" if names[1:] else ""
            notes = (f"Weights taken from {'.'.join(path)!r}{others}.",)
            tree = tree[names[0]]
        return tree, notes

    def flatten(self, tree: object, prefix: str = "", depth: int = 0) -> dict[str, Claim]:
        """Every tensor below `tree` by its dotted name."""
        self.steps += 1
        if self.steps > NODES or depth > DEPTH:
            raise ModelError(
                f"Expected at most {NODES:,} objects, {DEPTH} deep; the file's objects hold each other "
                "and unfold without end. Save the model's state_dict."
            )
        for name, value in _children(tree, top=depth == 0):
            full = f"{prefix}{name}"
            if isinstance(value, Claim):
                self.found[full] = value
            else:
                self.flatten(value, f"{full}.", depth + 1)
        return self.found


def _children(tree: object, *, top: bool) -> Iterator[tuple[str, Any]]:
    """What a container holds under names; of a module only what it has registered."""
    items = tree.state if isinstance(tree, Opaque) else tree
    if not isinstance(items, dict):
        return
    if isinstance(tree, Opaque) and "_modules" in items:
        for section in _SECTIONS:
            yield from _children(items.get(section), top=False)
        return
    for name, value in items.items():
        beside = top and isinstance(name, str) and name.startswith(_BESIDE)
        if isinstance(name, str) and isinstance(value, Claim | dict | Opaque) and not beside:
            yield name, value
