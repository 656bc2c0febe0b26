"""`python -m bcbp train-sample`: the bundled models, made again from scratch."""

from __future__ import annotations

import argparse
from pathlib import Path

from bcbp.bundled import TRAINED, train_sample
from bcbp.cli.command import Command, check_json
from bcbp.errors import SpecError


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--model", default="sample", metavar="NAME", help=f"one of {', '.join(TRAINED)} (%(default)s)"
    )
    parser.add_argument("--data", type=Path, metavar="DIR", help="where the images are, if not bundled")
    parser.add_argument("--epochs", type=int, help="passes over the training images (the model's own recipe)")
    parser.add_argument(
        "--seed", type=int, default=0, help="for the start, the order and the shifts (%(default)s)"
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="safetensors file to write (assets/models)")


def _run(chosen: argparse.Namespace) -> int:
    if chosen.epochs is not None and chosen.epochs < 1:
        raise SpecError(f"Expected at least one epoch; got {chosen.epochs}.")
    check_json(chosen.out, "--out")
    card = train_sample(
        chosen.model, data=chosen.data, out=chosen.out, epochs=chosen.epochs, seed=chosen.seed
    )
    for name, value in card.items():
        print(f"{name}: {value}")
    return 0


COMMAND = Command(
    name="train-sample",
    summary="Train a bundled model from scratch. After an interruption it goes on behind the last epoch.",
    example="python -m bcbp train-sample --model cifar-resnet20 --data DIR --seed 1",
    add_arguments=_add_arguments,
    run=_run,
)
