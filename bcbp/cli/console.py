"""Progress on a terminal, and Ctrl-C as a wish to stop."""

from __future__ import annotations

import signal
from types import FrameType, TracebackType
from typing import TextIO

from bcbp.progress import Progress


class Console:
    """One line that is redrawn on a terminal; a line per step where the output is kept in a file."""

    def __init__(self, stream: TextIO) -> None:
        self._stream, self._live = stream, stream.isatty()
        self._stage, self._drawn = "", False

    def show(self, progress: Progress) -> None:
        left = f", about {progress.seconds_left:.0f} s left" if progress.seconds_left is not None else ""
        message = f": {progress.message}" if progress.message else ""
        line = f"{progress.fraction:4.0%} {progress.stage}{message}{left}"
        if self._live:
            self._draw(line)
        elif progress.stage != self._stage:
            print(f"{progress.fraction:4.0%} {progress.stage}", file=self._stream, flush=True)
        self._stage = progress.stage

    def say(self, line: str) -> None:
        self.close()
        print(line, file=self._stream, flush=True)

    def close(self) -> None:
        """Wipe the live line."""
        if self._drawn:
            self._draw("")
            self._drawn = False

    def _draw(self, line: str) -> None:
        # Back to the first column, the line cut to a common width, the rest of the former line erased.
        print(f"\r{line[:118]}\x1b[K", end="", file=self._stream, flush=True)
        self._drawn = True


class Interrupt:
    """While entered, the first Ctrl-C (or SIGTERM) is noted so that work ends cleanly; the second raises."""

    def __init__(self, console: Console) -> None:
        self._console, self._asked = console, False

    def asked(self) -> bool:
        return self._asked

    def __enter__(self) -> Interrupt:
        self._former = {
            number: signal.signal(number, self._note) for number in (signal.SIGINT, signal.SIGTERM)
        }
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._former.items():
            signal.signal(number, handler)

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        if self._asked:
            raise KeyboardInterrupt
        self._asked = True
        self._console.say("stopping after the current step (once more to stop at once)")
