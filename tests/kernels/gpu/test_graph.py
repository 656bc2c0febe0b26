"""Recording a CUDA graph on doubles of torch.cuda: the stream is the caller's again, whatever happens."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
import torch

from kernels.gpu.graph import captured


class FakeCuda:
    """Streams by name. A refused capture leaves its own stream current, as torch.cuda.graph does."""

    def __init__(self, refuses: str = "") -> None:
        self.current, self.refuses, self.replayed = "the caller's", refuses, 0

    def Stream(self) -> SimpleNamespace:
        return SimpleNamespace(name="side", wait_stream=lambda other: None)

    def current_stream(self) -> SimpleNamespace:
        return SimpleNamespace(name=self.current, wait_stream=lambda other: None)

    @contextmanager
    def stream(self, chosen: SimpleNamespace) -> Iterator[None]:
        before, self.current = self.current, chosen.name
        try:
            yield
        finally:
            self.current = before

    def CUDAGraph(self) -> SimpleNamespace:
        return SimpleNamespace(replay=lambda: setattr(self, "replayed", self.replayed + 1))

    @contextmanager
    def graph(self, graph: SimpleNamespace) -> Iterator[None]:
        before, self.current = self.current, "capturing"
        yield
        if self.refuses:
            raise RuntimeError(self.refuses)
        self.current = before


def on(cuda: FakeCuda, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Callable[[], None]]:
    for name in ("Stream", "current_stream", "stream", "CUDAGraph", "graph"):
        monkeypatch.setattr(torch.cuda, name, getattr(cuda, name))
    return captured


def test_work_is_warmed_up_beside_and_recorded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    cuda, ran = FakeCuda(), list[str]()
    replay = on(cuda, monkeypatch)(lambda: ran.append(cuda.current))
    assert ran == ["side"] * 3 + ["capturing"] and cuda.current == "the caller's"
    replay()
    assert cuda.replayed == 1 and len(ran) == 4


def test_a_refused_capture_gives_the_stream_back(monkeypatch: pytest.MonkeyPatch) -> None:
    cuda = FakeCuda(refuses="operation not permitted when stream is capturing")
    with pytest.raises(RuntimeError, match="not permitted when stream is capturing"):
        on(cuda, monkeypatch)(lambda: None)
    assert cuda.current == "the caller's"


def test_work_that_fails_while_it_warms_up_gives_the_stream_back(monkeypatch: pytest.MonkeyPatch) -> None:
    cuda = FakeCuda()

    def fails() -> None:
        raise RuntimeError("out of resources")

    with pytest.raises(RuntimeError, match="out of resources"):
        on(cuda, monkeypatch)(fails)
    assert cuda.current == "the caller's"
