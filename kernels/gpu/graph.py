"""Work that the GPU replays by itself: launches recorded once as a CUDA graph."""

from __future__ import annotations

from collections.abc import Callable

import torch

_WARM_UPS = 3  # runs before a capture, as PyTorch's notes on CUDA graphs ask for


def captured(run: Callable[[], object]) -> Callable[[], None]:
    """`run` recorded: calling the result replays its launches, on the same memory. Needs a GPU.

    What `run` allocates while it is recorded stays allocated as long as the result lives.
    """
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(_WARM_UPS):
            run()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    # Of the two only the outer puts this stream back where the capture is refused.
    with torch.cuda.stream(torch.cuda.current_stream()), torch.cuda.graph(graph):
        run()
    return graph.replay
