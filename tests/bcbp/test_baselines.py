"""Every dense candidate computes the dense network, or says why it does not run."""

from __future__ import annotations

from functools import lru_cache

import pytest
import torch
from torch import nn

from bcbp import baselines
from bcbp.baselines import CPU_FORMS, Declined, DenseCandidate, dense_candidates
from bcbp.choice import LayerRun
from bcbp.intake.model import state_digest
from bcbp.intake.residual import ResidualNet
from bcbp.network import PackedNetwork
from kernels.cpu.engine import TilesEngine
from tests.bcbp.networks import assert_same_function, randomise

SHAPE, BATCH = (1, 12, 12), 2


@lru_cache(maxsize=1)
def small_net() -> nn.Module:
    torch.manual_seed(0)
    return randomise(ResidualNet(in_channels=1, widths=(8,), blocks=(1,), classes=4))


@lru_cache(maxsize=1)
def candidates() -> tuple[dict[str, DenseCandidate], dict[str, str]]:
    """Made once: compiling takes seconds."""
    ready, declined = dense_candidates(small_net(), forms=CPU_FORMS, input_shape=SHAPE, batch=BATCH)
    return {one.name: one for one in ready}, dict(declined)


@pytest.mark.parametrize("name", CPU_FORMS)
def test_a_candidate_computes_the_dense_network(name: str) -> None:
    ready, declined = candidates()
    if name in declined:
        pytest.skip(declined[name])
    x = torch.randn(BATCH, *SHAPE, generator=torch.Generator().manual_seed(1))
    for given in (x, x.contiguous(memory_format=torch.channels_last)):
        found = ready[name].run(given)
        assert not found.requires_grad
        assert_same_function(found, small_net(), x)


def test_every_name_is_ready_or_declined() -> None:
    ready, declined = candidates()
    assert [name for name in CPU_FORMS if name in ready or name in declined] == list(CPU_FORMS)
    assert not set(ready) & set(declined)
    assert {"eager", "channels_last", "prepacked"} <= set(ready)


def test_the_source_stays_as_it_was() -> None:
    module = small_net()
    before = state_digest(module), repr(module), next(module.parameters()).stride()
    candidates()
    assert (state_digest(module), repr(module), next(module.parameters()).stride()) == before


def test_without_a_compiler_the_compiled_candidate_declines() -> None:
    import torch._inductor.config as settings

    with settings.patch({"cpp.cxx": (None, "no-such-compiler")}):
        ready, declined = dense_candidates(small_net(), forms=CPU_FORMS, input_shape=SHAPE, batch=1)
    assert {"eager", "channels_last", "prepacked"} <= {one.name for one in ready}
    assert "C++ compiler" in dict(declined)["compiled"]


@pytest.mark.parametrize("runs", [(), ("cpu-tiles",), ("dense", "cpu-tiles")])
def test_our_engine_is_a_dense_form_where_it_is_faster_in_some_layer(
    monkeypatch: pytest.MonkeyPatch, runs: tuple[str, ...]
) -> None:
    """And no second measurement of the prepacked form where it is not."""
    network = PackedNetwork(nn.Identity(), tuple(LayerRun(name, name, "") for name in ("dense", *runs)))
    monkeypatch.setattr(baselines, "convert", lambda *_args, **_options: network)
    ready, declined = dense_candidates(
        small_net(), forms={"cpu-tiles": CPU_FORMS["cpu-tiles"]}, input_shape=SHAPE, batch=1
    )
    if runs:
        assert [one.run for one in ready] == [network]
    else:
        assert declined == (("cpu-tiles", "faster than oneDNN in no layer: the same as prepacked"),)


def test_our_engine_declines_where_it_does_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TilesEngine, "available", lambda self: "llvmlite is not installed")
    forms = {"cpu-tiles": CPU_FORMS["cpu-tiles"]}
    ready, declined = dense_candidates(small_net(), forms=forms, input_shape=SHAPE, batch=1)
    assert not ready and declined == (("cpu-tiles", "llvmlite is not installed"),)


def test_one_declining_candidate_leaves_the_others() -> None:
    def refuse(module: nn.Module, input_shape: tuple[int, ...], batch: int) -> baselines.Run:
        raise Declined("not today")

    forms = {"eager": CPU_FORMS["eager"], "compiled": refuse}
    ready, declined = dense_candidates(small_net(), forms=forms, input_shape=SHAPE, batch=1)
    assert [one.name for one in ready] == ["eager"]
    assert declined == (("compiled", "not today"),)
