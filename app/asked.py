"""What a comparison is asked to do, in the same words wherever it is named. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from app.titles import OPTIMIZER_TITLES
from app.words.formats import milliseconds, percent, ratio_percent
from bcbp.allocation import ALLOCATIONS
from bcbp.criteria import CRITERIA
from bcbp.jobs import RunView
from bcbp.recovery import FINETUNE, RECOVERIES
from bcbp.recovery.tuning import Tuning
from bcbp.request import CompareRequest
from bcbp.spec import DENSE, PruneSpec


def asked(request: CompareRequest, removed: float | None = None) -> dict[str, str]:
    """Every choice by its name; `removed` is the share of weights that its plan removes, where that is known.

    >>> asked(CompareRequest())["Ratios"], asked(CompareRequest())["Removed"]
    ('Uniform', '50 %')
    """
    return {
        "Removed": _removed(request, removed),
        "Ratios": _ratios(request.spec),
        "Recovery": _recovery(request),
        "Test images": "all" if request.images is None else f"{request.images:,}",
        "Batches": ", ".join(map(str, request.batches)) or "none",
        "Rounds": str(request.rounds),
    }


def asked_of(run: RunView[CompareRequest]) -> dict[str, str]:
    """What a stored run was asked, with the share that was removed where that is an outcome."""
    return asked(run.request, _found(run) if is_outcome(run.request) else None)


def one_line(told: Mapping[str, str]) -> str:
    """
    >>> one_line(asked(CompareRequest(images=1000)))
    'Removed: 50 % · Ratios: Uniform · Recovery: Refit + BatchNorm · Test images: 1,000 · Batches: 1, 32 · \
Rounds: 15'
    """
    return " · ".join(f"{name}: {words}" for name, words in told.items())


def is_outcome(request: CompareRequest) -> bool:
    """Whether the share that is removed follows from more than the one ratio.

    >>> is_outcome(CompareRequest()), is_outcome(CompareRequest(spec=PruneSpec(ratios=(("a", 0.8),))))
    (False, True)
    """
    spec = request.spec
    edited = bool(spec.ratios or spec.exclude) or not ALLOCATIONS[spec.allocation].follows_ratio
    return edited and len(request.asked_ratios) == 1


def preset_of_ratio(allocation: str) -> str:
    """What stands for the ratio where the preset has it come out of something else.

    >>> preset_of_ratio("explicit")
    'set by Explicit, per layer'
    """
    return f"set by {ALLOCATIONS[allocation].title}"


def _found(run: RunView[CompareRequest]) -> float | None:
    """The share that the run's plan for the method in focus removed, else the first's; None without any."""
    rows = [row for row in (run.report or {}).get("rows", ()) if row["method"] != DENSE]
    own = [row for row in rows if row["method"] == run.request.spec.pattern]
    return next((row["sparsity"] for row in (*own, *rows)), None)


def _removed(request: CompareRequest, removed: float | None) -> str:
    if removed is not None:
        return percent(removed)
    if not ALLOCATIONS[request.spec.allocation].follows_ratio:
        return "as the layers' ratios make it"
    return ", ".join(map(ratio_percent, request.asked_ratios))


def _ratios(spec: PruneSpec) -> str:
    """The preset, and all that was edited beside it.

    >>> _ratios(PruneSpec(ratios=(("a", 0.8), ("b", 0.3)), exclude=("c",), permute=True, criterion="l1"))
    'Uniform, 2 layers at their own (30 to 80 %), 1 layer kept dense, L1 magnitude, filters permuted'
    """
    own = sorted(ratio for _, ratio in spec.ratios)
    parts = [
        f"masks {spec.masks}" if spec.masks else "",
        ALLOCATIONS[spec.allocation].title,
        f"{milliseconds(spec.budget_ms)} at batch {spec.batch}" if spec.budget_ms else "",
        f"{_layers(len(own))} at {'its' if len(own) == 1 else 'their'} own ({_span(own)})" if own else "",
        f"{_layers(len(spec.exclude))} kept dense" if spec.exclude else "",
        CRITERIA[spec.criterion].title if spec.criterion != PruneSpec().criterion else "",
        "filters permuted" if spec.permute else "",
    ]
    return ", ".join(filter(None, parts))


def _layers(count: int) -> str:
    return "1 layer" if count == 1 else f"{count} layers"


def _span(ratios: list[float]) -> str:
    """
    >>> _span([0.8]), _span([0.3, 0.8])
    ('80 %', '30 to 80 %')
    """
    low, high = ratios[0], ratios[-1]
    return ratio_percent(low) if low == high else f"{100 * low:.4g} to {ratio_percent(high)}"


def _recovery(request: CompareRequest) -> str:
    """
    >>> _recovery(CompareRequest(spec=PruneSpec(recovery="finetune"), tuning=Tuning(epochs=5, distill=0.5)))
    'Fine-tune, 5 epochs, SGD at 0.02, cosine, distilled'
    """
    title, tuning = RECOVERIES[request.spec.recovery].title, request.tuning
    if request.spec.recovery != FINETUNE.name:
        return title
    epochs = "1 epoch" if tuning.epochs == 1 else f"{tuning.epochs} epochs"
    parts = [
        title,
        epochs,
        f"{OPTIMIZER_TITLES[tuning.optimizer]} at {tuning.rate:g}",
        tuning.schedule,
        tuning.precision if tuning.precision != Tuning().precision else "",
        "distilled" if tuning.distill else "",
    ]
    return ", ".join(filter(None, parts))
