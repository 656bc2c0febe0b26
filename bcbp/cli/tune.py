"""`python -m bcbp tune`: find the fastest launch of every layer on this GPU once, and keep it."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from itertools import product

import torch

from bcbp.cli.alone import alone
from bcbp.cli.bench_layers import check_device
from bcbp.cli.command import Command, add_json, add_model, check_json, numbers, shares, write_json
from bcbp.cli.console import Console
from bcbp.cli.table import table
from bcbp.errors import SpecError
from bcbp.intake.architectures import load_model
from bcbp.intake.model import LoadedModel
from bcbp.names import check_names
from bcbp.planning import make_plan
from bcbp.progress import Progress
from bcbp.request import MAX_BATCH, check_whole
from bcbp.runtime import GPU
from bcbp.spec import PruneSpec
from kernels.gpu.answers import Answer, Answers, known_cards, table_of
from kernels.measure import Stopped
from kernels.precision import PRECISIONS

INTERRUPTED = 130


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    add_model(parser)
    parser.add_argument("--tile", type=int, default=64, help="filters per tile, V (%(default)s)")
    parser.add_argument("--ratio", type=shares, default=(0.5,), metavar="RATIOS", help="(0.5)")
    parser.add_argument("--batch", type=numbers, default=(1, 32), metavar="SIZES", help="(1,32)")
    parser.add_argument("--precision", choices=tuple(PRECISIONS), default="fp16", help="(%(default)s)")
    parser.add_argument("--again", action="store_true", help="measure what is remembered once more")
    parser.add_argument("--list", action="store_true", help="show what is remembered, and measure nothing")
    add_json(parser, "the card's answers (into a folder: under its own name)")


def _run(chosen: argparse.Namespace) -> int:
    """Tune; what was measured before an interruption is remembered."""
    to_folder = chosen.json is not None and chosen.json.is_dir() and not chosen.list
    check_json(chosen.json / "table.json" if to_folder else chosen.json)
    if chosen.list:
        _print_remembered()
        write_json(chosen.json, {"tables": [table_of(key, Answers(key).all()) for key in known_cards()]})
        return 0
    specs, model = _specs(chosen), load_model(chosen.model)
    check_device(GPU)
    with alone() as (console, interrupt):
        rows: list[list[str]] = []
        try:
            for spec, batch in product(specs, chosen.batch):
                rows += _tune(chosen, model, spec, batch=batch, console=console, asked=interrupt.asked)
        except Stopped:
            console.say("stopped; what was measured is remembered")
        finally:
            console.close()
            print(table(["layer", "batch", "ratio", "engine", ""], rows))
    if chosen.json is not None:
        from kernels.gpu.tuning import this_tuner

        answers = this_tuner().answers
        path = chosen.json / f"{answers.key}.json" if to_folder else chosen.json
        write_json(path, table_of(answers.key, answers.all()))
        console.say(f"written to {path}")
    return INTERRUPTED if interrupt.asked() else 0


def _specs(chosen: argparse.Namespace) -> list[PruneSpec]:
    """What to prune, once per ratio. Raises SpecError."""
    if not chosen.ratio or not chosen.batch:
        raise SpecError("Expected at least one ratio and one batch size; got none.")
    for batch in chosen.batch:
        check_whole("a batch", batch, 1, MAX_BATCH)
    specs = [PruneSpec(ratio=ratio, tile=chosen.tile) for ratio in chosen.ratio]
    for spec in specs:
        check_names(spec)
    return specs


def _tune(
    chosen: argparse.Namespace,
    model: LoadedModel,
    spec: PruneSpec,
    *,
    batch: int,
    console: Console,
    asked: Callable[[], bool],
) -> list[list[str]]:
    """Every layer of the model pruned by `spec`, at one batch size, and what runs it."""
    from bcbp.tuning import tune_network

    stage = f"tuning {model.name}, tile {spec.tile}, ratio {spec.ratio:g}, batch {batch}"
    choices = tune_network(
        model,
        make_plan(model, spec),
        images=batch,
        precision=PRECISIONS[chosen.precision],
        device=torch.device(GPU),
        on_layer=lambda done, count, name: console.show(Progress(done / count, stage, name)),
        should_stop=asked,
        again=chosen.again,
    )
    return [
        [name, str(batch), f"{spec.ratio:g}", choice.engine, choice.reason]
        for name, choice in choices.items()
    ]


def _print_remembered() -> None:
    """What is remembered or shipped, whichever card it is for; needs no GPU."""
    for key in known_cards():
        rows = [_answer_row(answer) for answer in Answers(key).all()]
        print(f"{key}\n{table(['layer', 'fastest', 'median ms', 'measured', 'date'], rows)}\n")
    if not known_cards():
        print("nothing is remembered yet")


def _answer_row(answer: Answer) -> list[str]:
    best = min(answer.timed, key=lambda one: one.median_ms)
    how = best.engine if best.config is None else f"{best.engine}, {best.config}"
    return [answer.problem, how, f"{best.median_ms:.4f}", answer.where, answer.date]


COMMAND = Command(
    name="tune",
    summary="Find the fastest launch of every layer on this GPU once; networks built later use it.",
    example="python -m bcbp tune --model resnet18 --tile 64 --ratio 0.5,0.75 --batch 1,128 --precision fp16",
    add_arguments=_add_arguments,
    run=_run,
)
