"""`python -m bcbp check`: fails a build whose network is too slow here, or has lost too much."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

from bcbp.cli.alone import alone
from bcbp.cli.command import (
    Command,
    add_data,
    add_device,
    add_json,
    adjustment_of,
    check_json,
    precision_of,
    write_json,
)
from bcbp.cli.report_text import machine_text
from bcbp.cli.table import table
from bcbp.criteria import CRITERIA
from bcbp.errors import BcbpError, DataError, ModelError, SpecError
from bcbp.experiment import compare
from bcbp.export.recipe import read_recipe
from bcbp.image_folder import with_image_folder
from bcbp.intake.architectures import load_model
from bcbp.intake.uploads import content_of
from bcbp.jobs.kinds import FINETUNED
from bcbp.jobs.store import default_root
from bcbp.limits import Limit, drop_limit, latency_limit
from bcbp.mask_store import MaskStore
from bcbp.picture_store import place_of
from bcbp.preprocessing import Adjustment
from bcbp.recovery.tuning import Tuning
from bcbp.recovery.workshop import Workshop
from bcbp.request import CompareRequest
from bcbp.spec import DENSE, PruneSpec
from bcbp.team import Team, training_device

PASSED, EXCEEDED, INTERRUPTED = 0, 1, 130


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    default = CompareRequest()
    parser.add_argument("recipe", type=Path, metavar="RECIPE", help="recipe.json of an export")
    parser.add_argument("--budget-ms", type=float, metavar="MS", help="the median time may be at most this")
    parser.add_argument(
        "--max-drop", type=float, metavar="POINTS", help="it may lose at most so many points against dense"
    )
    parser.add_argument("--batch", type=int, default=1, help="images at once (%(default)s)")
    parser.add_argument(
        "--strict", action="store_true", help="fail, too, where a limit is inside the interval"
    )
    parser.add_argument("--images", type=int, help="test on this many images only (all)")
    parser.add_argument("--rounds", type=int, default=default.rounds, help="timing rounds (%(default)s)")
    parser.add_argument("--threads", type=int, help="threads to run with (torch's own choice)")
    parser.add_argument(
        "--masks",
        type=Path,
        metavar="FILE",
        help="the file of masks that the recipe names, where it is not kept",
    )
    add_device(parser)
    add_data(parser)
    add_json(parser, "the verdicts and the whole report")


def request_of(chosen: argparse.Namespace) -> CompareRequest:
    """Dense and the network of the recipe; only what has a limit is measured.

    Raises SpecError, ModelError.
    """
    recipe = read_recipe(chosen.recipe)
    try:
        spec = _with_masks(PruneSpec.from_json(recipe["spec"]), chosen.masks)
        data, adjustment = _images(recipe, spec, chosen)
        return CompareRequest(
            model=recipe["model"],
            methods=(DENSE, spec.pattern),
            spec=spec,
            tuning=Tuning.from_json(recipe["tuning"]) if recipe["tuning"] else Tuning(),
            batches=() if chosen.budget_ms is None else (chosen.batch,),
            threads=chosen.threads,
            images=0 if chosen.max_drop is None else chosen.images,
            data=data,
            adjustment=adjustment,
            rounds=chosen.rounds,
            device=chosen.device,
            precision=precision_of(chosen),
        )
    except BcbpError:
        raise
    except (KeyError, TypeError, ValueError) as error:
        raise SpecError(f"Expected a whole recipe in {chosen.recipe}; it is damaged: {error}") from error


def _with_masks(spec: PruneSpec, path: Path | None) -> PruneSpec:
    """`spec`, by the file at `path` if it is the one of the recipe, whatever its name. Raises SpecError."""
    if path is None:
        return spec
    given = MaskStore().take_in(path).id
    if content_of(given) != content_of(spec.masks):
        raise SpecError(
            f"Expected with --masks the file that the recipe names, {spec.masks or 'none'}; got {given}. "
            "Give that one, or leave it out."
        )
    return replace(spec, masks=given)


def _images(
    recipe: dict[str, Any], spec: PruneSpec, chosen: argparse.Namespace
) -> tuple[str | None, Adjustment]:
    """Which images, prepared how; none where neither an accuracy nor the criterion asks for them."""
    if chosen.max_drop is None and not CRITERIA[spec.criterion].needs:
        return None, Adjustment()
    images = recipe.get("images") or {}
    adjustment = adjustment_of(chosen) or Adjustment.from_json(images.get("adjustment"))
    return chosen.data or images.get("data"), adjustment


def _check_limits(chosen: argparse.Namespace) -> None:
    """Raises SpecError before anything is measured for nothing."""
    if chosen.budget_ms is None and chosen.max_drop is None:
        raise SpecError("Expected a limit to check: --budget-ms, --max-drop, or both; got neither.")
    if chosen.budget_ms is not None and not 0 < chosen.budget_ms < float("inf"):
        raise SpecError(f"Expected --budget-ms in milliseconds above 0; got {chosen.budget_ms:g}.")
    if chosen.max_drop is not None and not 0 <= chosen.max_drop <= 100:
        raise SpecError(f"Expected --max-drop in points of accuracy, from 0 to 100; got {chosen.max_drop:g}.")
    if chosen.images == 0:
        raise SpecError("Expected --images of at least 1; got 0. Without --max-drop none are used.")


def _check_origin(recipe: dict[str, Any], request: CompareRequest) -> None:
    """Raises ModelError, DataError where the recipe was made from other dense weights or other images."""
    model = load_model(request.model)
    found, expected = model.digest, str(recipe.get("dense_digest"))
    if found != expected:
        raise ModelError(
            f"Expected the dense weights {expected[:12]} that the recipe was made from; {request.model} has "
            f"{found[:12]}. Export it again."
        )
    images = recipe.get("images")
    if images is None or request.data is None:
        return
    found = with_image_folder(model, place_of(request.data), request.adjustment).images_digest
    expected = str(images.get("digest"))
    if found != expected:
        raise DataError(
            f"Expected the images and the preprocessing {expected} that the recipe was made from; those of "
            f"{request.data} are {found}. Name those of then by --data, or export it again."
        )


def _run(chosen: argparse.Namespace) -> int:
    check_json(chosen.json)
    _check_limits(chosen)
    request = request_of(chosen)
    _check_origin(read_recipe(chosen.recipe), request)
    root = default_root()
    with alone() as (console, interrupt):
        report = compare(
            request,
            on_event=lambda now, _: console.show(now),
            should_stop=interrupt.asked,
            workshop=Workshop(root / FINETUNED, Team(device=training_device())),
            root=root,
        )
    if interrupt.asked():
        return INTERRUPTED
    limits = limits_of(report, chosen)
    passed = all(limit.passes(strict=chosen.strict) for limit in limits)
    print(check_text(report, limits, strict=chosen.strict))
    told = [limit.to_json() for limit in limits]
    write_json(chosen.json, {"passed": passed, "strict": chosen.strict, "limits": told, "report": report})
    return PASSED if passed else EXCEEDED


def limits_of(report: dict[str, Any], chosen: argparse.Namespace) -> list[Limit]:
    """Every limit that was asked for. Raises SpecError, DataError where one was not measured."""
    row = report["rows"][-1]
    limits = [] if chosen.budget_ms is None else [latency_limit(row, chosen.batch, chosen.budget_ms)]
    return limits + ([] if chosen.max_drop is None else [drop_limit(row, chosen.max_drop)])


def check_text(report: dict[str, Any], limits: list[Limit], *, strict: bool) -> str:
    """A line a limit, what decides, and the conditions."""
    row, passed = report["rows"][-1], all(limit.passes(strict=strict) for limit in limits)
    header = ["", "measured", "95 % interval", "at most", "verdict"]
    decides = "--strict counts that as exceeded" if strict else "the measured value decides"
    doubt = f"cannot tell: the limit is inside the interval; {decides}"
    return "\n".join(
        [
            f"{row['title']}, {row['sparsity']:.1%} of the weights in scope removed",
            table(header, [_line(limit) for limit in limits]),
            *([doubt] if any(limit.unsure for limit in limits) else []),
            "passed" if passed else "failed",
            machine_text(report["environment"]),
        ]
    )


def _line(limit: Limit) -> list[str]:
    low, high = limit.interval
    return [
        limit.name,
        f"{limit.value:.3f} {limit.unit}",
        f"{low:.3f} to {high:.3f}",
        f"{limit.most:g} {limit.unit}",
        limit.words,
    ]


COMMAND = Command(
    name="check",
    summary=(
        "Measure the network of a recipe against dense; fail (exit code 1) when it is slower than a budget "
        "or loses more accuracy than allowed: for use in CI."
    ),
    example="python -m bcbp check pruned/recipe.json --batch 1 --budget-ms 1.5 --max-drop 1",
    add_arguments=_add_arguments,
    run=_run,
)
