"""The contract of every engine: it computes the masked layer, to the last roundings, and touches nothing
else.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from torch import Tensor

from kernels.cpu import engine as cpu
from kernels.cpu.target import OVERRIDES
from kernels.engines import ENGINE_NAMES, Epilogue, Operator, decline_reason, engine
from kernels.pack import PackedWeight, pack
from kernels.testing import assert_close
from tests.kernels.cases import CASES, Case, channels_last, conv, layers, make

# Every engine, and the CPU engine's register blockings of other machines.
VARIANTS = (*ENGINE_NAMES, *(f"cpu-tiles on {target}" for target in OVERRIDES))

Build = Callable[[PackedWeight, Epilogue], Operator]


def build_variant(variant: str, packed: PackedWeight, epilogue: Epilogue) -> Operator:
    name, _, target = variant.partition(" on ")
    reason = decline_reason(name, packed, activation=epilogue.activation)
    if reason is not None:
        pytest.skip(f"{name} declines: {reason}")
    return (
        cpu.ENGINE.build(packed, epilogue, target=target) if target else engine(name).build(packed, epilogue)
    )


@pytest.fixture
def poisoned() -> Iterator[None]:
    """Memory from torch.empty holds NaN, so an output that is never written shows."""
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("name", CASES)
def test_an_engine_computes_the_masked_layer(name: str, variant: str, poisoned: None) -> None:
    packed, epilogue, x, residual = make(CASES[name])
    operator = build_variant(variant, packed, epilogue)
    before = x.clone()
    y = operator(x, residual)
    assert_close(y, packed=packed, x=x, epilogue=epilogue, residual=residual)
    assert y.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(x, before)
    assert torch.equal(operator(x, residual), y), "a second run differs"


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_permuted_layer_unpermutes_to_the_same_output(variant: str) -> None:
    """Filters sorted into other tiles, packed there and put back give the layer of the same mask."""
    random = torch.Generator().manual_seed(3)
    geometry, everyone = conv(6, 40), torch.ones(40, dtype=torch.bool)
    weight = torch.randn(geometry.rows, geometry.columns, generator=random)
    x = channels_last(torch.randn(2, 6, 7, 7, generator=random))
    order = torch.randperm(40, generator=random)
    keep = torch.rand(3, geometry.columns, generator=random) < 0.5
    permuted = pack(weight[order], keep, everyone, 16, geometry)
    y = build_variant(variant, permuted, Epilogue())(x)[:, order.argsort()]
    by_filter = keep.repeat_interleave(16, 0)[:40][order.argsort()]
    plain = pack(weight, by_filter, everyone, 1, geometry)
    assert_close(channels_last(y), packed=plain, x=x, epilogue=Epilogue())


@pytest.mark.parametrize("variant", VARIANTS)
@settings(max_examples=25, deadline=None)
@given(case=layers())
def test_an_engine_computes_any_layer(variant: str, case: Case) -> None:
    packed, epilogue, x, residual = make(case)
    y = build_variant(variant, packed, epilogue)(x, residual)
    assert_close(y, packed=packed, x=x, epilogue=epilogue, residual=residual)


@pytest.mark.parametrize("kernel", [(1, 1), (3, 3)])
def test_channels_that_no_tile_keeps_are_never_read(kernel: tuple[int, int]) -> None:
    geometry = conv(16, 64, kernel)
    keep = torch.rand(2, geometry.columns) < 0.5
    dropped = torch.arange(geometry.columns) // (kernel[0] * kernel[1]) % 3 == 0
    weight = torch.randn(64, geometry.columns)
    packed = pack(weight, keep & ~dropped, torch.ones(64, dtype=torch.bool), 32, geometry)
    x = channels_last(torch.randn(2, 16, 9, 9))
    operator = build_variant("cpu-tiles", packed, Epilogue())
    clean = operator(x)
    x[:, ::3] = torch.nan
    assert torch.equal(operator(x), clean)


def test_nan_in_a_kept_channel_reaches_the_output() -> None:
    packed, _, x, _ = make(CASES["1x1"])
    operator = build_variant("cpu-tiles", packed, Epilogue(None, "relu"))
    x[0, packed.tiles[0].columns[0], 0, 0] = torch.nan
    assert operator(x)[0, : packed.tile, 0, 0].isnan().all()


@pytest.mark.parametrize("threads", [1, 3])
def test_any_number_of_threads_gives_the_same_result(threads: int) -> None:
    packed, epilogue, x, residual = make(CASES["relu and residual"])
    operator = build_variant("cpu-tiles", packed, epilogue)
    expected, before = operator(x, residual), torch.get_num_threads()
    try:
        torch.set_num_threads(threads)
        assert torch.equal(operator(x, residual), expected)
    finally:
        torch.set_num_threads(before)


def test_one_operator_serves_several_threads_at_once() -> None:
    packed, epilogue, _, _ = make(CASES["3x3"])
    operator = build_variant("cpu-tiles", packed, epilogue)
    inputs = [channels_last(torch.randn(n % 3 + 1, 64, 10, 10)) for n in range(12)]
    expected = [build_variant("cpu-tiles", packed, epilogue)(x) for x in inputs]
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(operator, inputs))
    assert all(torch.equal(a, b) for a, b in zip(results, expected, strict=True))


def test_nothing_outside_the_input_is_read() -> None:
    """In a process of its own, because a stray read ends it: inputs lie against pages that may not be
    touched.
    """
    if not Path("/proc/self/maps").exists():
        pytest.skip("needs Linux's mprotect")
    script = [sys.executable, "-m", "tests.kernels.cpu.guarded"]
    done = subprocess.run([*script, "inside"], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    control = subprocess.run([*script, "outside"], capture_output=True, text=True, timeout=120)
    assert control.returncode < 0, "the guard pages let a stray read pass"


def test_an_operator_outlives_what_it_was_built_from() -> None:
    packed, epilogue, x, residual = make(CASES["rows removed"])
    expected = build_variant("cpu-tiles", packed, epilogue)(x, residual)
    operator = build_variant("cpu-tiles", *make(CASES["rows removed"])[:2])
    operator(x, residual)
    clutter = [torch.randn(10_000) for _ in range(50)]
    assert len(clutter) == 50 and torch.equal(operator(x, residual), expected)


def wrong_inputs(x: Tensor) -> dict[str, Tensor]:
    return {
        "float32": x.double(),
        "channels_last": x.contiguous(),
        "channels": channels_last(x[:, :-1]),
    }


@pytest.mark.parametrize("complaint", ["float32", "channels_last", "channels"])
def test_a_wrong_input_is_refused(complaint: str) -> None:
    packed, epilogue, x, _ = make(CASES["3x3"])
    with pytest.raises(ValueError, match=f"expected x .*{complaint}"):
        build_variant("cpu-tiles", packed, epilogue)(wrong_inputs(x)[complaint])


def test_a_wrong_residual_is_refused() -> None:
    packed, epilogue, x, _ = make(CASES["3x3"])
    with pytest.raises(ValueError, match="expected residual of shape"):
        build_variant("cpu-tiles", packed, epilogue)(x, x[:, :, 1:])


def test_a_tile_across_groups_is_declined_with_the_reason() -> None:
    packed, epilogue, _, _ = make(Case(conv(32, 32, groups=32), tile=8))
    assert "spans groups of 1" in (decline_reason("cpu-tiles", packed) or "")
    with pytest.raises(ValueError, match="spans groups"):
        cpu.ENGINE.build(packed, epilogue)


def test_other_types_are_declined_with_the_reason() -> None:
    packed, _, _, _ = make(CASES["1x1"])
    assert "expected float32" in (cpu.ENGINE.supports(packed, torch.bfloat16) or "")
    assert "expected float32" in (engine("dense").supports(packed, torch.bfloat16) or "")


def test_a_missing_llvmlite_is_a_reason_not_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kernels.cpu.target.find_spec", lambda name: None)
    cpu._host.cache_clear()
    try:
        assert "llvmlite is not installed" in (cpu.ENGINE.available() or "")
    finally:
        cpu._host.cache_clear()


def test_dense_says_when_it_runs_the_plain_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kernels.dense.missing_reason", lambda: "this torch has no such call")
    for name in ("relu6 and residual", "linear", "3x3"):
        packed, epilogue, x, residual = make(CASES[name])
        operator = engine("dense").build(packed, epilogue)
        assert operator.note == "plain conv2d: this torch has no such call"
        assert_close(operator(x, residual), packed=packed, x=x, epilogue=epilogue, residual=residual)
