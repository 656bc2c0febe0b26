"""The command line: one file and one line of the table per subcommand.

Exit codes: 0 done, 1 a limit of `check` exceeded, 2 input that cannot be carried out, 3 missing data,
130 interrupted. Every error is one line on stderr.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from bcbp.cli import (
    bench,
    check,
    compare,
    device,
    export,
    finetune,
    models,
    plan,
    sensitivity,
    study,
    train,
    tune,
)
from bcbp.cli.command import Command
from bcbp.errors import BcbpError, DataError

COMMANDS: tuple[Command, ...] = (
    compare.COMMAND,
    finetune.COMMAND,
    plan.COMMAND,
    bench.COMMAND,
    export.COMMAND,
    check.COMMAND,
    device.COMMAND,
    sensitivity.COMMAND,
    study.COMMAND,
    tune.COMMAND,
    train.COMMAND,
    models.COMMAND,
)
BAD_INPUT, MISSING_DATA, INTERRUPTED = 2, 3, 130


class OneLineParser(argparse.ArgumentParser):
    """Says what is wrong in one line, without the usage above it."""

    def error(self, message: str) -> NoReturn:
        self.exit(BAD_INPUT, f"error: {message} (see {self.prog} --help)\n")


def main(arguments: Sequence[str] | None = None, *, more: Sequence[Command] = ()) -> int:
    """Run one subcommand, of the table or of `more`; gives the exit code."""
    chosen = make_parser(more).parse_args(arguments)
    try:
        return int(chosen.run(chosen))
    except DataError as error:
        return _refuse(error, MISSING_DATA)
    except (BcbpError, OSError) as error:
        if isinstance(error, BrokenPipeError):  # `| head` has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0
        return _refuse(error, BAD_INPUT)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED


def make_parser(more: Sequence[Command] = ()) -> OneLineParser:
    parser = OneLineParser(
        prog="python -m bcbp",
        description="Prune convolutional networks in balanced column blocks, and measure what it brings.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in (*COMMANDS, *more):
        added = commands.add_parser(
            command.name,
            help=command.summary,
            description=command.summary,
            epilog=f"example:\n  {command.example}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.add_arguments(added)
        added.set_defaults(run=command.run)
    return parser


def _refuse(error: Exception, code: int) -> int:
    print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
    return code
