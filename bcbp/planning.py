"""From a model and a request to a plan: which layers are in scope, and the pattern's masks for them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from torch import Tensor

from bcbp.allocation import ALLOCATIONS
from bcbp.calibration import ModelStats, ShouldStop, Tell, calibration_images, collect
from bcbp.criteria import CRITERIA
from bcbp.errors import SpecError
from bcbp.geometry import LayerInfo, TileShape
from bcbp.intake.model import LoadedModel
from bcbp.latency import Reach, reach
from bcbp.losses import usable
from bcbp.mask_store import masked_plan
from bcbp.measured import NOTHING, SCAN, Measured
from bcbp.names import check_names
from bcbp.passport import PATTERN
from bcbp.patterns import PATTERNS, Task
from bcbp.permutation import unmoved
from bcbp.plan import PruningPlan
from bcbp.scores import ScoreBook
from bcbp.spec import DENSE, PruneSpec

METHODS = (DENSE, *PATTERNS)


def default_exclude(model: LoadedModel) -> tuple[tuple[str, str], ...]:
    """(name, reason) of layers that stay dense unless they are given a ratio: the stem and the classifier.

    A model of one or two layers has nothing else to prune, so nothing is excluded there.
    """
    if len(model.layers) <= 2:
        return ()
    excluded = []
    first, last = model.layers[0], model.layers[-1]
    if first.kind == "conv":
        excluded.append((first.name, "the first convolution: few weights, much to lose"))
    if last.kind == "linear":
        excluded.append((last.name, "the final classifier: every class needs its row"))
    return tuple(excluded)


def scope(model: LoadedModel, spec: PruneSpec) -> tuple[tuple[LayerInfo, ...], tuple[tuple[str, str], ...]]:
    """The layers that `spec` prunes, and (name, reason) of the prunable layers it leaves out.

    Raises SpecError for a layer that is unknown, not prunable, or both excluded and given a ratio, and when
    nothing is left to prune.
    """
    given = dict(spec.ratios)
    _check_layers(model, spec)
    excluded = {name: reason for name, reason in default_exclude(model) if name not in given}
    excluded |= dict.fromkeys(spec.exclude, "excluded in the request")
    layers = tuple(layer for layer in model.layers if layer.name not in excluded)
    if not layers:
        raise SpecError(f"Expected at least one layer to prune in {model.name}; all are excluded.")
    return layers, tuple(
        (layer.name, excluded[layer.name]) for layer in model.layers if layer.name in excluded
    )


def _check_layers(model: LoadedModel, spec: PruneSpec) -> None:
    prunable = {layer.name for layer in model.layers}
    skipped = dict(model.skipped)
    for name in (*dict(spec.ratios), *spec.exclude):
        if name in skipped:
            raise SpecError(f"Expected a prunable layer; {name} is not: {skipped[name]}.")
        if name not in prunable:
            raise SpecError(
                f"Expected a layer of {model.name} ({', '.join(sorted(prunable))}); got {name!r}."
            )
    both = set(dict(spec.ratios)) & set(spec.exclude)
    if both:
        raise SpecError(f"Expected a ratio or an exclusion, not both, for {', '.join(sorted(both))}.")


class Planner:
    """Plans for one model under one criterion and tile. Scores once; every further plan is a few comparisons.

    >>> planner = Planner(model, criterion="l2", tile=32)  # doctest: +SKIP
    >>> planner.plan(PruneSpec(pattern="bcbp", ratio=0.5)).sparsity  # doctest: +SKIP
    0.5
    """

    def __init__(
        self,
        model: LoadedModel,
        *,
        criterion: str = "l2",
        tile: int = 32,
        seed: int = 0,
        stats: ModelStats | None = None,
    ) -> None:
        """`stats` are what the criterion needs (see `stats_for`). Raises SpecError where they are missing."""
        check_names(PruneSpec(criterion=criterion, tile=tile, seed=seed))
        self.model = model
        self.tile = TileShape(tile)
        self.book = ScoreBook(model, criterion, seed, stats)

    def plan(self, spec: PruneSpec, measured: Measured = NOTHING) -> PruningPlan:
        """The plan for `spec`, which shares this planner's criterion, tile and seed. Raises SpecError.

        `measured` is what allocations go by that read it (see `bcbp.gathering`).
        """
        self._check(spec)
        if spec.masks:
            return masked_plan(self.model, spec)
        layers, excluded = scope(self.model, spec)
        scan, note = usable(measured.scan, self.model.layers)
        task = Task(spec, self.book, layers, replace(measured, scan=scan))
        outcome = PATTERNS[spec.pattern].prune(task)
        touched = {plan.name for plan in outcome.layers}
        left_out = tuple(pair for pair in excluded if pair[0] not in touched)
        kept_dense = left_out + outcome.kept_dense
        notes, forecast = outcome.notes, None
        if SCAN in ALLOCATIONS[spec.allocation].reads:
            notes += (note,)
        if spec.permute:
            notes += self._unpermuted(spec, layers)
        if spec.budget_ms is not None:
            notes += task.decision.notes
            forecast = task.decision.forecast if spec.pattern == PATTERN else None
        return PruningPlan(spec, self.model.digest, outcome.layers, kept_dense, notes, forecast)

    def reach(self, spec: PruneSpec, measured: Measured) -> Reach:
        """Which latency budgets can be met, whatever that of `spec` is. Raises SpecError without times."""
        layers, _ = scope(self.model, spec)
        scan, _ = usable(measured.scan, self.model.layers)
        return reach(self.book, layers, spec=spec, measured=replace(measured, scan=scan))

    def layer_scores(self, name: str, order: Tensor) -> Tensor:
        """Scores of a layer's column vectors, float32 [tiles, K], for pictures; filters in that order."""
        return self.book.in_order(name, self.tile, order).values

    def _unpermuted(self, spec: PruneSpec, layers: tuple[LayerInfo, ...]) -> tuple[str, ...]:
        """Where filters keep their order although a permutation was asked for, and why."""
        if reason := PATTERNS[spec.pattern].no_permutation:
            return (f"Filters are not permuted: {reason}.",)
        reasons: dict[str, list[str]] = {}
        for layer in layers:
            if reason := unmoved(layer, spec.tile):
                reasons.setdefault(reason, []).append(layer.name)
        return tuple(
            f"Filters keep their order in {', '.join(names)}: {why}." for why, names in reasons.items()
        )

    def _check(self, spec: PruneSpec) -> None:
        check_names(spec)
        own = {"criterion": self.book.criterion.name, "tile": self.tile.rows, "seed": self.book.seed}
        for field, value in own.items():
            if getattr(spec, field) != value:
                raise SpecError(
                    f"Expected a spec with this planner's {field} {value}; got {getattr(spec, field)}. "
                    "Make a planner for it."
                )


def stats_for(
    model: LoadedModel,
    criterion: str,
    *,
    folder: Path | None = None,
    seed: int = 0,
    tell: Tell = lambda _share: None,
    should_stop: ShouldStop = lambda: False,
) -> ModelStats | None:
    """What the criterion needs of the calibration images that `seed` draws.

    None, at no cost, for a criterion that looks at weights alone. Raises SpecError for a model without
    images, DataError where they cannot be found, Stopped.
    """
    needs = CRITERIA[criterion].needs
    if not needs:
        return None
    images = calibration_images(model, folder, seed=seed)
    return collect(needs, model, images, tell=tell, should_stop=should_stop)


def make_plan(
    model: LoadedModel, spec: PruneSpec, measured: Measured = NOTHING, *, folder: Path | None = None
) -> PruningPlan:
    """The plan of a single request. For many requests on one model keep a `Planner`.

    `folder` holds the images for a criterion that needs them, where they are not bundled.
    """
    check_names(spec)
    if spec.masks:
        return masked_plan(model, spec)
    stats = stats_for(model, spec.criterion, folder=folder, seed=spec.seed)
    planner = Planner(model, criterion=spec.criterion, tile=spec.tile, seed=spec.seed, stats=stats)
    return planner.plan(spec, measured)
