"""Which architecture a file of weights is of, from the names and shapes of its tensors alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bcbp.errors import ModelError
from bcbp.intake.signatures import CLASSES, COUNTER, Shape, Signature, signatures

# Share of fitting tensors from which on an architecture is taken, and from which on it is worth a question.
ACCEPT, ASK = 0.95, 0.8


@dataclass(frozen=True)
class Match:
    """How a file's tensors fit an architecture.

    `share` is fitting tensors / names in either; `classes` what the head says, None without a head that fits;
    `missing` are tensors of the architecture that the file lacks or has in another shape, `extra` names that
    only the file has. What counts the batches of batch norms is left out.
    """

    signature: Signature
    share: float
    classes: int | None
    missing: tuple[str, ...]
    extra: tuple[str, ...]

    @property
    def name(self) -> str:
        return self.signature.name

    @property
    def is_certain(self) -> bool:
        """Whether it can be taken without a question: nothing but the head may be missing."""
        return self.share >= ACCEPT and set(self.missing) <= set(self.signature.head)

    @property
    def is_likely(self) -> bool:
        """Whether it can be taken where a person says so."""
        return self.share >= ASK


def match(signature: Signature, shapes: Mapping[str, Shape]) -> Match:
    """How tensors of these `shapes` fit one architecture."""
    own = {name: shape for name, shape in shapes.items() if not name.endswith(COUNTER)}
    classes = _classes(signature, own)
    missing = tuple(
        name for name, shape in signature.shapes.items() if own.get(name) != with_classes(shape, classes)
    )
    extra = tuple(name for name in own if name not in signature.shapes)
    share = (len(signature.shapes) - len(missing)) / (len(signature.shapes) + len(extra))
    return Match(signature, share, classes, missing, extra)


def with_classes(shape: Shape, classes: int | None) -> Shape:
    """
    >>> with_classes((0, 512), 10), with_classes((64, 3), 10)
    ((10, 512), (64, 3))
    """
    return tuple(classes or CLASSES if size == CLASSES else size for size in shape)


def _classes(signature: Signature, shapes: Mapping[str, Shape]) -> int | None:
    """What the file has where its (last) head has the number of classes."""
    for name in reversed(signature.head):
        shape, found = signature.shapes[name], shapes.get(name, ())
        if len(shape) == len(found) > 1:
            return found[shape.index(CLASSES)]
    return None


def ranked(shapes: Mapping[str, Shape]) -> list[Match]:
    """Every known architecture, the best first."""
    return sorted((match(one, shapes) for one in signatures().values()), key=lambda one: -one.share)


def infer(shapes: Mapping[str, Shape]) -> Match:
    """The architecture that needs no question. Raises ModelError, which names the likeliest, without one."""
    best = ranked(shapes)[0]
    if best.is_certain:
        return best
    raise ModelError(f"Expected tensors of one of {len(signatures())} known architectures; {doubt(best)}")


def doubt(best: Match) -> str:
    """Why the best match is not taken at once, and what to do."""
    if not best.is_likely:
        return (
            f"the closest is {best.name}, of which {best.share:.0%} fit: too few to build it. "
            "The tensors can be looked at. From Python, bcbp.adopt takes the module itself."
        )
    return f"{best.name} is likely, {best.share:.0%} fit ({what_differs(best)}). Name it to take it."


def what_differs(found: Match) -> str:
    """
    >>> what_differs(Match(Signature("a", (1, 1, 1), {}), 1.0, 10, ("fc.weight", "fc.bias"), ()))
    'fc.weight and 1 more missing or of another shape'
    """
    parts = [(found.missing, "missing or of another shape"), (found.extra, "not of this architecture")]
    words = [
        f"{names[0]}{f' and {len(names) - 1} more' if len(names) > 1 else ''} {what}"
        for names, what in parts
        if names
    ]
    return ", ".join(words) or "all tensors fit"
