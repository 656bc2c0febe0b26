"""Which launches are allowed, how they are ranked, and what the tuner makes of the times."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from kernels.gpu import gemm, limits, tuning
from kernels.gpu.answers import HERE, Answer, Answers, Timed
from kernels.gpu.choice import SPARSE, choose
from kernels.gpu.cost_model import (
    gathered_seconds,
    memory_seconds,
    resident_blocks,
    streaming_seconds,
    waves,
)
from kernels.gpu.launch import LaunchConfig
from kernels.gpu.limits import GATHERED_LIMITS, STREAMING_LIMITS, reason_against
from kernels.gpu.map_layer import MapLayer, Maps
from kernels.gpu.operators import DEPTHWISE, GATHERED, OPERATORS, SEMI_STRUCTURED, STREAMING, VENDOR
from kernels.gpu.tuning import MOST_CANDIDATES, Candidate, Tuner, candidates, configs, ranked
from kernels.gpu.work import problem_of, work_of
from kernels.layers import LayerShape, square
from kernels.precision import FP32, TF32
from tests.kernels.gpu.tuned import AMPERE, HOPPER, STAGE3, depthwise_shape, layer_on_maps, work

ONE_BY_ONE = square(64, 256, kernel=1, size=14)
FINE = LaunchConfig(width=64, block_m=64, block_n=128, block_k=64, warps=4, stages=3)


# ------------------------------------------------------------------------------------------------ limits
@pytest.mark.parametrize(
    ("limit", "broken", "words"),
    [
        (limits.shared_memory, {"block_n": 256, "stages": 4, "width": 256, "block_m": 256}, "262144 bytes"),
        (limits.sums_in_registers, {"width": 256, "block_m": 256}, "256 sums"),
        (limits.long_side, {"width": 32, "block_m": 32}, "32 rows do not fill"),
        (limits.swap_where_narrow, {"width": 128, "block_m": 128, "swap": True}, "without swapping"),
        (limits.split_where_few, {"split_k": 2}, "fill 132 processors without splitting"),
        (limits.block_k_within_columns, {"block_k": 2048}, "block_k 2048 is more than 576"),
        (limits.whole_tiles, {"split_k": 2}, "whole launch tiles"),
        (limits.held_on_chip, {"stages": 4}, "bytes of shared memory of"),
    ],
)
def test_each_limit_says_what_it_forbids(limit: limits.Limit, broken: dict[str, int], words: str) -> None:
    assert words in str(limit(replace(FINE, **broken), work(), HOPPER))


def test_only_values_of_two_bytes_are_swapped() -> None:
    swapped = replace(FINE, swap=True)
    assert limits.swap_of_halves(swapped, work(), HOPPER) is None
    assert "copied value by value" in str(limits.swap_of_halves(swapped, work(precision=TF32), HOPPER))


def test_a_usual_launch_breaks_no_limit() -> None:
    assert reason_against(GATHERED_LIMITS, FINE, work(), HOPPER) is None
    short = square(64, 256, kernel=1, size=56)
    assert reason_against(STREAMING_LIMITS, replace(FINE, block_k=32), work(short), HOPPER) is None


def test_blocks_larger_than_the_layer_only_pad() -> None:
    small = work(square(64, 64, size=4), images=8)
    assert "width 128" in str(limits.width_within_rows(replace(FINE, width=128), small, HOPPER))
    assert "block_n 256" in str(limits.block_n_within_positions(replace(FINE, block_n=256), small, HOPPER))
    assert limits.block_n_within_positions(replace(FINE, block_n=128), small, HOPPER) is None


def test_only_cards_whose_warps_multiply_together_ask_for_sixty_four_rows() -> None:
    narrow = replace(FINE, width=32, block_m=32)
    assert limits.long_side(narrow, work(), HOPPER)
    assert limits.long_side(narrow, work(), AMPERE) is None
    assert limits.long_side(replace(narrow, swap=True), work(), HOPPER) is None
    assert limits.long_side(narrow, work(precision=FP32), HOPPER) is None
    assert limits.long_side(narrow, work(precision=TF32), HOPPER)


def test_long_sums_of_few_results_may_be_split() -> None:
    few = work(square(512, 512, size=7), images=8)
    assert limits.split_where_few(replace(FINE, split_k=2), few, HOPPER) is None
    assert "too few for 8 shares" in str(limits.split_where_few(replace(FINE, split_k=8), few, HOPPER))


# ------------------------------------------------------------------------------------------------ the model
@given(st.sampled_from([one for one in configs() if one.split_k == 1]))
def test_no_launch_is_predicted_faster_than_memory_allows(config: LaunchConfig) -> None:
    wanted = work()
    assert gathered_seconds(config, wanted, HOPPER) > memory_seconds(wanted, HOPPER)
    assert streaming_seconds(config, wanted, HOPPER) > memory_seconds(wanted, HOPPER)


@given(st.sampled_from([FINE, replace(FINE, width=128, block_m=128, warps=8)]), st.sampled_from([0.25, 0.5]))
def test_more_columns_take_longer(config: LaunchConfig, ratio: float) -> None:
    long, short = work(ratio=ratio), work(ratio=0.9)
    assert gathered_seconds(config, long, HOPPER) > gathered_seconds(config, short, HOPPER)


def test_one_thread_block_too_many_costs_a_whole_turn() -> None:
    full = replace(work(), positions=128 * 33, moved=0.0)  # 4 launch tiles x 33 blocks on 132 processors
    over = replace(full, positions=128 * 33 + 1)
    one, two = (gathered_seconds(FINE, some, HOPPER) for some in (full, over))
    assert two > 1.3 * one


def test_tiles_that_agree_are_joined_and_tiles_that_do_not_are_not() -> None:
    """What joining adds decides: nothing where lists agree, almost everything where they are random."""
    narrow, wide = replace(FINE, width=64), LaunchConfig(256, 128, 128, 64, warps=8)
    agree, differ = work(alike=True), work()
    assert agree.growth[256] == 1 and differ.growth[256] > 2
    assert gathered_seconds(wide, agree, HOPPER) < gathered_seconds(narrow, agree, HOPPER)
    assert gathered_seconds(wide, differ, HOPPER) > gathered_seconds(narrow, differ, HOPPER)
    best = ranked([GATHERED], agree, HOPPER)[0]
    assert best.config is not None and best.config.width > 64


def test_splitting_helps_a_layer_of_few_results() -> None:
    few = work(square(512, 512, size=7), images=8, ratio=0.5)
    deep = replace(FINE, block_n=128)
    assert gathered_seconds(replace(deep, split_k=4), few, HOPPER) < gathered_seconds(deep, few, HOPPER)


def test_waves_count_how_often_the_card_is_full() -> None:
    """4 launch tiles x 33 position tiles, as many as there are processors, each with room for several."""
    full = replace(work(), positions=128 * 33)
    at_once = resident_blocks(FINE, full, HOPPER)
    assert waves(FINE, full, HOPPER) == 1 / at_once < 1
    assert waves(replace(FINE, split_k=2), full, HOPPER) == 2 / at_once


def test_larger_thread_blocks_leave_room_for_fewer() -> None:
    large = LaunchConfig(128, 128, 256, 64, warps=8, stages=3)
    assert resident_blocks(FINE, work(), HOPPER) > resident_blocks(large, work(), HOPPER) == 1


# ------------------------------------------------------------------------------------------------ candidates
LAYERS = [
    STAGE3,
    square(64, 256, kernel=1, size=56),
    square(512, 512, size=7),
    square(3, 64, kernel=7, stride=2, size=224),
    square(24, 40, size=5),
]


@pytest.mark.parametrize("card", [HOPPER, AMPERE], ids=lambda card: card.slug)
@pytest.mark.parametrize("images", [1, 32, 128])
@pytest.mark.parametrize("shape", LAYERS, ids=lambda shape: shape.name)
def test_few_launches_are_left_and_all_are_within_their_limits(shape, images, card) -> None:
    layer, maps = layer_on_maps(shape, images=images, tile=32)
    found = candidates(layer, maps, work_of(layer, maps), card)
    tiled = [one for one in found if one.config is not None]
    assert 1 <= len(tiled) <= MOST_CANDIDATES + 2 and len({one.name for one in found}) == len(found)
    assert VENDOR in {one.engine for one in found}
    for one in tiled:
        of = GATHERED_LIMITS if one.engine == GATHERED else STREAMING_LIMITS
        assert reason_against(of, one.config, work_of(layer, maps), card) is None


def test_the_best_launch_is_tried_in_other_groups_where_that_is_another_walk() -> None:
    def groups(shape: LayerShape, **options: int) -> list[int]:
        layer, maps = layer_on_maps(shape, **options)
        found = candidates(layer, maps, work_of(layer, maps), HOPPER)
        best = next(one.config for one in found if one.engine == GATHERED)
        alike = [one.config for one in found if one.config and replace(one.config, group=best.group) == best]
        return [config.group for config in alike]

    assert groups(STAGE3) == [8, 1, 32]
    assert groups(square(256, 256, size=4), images=8) == [8, 1]  # too few positions for larger groups
    assert groups(square(64, 64, size=14)) == [8]  # one block of filters


def test_short_sums_stream_and_depthwise_layers_have_their_own_kernel() -> None:
    layer, maps = layer_on_maps(square(64, 256, kernel=1, size=56))
    assert STREAMING in {one.engine for one in candidates(layer, maps, work_of(layer, maps), HOPPER)}
    layer, maps = layer_on_maps(depthwise_shape(), tile=1, ratio=0.3)
    found = candidates(layer, maps, work_of(layer, maps), HOPPER)
    assert {one.engine for one in found} == {DEPTHWISE, VENDOR}


def test_a_card_without_room_for_any_launch_still_has_the_library() -> None:
    tiny = replace(HOPPER, shared_bytes=1024)
    layer, maps = layer_on_maps()
    assert [one.engine for one in candidates(layer, maps, work_of(layer, maps), tiny)] == [VENDOR]


def test_problems_differ_where_the_answer_may() -> None:
    names = [
        problem_of(layer, maps, work_of(layer, maps))
        for layer, maps in (
            layer_on_maps(),
            layer_on_maps(images=32),
            layer_on_maps(tile=32),
            layer_on_maps(ratio=0.5),
            layer_on_maps(precision=TF32),
            layer_on_maps(alike=True),
            layer_on_maps(residual=True),
            layer_on_maps(square(256, 512, stride=2, size=14)),
            layer_on_maps(halo=(1, 1)),
            layer_on_maps(residual=True, halo=(1, 1)),
            layer_on_maps(ONE_BY_ONE, ratio=0.5),
            layer_on_maps(ONE_BY_ONE, ratio=0.5, two_of_four=True),
        )
    ]
    assert len(set(names)) == len(names)
    layer, maps = layer_on_maps()
    silu = replace(layer, epilogue=replace(layer.epilogue, activation="silu"))
    assert problem_of(silu, maps, work_of(silu, maps)) == names[0]


# ------------------------------------------------------------------------------------------------ the tuner
class Session:
    """Stands in for launches and their clock: a candidate takes what `costs` says of it, in seconds."""

    def __init__(self, costs: Callable[[Candidate], float]) -> None:
        self.costs, self.ran = costs, list[str]()

    def runnable(self, candidate: Candidate, layer: MapLayer, maps: Maps) -> Callable[[], None]:
        cost = self.costs(candidate)
        if cost == float("inf"):
            raise RuntimeError("PassManager::run failed\nand much more")

        def run() -> None:
            self.ran.append(candidate.name)

        run.cost = cost  # type: ignore[attr-defined]
        return run

    def timer(self) -> Callable[[Callable[[], None], int], float]:
        return lambda run, inner: run.cost  # type: ignore[attr-defined]


@pytest.fixture
def tuned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A tuner of HOPPER under given costs, a run of its own each, with launches that do nothing."""

    def make(costs: Callable[[Candidate], float]) -> tuple[Tuner, Session]:
        session = Session(costs)
        monkeypatch.setattr(tuning, "runnable", session.runnable)
        for name, operator in OPERATORS.items():
            nothing = replace(operator, build=lambda layer, config, device: lambda maps: lambda: None)
            monkeypatch.setitem(OPERATORS, name, nothing)
        answers = Answers("card", folder=tmp_path / "own", tables=tmp_path / "shipped")
        return Tuner(HOPPER, answers, timer=session.timer), session

    return make


def fast_at(width: int) -> Callable[[Candidate], float]:
    """Gathered launches of that width take 1 ms, the library 1.5 ms, all others 2 ms."""

    def cost(candidate: Candidate) -> float:
        if candidate.config is not None and candidate.config.width == width:
            return 0.001
        return 0.0015 if candidate.engine == VENDOR else 0.002

    return cost


def test_the_fastest_launch_is_chosen_and_the_reason_says_by_how_much(tuned) -> None:
    tuner, _ = tuned(fast_at(128))
    choice = choose(*layer_on_maps(), tuner=tuner)
    assert choice.engine == GATHERED and choice.config is not None and choice.config.width == 128
    assert "gathered was 1.50x faster than vendor here (1.000 vs 1.500 ms)" in choice.reason
    assert "tiles of 64 run joined at 128, which multiplies 7" in choice.reason


def test_a_wide_tile_may_be_cut(tuned) -> None:
    tuner, _ = tuned(fast_at(64))
    choice = choose(*layer_on_maps(tile=128), tuner=tuner)
    assert "tiles of 128 run as launches of 64" in choice.reason


def test_the_library_is_chosen_where_it_is_faster(tuned) -> None:
    tuner, _ = tuned(lambda candidate: 0.001 if candidate.engine == VENDOR else 0.003)
    choice = choose(*layer_on_maps(), tuner=tuner)
    assert (choice.engine, choice.config) == (VENDOR, None)
    assert choice.reason == "vendor was 3.00x faster than gathered here (1.000 vs 3.000 ms)"
    sparse = choose(*layer_on_maps(), tuner=tuner, engines=SPARSE)
    assert sparse.engine == GATHERED
    assert sparse.reason.startswith("gathered was 3.00x slower than vendor here")


def test_an_answer_is_measured_once_and_again_only_on_demand(tuned) -> None:
    tuner, session = tuned(fast_at(64))
    first = choose(*layer_on_maps(), tuner=tuner)
    measured = len(session.ran)
    later, session = tuned(fast_at(64))
    assert choose(*layer_on_maps(), tuner=later).reason == first.reason and not session.ran
    choose(*layer_on_maps(), tuner=later, again=True)
    assert len(session.ran) == measured > 0


def test_repeated_layers_of_a_run_are_measured_once_even_if_again(tuned) -> None:
    tuner, session = tuned(fast_at(64))
    for _ in range(3):
        choose(*layer_on_maps(), tuner=tuner, again=True)
    measured = len(session.ran)
    choose(*layer_on_maps(tile=32), tuner=tuner, again=True)
    assert len(session.ran) > measured > 0
    once, session = tuned(fast_at(64))
    choose(*layer_on_maps(), tuner=once, again=True)
    assert len(session.ran) == measured


def but(engine: str) -> Callable[[Candidate], float]:
    """All of one engine are refused, the others take 1 ms."""
    return lambda candidate: float("inf") if candidate.engine == engine else 0.001


def test_launches_that_the_card_refuses_are_left_out_and_named(tuned) -> None:
    tuner, _ = tuned(but(GATHERED))
    layer, maps = layer_on_maps()
    tiled = [one.name for one in candidates(layer, maps, work_of(layer, maps), HOPPER) if one.config]
    choice = choose(layer, maps, tuner=tuner)
    assert choice.reason.startswith(
        "nothing else takes the layer (1.000 ms here); 8 not timed, the first for: "
    )
    assert choice.reason.endswith(": RuntimeError: PassManager::run failed")
    answer, _ = tuner.answers.find(problem_of(layer, maps, work_of(layer, maps)))
    assert answer is not None
    assert answer.refused == tuple(f"{name}: RuntimeError: PassManager::run failed" for name in tiled)
    with pytest.raises(ValueError, match="expected a layer that gathered takes"):
        choose(layer, maps, tuner=tuner, engines=frozenset({GATHERED}))


def test_a_layer_whose_library_call_is_refused_is_timed_all_the_same(tuned) -> None:
    tuner, _ = tuned(but(VENDOR))
    choice = choose(*layer_on_maps(), tuner=tuner)
    assert choice.engine == GATHERED and "1 not timed, the first for: vendor: RuntimeError" in choice.reason


def test_a_card_that_refuses_everything_is_an_error_with_the_reasons(tuned) -> None:
    tuner, _ = tuned(lambda candidate: float("inf"))
    with pytest.raises(
        ValueError, match="expected a launch that this card runs, got vendor: RuntimeError: Pass"
    ):
        choose(*layer_on_maps(), tuner=tuner)


def test_what_a_refusal_leaves_on_the_gpu_is_raised_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """An illegal address stays: whatever is called next on that GPU raises it too."""

    def illegal(*_: object) -> None:
        raise RuntimeError("an illegal memory access")

    monkeypatch.setattr(tuning, "runnable", illegal)
    monkeypatch.setattr(tuning.torch.cuda, "synchronize", illegal)
    layer, _ = layer_on_maps()
    on_a_gpu = SimpleNamespace(x=SimpleNamespace(device=torch.device("cuda")))
    with pytest.raises(RuntimeError, match="illegal memory access"):
        tuning.runnable_ones([Candidate(VENDOR, None)], layer, on_a_gpu)


def test_offsets_beyond_32_bits_are_a_refusal_with_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    """The maps hold no values here: binding alone says no, and the library is still asked."""
    monkeypatch.setattr(gemm, "_LARGEST", 100)
    layer, maps = layer_on_maps()
    nothing = replace(OPERATORS[VENDOR], build=lambda layer, config, device: lambda maps: lambda: None)
    monkeypatch.setitem(OPERATORS, VENDOR, nothing)
    runs, (refused,) = tuning.runnable_ones([Candidate(GATHERED, FINE), Candidate(VENDOR, None)], layer, maps)
    assert [one.engine for one in runs] == [VENDOR]
    assert refused.startswith("gathered, width 64") and "ValueError: expected offsets below 2^31" in refused


def test_a_launch_is_captured_before_it_is_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the clock will do, but where a refusal costs one candidate and not the session."""

    def refuses(run: Callable[[], None]) -> None:
        raise RuntimeError("operation not permitted when stream is capturing")

    monkeypatch.setattr(tuning, "captured", refuses)
    monkeypatch.setattr(tuning.torch.cuda, "synchronize", lambda device: None)
    nothing = replace(OPERATORS[VENDOR], build=lambda layer, config, device: lambda maps: lambda: None)
    monkeypatch.setitem(OPERATORS, VENDOR, nothing)
    layer, _ = layer_on_maps()
    on_a_gpu = SimpleNamespace(x=SimpleNamespace(device=torch.device("cuda")))
    runs, refused = tuning.runnable_ones([Candidate(VENDOR, None)], layer, on_a_gpu)
    assert runs == {}
    assert refused == ("vendor: RuntimeError: operation not permitted when stream is capturing",)


def test_a_remembered_engine_that_declines_the_layer_now_is_passed_over(tuned) -> None:
    """Its library may be missing here, or the name of the problem too coarse."""
    tuner, _ = tuned(fast_at(64))
    layer, maps = layer_on_maps(ONE_BY_ONE, ratio=0.5)
    problem = problem_of(layer, maps, work_of(layer, maps))
    timed = (Timed(SEMI_STRUCTURED, None, 0.1, 0.1, 0.1), Timed(VENDOR, None, 0.3, 0.3, 0.3))
    tuner.answers.remember(Answer(problem, timed, "2026-11-25"))
    choice = choose(layer, maps, tuner=tuner)
    assert choice.engine == VENDOR and SEMI_STRUCTURED not in choice.reason


def test_a_folder_that_cannot_be_written_is_said_and_costs_nothing_else(tuned, tmp_path: Path) -> None:
    tuner, _ = tuned(fast_at(64))
    (tmp_path / "own").write_text("in the way")
    choice = choose(*layer_on_maps(), tuner=tuner)
    assert choice.engine == GATHERED and "not remembered: " in choice.reason


def test_a_damaged_answer_is_said_and_measured_anew(tuned, tmp_path: Path) -> None:
    tuner, session = tuned(fast_at(64))
    choose(*layer_on_maps(), tuner=tuner)
    (path,) = (tmp_path / "own" / "card").iterdir()
    path.write_text("{")
    measured = len(session.ran)
    later, session = tuned(fast_at(64))
    assert "is damaged and was passed over" in choose(*layer_on_maps(), tuner=later).reason
    assert len(session.ran) == measured
    latest, _ = tuned(fast_at(64))
    assert "damaged" not in choose(*layer_on_maps(), tuner=latest).reason


def test_a_noisy_answer_says_so_and_is_measured_anew_by_the_next_run(tuned) -> None:
    unsteady, _ = tuned(fast_at(64))
    swinging = iter(range(1, 10**6))
    unsteady._timer = lambda: lambda run, inner: 0.001 * (1 + next(swinging) % 3)
    answer, _ = unsteady.answer(*layer_on_maps())
    assert answer.noisy and answer.where == HERE
    assert "on an unsteady machine" in choose(*layer_on_maps(), tuner=unsteady).reason
    quiet, session = tuned(fast_at(64))
    assert "unsteady" not in choose(*layer_on_maps(), tuner=quiet).reason and session.ran
    later, session = tuned(fast_at(64))
    assert not later.answer(*layer_on_maps())[0].noisy and not session.ran
