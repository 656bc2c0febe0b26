"""The parts of the CPU engine that the contract of engines does not show."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from kernels.cpu import engine as cpu
from kernels.cpu import threads
from kernels.cpu.blocks import cut, is_pointwise, plan_blocks
from kernels.cpu.panels import choose_height, make_panels
from kernels.cpu.schedule import choose_schedule, fetch_distance
from kernels.cpu.target import OVERRIDES, VectorTarget, choose_target
from kernels.layout import ConvGeometry
from kernels.pack import pack
from tests.kernels.cases import CASES, conv, make

AVX512 = VectorTarget("avx512", lanes=16, registers=32)


@given(height=st.integers(1, 40), width=st.integers(1, 70), most=st.sampled_from((1, 4, 6, 9, 14, 28)))
def test_blocks_cover_every_pixel_once(height: int, width: int, most: int) -> None:
    blocks = cut((height, width), most)
    counted = Counter(pixel for block in blocks for pixel in block)
    assert set(counted) == {(row, column) for row in range(height) for column in range(width)}
    assert set(counted.values()) == {1} and max(map(len, blocks)) <= most


def test_taps_in_the_padding_cost_nothing() -> None:
    """A 3x3 layer on 7x7 pixels needs 361 of its 441 (pixel, tap) pairs: (3 * 7 - 2) squared."""
    plan = plan_blocks(conv(1, 16), images=1, plane=(7, 7), most=14)
    pairs = sum(
        (end - first) * len(plan.layouts[block.layout].paths[path])
        for block in plan.blocks
        for first, end, path in block.groups
    )
    assert pairs == 361


def test_a_pointwise_layer_runs_all_images_as_one_line() -> None:
    geometry = ConvGeometry(8, 16)
    plan = plan_blocks(geometry, images=5, plane=(1, 1), most=14)
    assert is_pointwise(geometry) and plan.images == 1 and len(plan.blocks) == 1


@pytest.mark.parametrize("target", [AVX512, *OVERRIDES.values()])
def test_a_register_block_fits_the_registers(target: VectorTarget) -> None:
    for height in target.heights:
        sums = height * target.pixels(height)
        assert sums + height < target.registers


def test_panels_are_as_tall_as_wastes_the_fewest_lanes() -> None:
    assert choose_height(make(CASES["3x3"])[0], AVX512) == 2
    assert choose_height(make(CASES["tile of 16"])[0], AVX512) == 1
    assert len(make_panels(make(CASES["3x3"])[0], 32)) == 2


def test_torchs_default_type_does_not_reach_generated_code() -> None:
    packed, epilogue, x, residual = make(CASES["3x3"])
    expected = cpu.ENGINE.build(packed, epilogue)(x, residual)
    torch.set_default_dtype(torch.float64)
    try:
        found = cpu.ENGINE.build(packed, epilogue)(x, residual)
    finally:
        torch.set_default_dtype(torch.float32)
    assert found.dtype == torch.float32
    assert torch.equal(found, expected)


def test_eight_filters_run_in_half_vectors() -> None:
    assert AVX512.narrowed(8).lanes == 8 and AVX512.narrowed(9).lanes == 16


def test_the_longest_panels_come_first() -> None:
    columns = [len(panel.taps) for panel in make_panels(make(CASES["unbalanced tiles"])[0], 32)]
    assert columns == sorted(columns, reverse=True) and len(set(columns)) > 1


def test_a_permuted_tile_that_mixes_groups_is_declined() -> None:
    geometry, everyone = conv(8, 32, groups=2), torch.ones(32, dtype=torch.bool)
    keep, weight = torch.ones(2, geometry.columns, dtype=torch.bool), torch.zeros(32, geometry.columns)
    mixed = pack(weight, keep, everyone, 16, geometry, order=torch.arange(32).view(2, 16).T.flatten())
    inside = pack(weight, keep, everyone, 16, geometry, order=torch.arange(32).flip(0))
    assert "spans groups" in str(cpu.ENGINE.supports(mixed, torch.float32))
    assert cpu.ENGINE.supports(inside, torch.float32) is None


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("threads", [1, 2, 16])
def test_tasks_cover_all_work(name: str, threads: int) -> None:
    packed, _, x, _ = make(CASES[name])
    panels = make_panels(packed, 32)
    plan = plan_blocks(packed.geometry, images=len(x), plane=CASES[name].plane, most=14)
    schedule = choose_schedule(panels, plan, geometry=packed.geometry, shape=x.shape, threads=threads)
    assert schedule.block_chunks * schedule.block_chunk >= plan.images * len(plan.blocks)
    assert 1 <= schedule.threads <= min(threads, schedule.tasks)


def test_only_large_inputs_that_are_read_whole_are_fetched_early() -> None:
    row, large, small = 4 * 64 * 56, torch.Size((8, 64, 56, 56)), torch.Size((1, 64, 56, 56))
    assert fetch_distance(conv(64, 64), large) == row + 4096
    assert fetch_distance(conv(64, 64), small) == 0
    assert fetch_distance(conv(64, 64, (1, 1), stride=(2, 2)), large) == 0


def test_code_is_compiled_once_for_layers_of_one_shape() -> None:
    packed, epilogue, x, _ = make(CASES["3x3"])
    first = cpu.ENGINE.build(packed, epilogue)
    other = cpu.ENGINE.build(make(CASES["3x3"], seed=1)[0], epilogue)
    first(x), other(x)
    address = [next(iter(op._prepared.values())).alive[1].records["full"][0] for op in (first, other)]
    assert address[0] == address[1] != 0


@pytest.fixture
def without_openmp(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(threads, "_openmp_library", lambda: None)
    threads._runner.cache_clear()
    yield
    threads._runner.cache_clear()


@pytest.mark.parametrize("name", ["relu and residual", "unbalanced tiles"])
def test_without_openmp_a_thread_pool_gives_the_same_result(name: str, without_openmp: None) -> None:
    packed, epilogue, x, residual = make(CASES[name])
    operator = cpu.ENGINE.build(packed, epilogue)
    pooled = operator(x, residual)
    assert threads.runtime_name() == "thread pool" and threads.thread_number() == 0
    threads._runner.cache_clear()
    one = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        assert torch.equal(operator(x, residual), pooled)
    finally:
        torch.set_num_threads(one)


def test_a_machine_without_wide_vectors_is_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    binding = pytest.importorskip("llvmlite").binding
    monkeypatch.setattr(binding, "get_host_cpu_features", dict)
    monkeypatch.setattr(binding, "get_default_triple", lambda: "riscv64-unknown-linux")
    with pytest.raises(RuntimeError, match=r"riscv64.* none of AVX-512, AVX2 with FMA, NEON"):
        choose_target()
