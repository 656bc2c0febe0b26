"""The machine code of every kernel, for cards that need not be there: whole copies, tensor cores, no spills.

Numerics cannot see these losses: a mask or an offset that the compiler no longer knows to be constant over 16
bytes makes 2-byte loads of the same numbers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch

pytest.importorskip("triton", reason="triton is not installed")
import triton
import triton.language as tl

from kernels.gpu import copies as copying
from kernels.gpu import depthwise, gemm, pooling, stream, transpose
from kernels.gpu.engine import interpreted
from kernels.gpu.feature_map import Shift, chwn, shifted
from kernels.gpu.launch import LaunchConfig
from kernels.precision import BF16, FP16, TF32, Precision
from tests.kernels.cases import Case, conv, make
from tests.kernels.gpu.machine_code import SHARED_BYTES, Code, code_of

if interpreted():
    pytest.skip("the interpreter compiles nothing", allow_module_level=True)

LARGE, NARROW = LaunchConfig(128, 128, 128, 64, 8, 3), LaunchConfig(32, 32, 128, 64, 4, 3)
HALF = LaunchConfig(64, 64, 128, 64, 4, 3)
SHORT = {"block_k": 32}  # blocks of 32 columns: float32 takes twice the room, older cards have less
PLAIN = Case(conv(16, 256), tile=128, plane=(8, 8), images=8, residual=True)


@pytest.fixture(scope="module", autouse=True)
def fresh_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Nothing compiled by another run is read."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRITON_CACHE_DIR", str(tmp_path_factory.mktemp("triton")))
        yield


def tensor_core(capability: int, config: LaunchConfig) -> str:
    """The instruction that the product should become.

    From 9.0 on a group of four warps shares one product of at least 64 rows. With fewer filters than that
    only swapped operands fill it; otherwise Triton takes the warp's own product, as on older cards.
    """
    rows = config.block_n if config.swap else config.block_m
    if capability < 90 or rows < 64:
        return "HMMA"
    return "HGMMA" if capability < 100 else "UTCHMMA"


def gathered_code(
    capability: int, config: LaunchConfig, precision: Precision = FP16, case: Case = PLAIN
) -> Code:
    packed, epilogue, _, _ = make(case)
    g = packed.geometry
    product = gemm.GatheredGemm(packed, epilogue, config=config, precision=precision, device="cpu")
    x = chwn(g.in_channels, case.plane, case.images, halo=g.padding, dtype=precision.dtype)
    y = chwn(g.rows, g.output_size(*case.plane), case.images, dtype=precision.dtype)
    launch = product.bind(x, y, y if case.residual else None)
    return code_of(capability, gemm, "gathered_gemm", launch)


def streaming_code(capability: int, config: LaunchConfig, precision: Precision) -> Code:
    case = replace(PLAIN, geometry=conv(128, 256, (1, 1)), tile=64)
    packed, epilogue, _, _ = make(case)
    product = stream.StreamingGemm(packed, epilogue, config=config, precision=precision, device="cpu")
    x, y = (chwn(channels, case.plane, 8, dtype=precision.dtype) for channels in (128, 256))
    return code_of(capability, stream, "streaming_gemm", product.bind(x, y, y))


def faults(code: Code, capability: int, *, product: str = "", spilled: int = 0) -> list[str]:
    """What is wrong with a kernel whatever its kind, in words.

    `product` is the instruction its main loop should hold, `spilled` the bytes a thread may put aside
    outside that loop.
    """
    found = []
    if product and not code.of(product, loop=True):
        found.append(f"no {product} in the main loop: {dict(code.loop)}")
    if product and not code.of("LDGSTS", loop=True):
        found.append("the main loop copies nothing asynchronously")
    if narrow := code.narrow("LDGSTS"):
        found.append(f"asynchronous copies below 16 bytes: {dict(narrow)}")
    if narrow := code.narrow("STG"):
        found.append(f"stores below 16 bytes: {dict(narrow)}")
    if halves := code.of(r"LDG\.E\.(U|S)(8|16)"):
        found.append(f"loads of single values: {dict(halves)}")
    if local := code.of("LDL", "STL", loop=True):
        found.append(f"the main loop uses local memory: {dict(local)}")
    if code.stack > spilled:
        found.append(f"{code.stack} bytes a thread do not fit its registers")
    if code.shared > SHARED_BYTES[capability]:
        found.append(f"{code.shared} bytes of shared memory, the card has {SHARED_BYTES[capability]}")
    return found


GATHERED = {
    (capability, config, precision)
    for capability in (80, 89)
    for precision, configs in {
        FP16: (replace(LARGE, **SHORT), replace(HALF, **SHORT)),
        BF16: (replace(HALF, **SHORT),),
        TF32: (replace(HALF, **SHORT),),
    }.items()
    for config in configs
} | {
    (capability, config, precision)
    for capability in (90, 100)
    for precision, configs in {
        FP16: (LARGE, HALF, NARROW, replace(NARROW, swap=True)),
        BF16: (HALF,),
        TF32: (replace(LARGE, **SHORT), replace(NARROW, **SHORT)),
    }.items()
    for config in configs
}
STREAMED = [
    (capability, replace(config, warps=8, **SHORT), precision)
    for capability, stages in ((80, 3), (89, 2), (90, 3), (100, 3))
    for config in (replace(HALF, stages=stages, block_n=64 if capability == 89 else 128),)
    for precision in ((FP16, BF16, TF32) if capability == 90 else (FP16, TF32))
]


def name(value: object) -> str:
    return value.name if isinstance(value, Precision) else str(value)


@pytest.mark.parametrize(
    ("capability", "config", "precision"), sorted(GATHERED, key=lambda one: (*one[:2], one[2].name)), ids=name
)
def test_gathered_products(capability: int, config: LaunchConfig, precision: Precision) -> None:
    code = gathered_code(capability, config, precision)
    assert not faults(code, capability, product=tensor_core(capability, config))
    # in the loop single loads are those of the taps, one offset a column; the residual comes in whole units
    assert set(code.of("LDG", loop=True)) <= {"LDG.E"}
    assert code.wide("LDG") >= code.wide("STG")
    # what the choice of a launch goes by; from 10.0 on a few barriers come on top
    assert code.shared <= config.shared_bytes(precision.dtype.itemsize) + 64


@pytest.mark.parametrize("capability", [90, 100])
def test_the_largest_blocks_spill_little_and_outside_the_loop(capability: int) -> None:
    """Accumulators of 128 x 256 leave a thread hardly a register: the addresses of the start are put aside.

    GELU's polynomial needs more of them still, after the loop.
    """
    config = LaunchConfig(128, 128, 256, 64, 8, 3)
    plain = gathered_code(capability, config)
    assert not faults(plain, capability, product=tensor_core(capability, config), spilled=32)
    if capability == 90:
        gelu = gathered_code(capability, config, case=replace(PLAIN, activation="gelu"))
        assert not faults(gelu, capability, product="HGMMA", spilled=192)


@pytest.mark.parametrize(
    ("capability", "activation"), [(80, "gelu"), (90, "silu"), (90, "gelu"), (100, "gelu")]
)
def test_curved_activations_do_not_spill(capability: int, activation: str) -> None:
    config = replace(HALF, **SHORT)
    code = gathered_code(capability, config, case=replace(PLAIN, activation=activation))
    assert not faults(code, capability, product=tensor_core(capability, config))


@pytest.mark.parametrize("capability", [80, 89, 90, 100])
def test_unbalanced_tiles_and_shared_results(capability: int) -> None:
    """The trip count is loaded, and four thread blocks share a result: their parts travel whole, too.

    On 10.0 Triton 3.6 puts four addresses aside before the loop.
    """
    config = replace(HALF, split_k=4, **SHORT)
    code = gathered_code(capability, config, case=replace(PLAIN, balanced=False, ratio=0.6))
    spilled = 16 if capability == 100 else 0
    assert not faults(code, capability, product=tensor_core(capability, config), spilled=spilled)


@pytest.mark.parametrize("capability", [80, 89, 90, 100])
def test_only_the_copies_for_a_next_layer_are_scattered(capability: int) -> None:
    """Few images: x and y in whole units, the shifted copies value by value (their stride may be 2).

    Blocks of 64 x 64 as few images want them: with 64 results a thread, Triton 3.6 puts the addresses of the
    copies aside.
    """
    packed, epilogue, _, _ = make(replace(PLAIN, images=1))
    config = replace(HALF, block_n=64, **SHORT)
    product = gemm.GatheredGemm(packed, epilogue, config=config, precision=FP16, device="cpu")
    x = shifted(16, (8, 8), 1, halo_rows=1, shift=Shift(3, 1, 1), dtype=torch.float16)
    y = shifted(256, (8, 8), 1, dtype=torch.float16)
    copies = shifted(256, (8, 8), 1, halo_rows=1, shift=Shift(3, 2, 1), dtype=torch.float16)
    code = code_of(capability, gemm, "gathered_gemm", product.bind(x, y, expand=copies))
    (fault,) = faults(code, capability, product=tensor_core(capability, config))
    assert fault.startswith("stores below 16 bytes: {'STG.E.U16'"), fault
    assert code.wide("STG")


@pytest.mark.parametrize(("capability", "config", "precision"), STREAMED, ids=name)
def test_streaming_products(capability: int, config: LaunchConfig, precision: Precision) -> None:
    code = streaming_code(capability, config, precision)
    assert not faults(code, capability, product=tensor_core(capability, config))
    # weights, taps and bias stay; positions and residual are on their way before they are wanted
    assert not code.of("LDG", loop=True)
    assert code.wide("STG")


@pytest.mark.parametrize(
    ("capability", "precision"), [(80, FP16), (89, FP16), (90, TF32), (100, FP16)], ids=name
)
def test_few_images_are_pooled_and_copied_in_whole_stores(capability: int, precision: Precision) -> None:
    """Windows and copies begin at any column, so they are read value by value; what is written lies whole."""
    x = shifted(8, (9, 9), 2, halo_rows=1, dtype=precision.dtype)
    copies = shifted(8, (9, 9), 2, halo_rows=1, shift=Shift(3, 2, 1), dtype=precision.dtype)
    images = torch.zeros(2, 8, 9, 9)
    window = {"kernel": (3, 3), "stride": (1, 1), "padding": (1, 1)}
    launches = [
        (pooling, "pool", pooling.Pool(**window).bind(x, copies)),
        (pooling, "pool", pooling.Pool(**window, mean=True).bind(x, x)),
        (copying, "shifted_copies", copying.write_copies(images, copies)),
        (copying, "shifted_copies", copying.write_copies(x.nchw(), copies)),
    ]
    for module, kernel, launch in launches:
        code = code_of(capability, module, kernel, launch)
        assert [fault for fault in faults(code, capability) if "single values" not in fault] == []
        assert code.wide("STG") > 0 == code.narrow("STG").total()


@pytest.mark.parametrize(
    ("capability", "precision"), [(80, FP16), (89, FP16), (90, TF32), (100, FP16)], ids=name
)
def test_depthwise_pooling_and_conversion(capability: int, precision: Precision) -> None:
    geometry = conv(8, 8, groups=8)
    packed, epilogue, _, _ = make(Case(geometry, tile=1))
    x = chwn(8, (8, 8), 8, halo=(1, 1), dtype=precision.dtype)
    y = chwn(8, (8, 8), 8, dtype=precision.dtype)
    product = depthwise.DepthwiseConv(packed, epilogue, precision=precision, device="cpu")
    code = code_of(capability, depthwise, "depthwise", product.bind(x, y, y))
    assert [fault for fault in faults(code, capability) if "single values" not in fault] == []
    # one weight a tap is a single value; its run of x is whole
    assert code.wide("LDG") > code.of(r"LDG\.E\.U16").total() >= 0
    for mean in (False, True):
        pool = pooling.Pool((3, 3), (1, 1), (1, 1), mean=mean)
        code = code_of(capability, pooling, "pool", pool.bind(x, y))
        assert not faults(code, capability)
        assert set(code.of("LDG")) == {"LDG.E.128"}
    images = torch.zeros(8, 8, 8, 8, dtype=precision.dtype)
    code = code_of(capability, transpose, "nchw_to_chwn", transpose.convert_in(images, y))
    # images of the caller may begin anywhere, so they are read one by one
    assert [fault for fault in faults(code, capability) if "single values" not in fault] == []


# ---- controls: the check sees what it is for


@triton.jit
def clamped(j, limit, inner, innermost, unit: tl.constexpr):
    """The same positions, clamped value by value: right numbers, and no run the compiler can trust."""
    valid = j < limit * unit
    j = tl.minimum(j, limit * unit - 1)
    values = innermost * unit
    plane = j // values
    return plane // inner, plane % inner, j % values, valid


@pytest.mark.parametrize("capability", [90])
def test_a_clamped_offset_is_caught(capability: int, monkeypatch: pytest.MonkeyPatch) -> None:
    config, plain = replace(HALF, **SHORT), gemm.gathered_gemm
    assert not faults(gathered_code(capability, config), capability, product=tensor_core(capability, config))
    monkeypatch.setattr(gemm, "positions", clamped)
    # made anew, because a compiled kernel remembers what it called
    again = triton.jit(plain.fn, do_not_specialize=plain.do_not_specialize)
    monkeypatch.setattr(gemm, "gathered_gemm", again)
    found = faults(gathered_code(capability, config), capability, product=tensor_core(capability, config))
    assert any(fault.startswith("loads of single values") for fault in found), found
    assert any(fault.startswith("stores below 16 bytes") for fault in found), found


@pytest.mark.parametrize("capability", [80, 90])
def test_tiles_turned_round_while_they_are_copied_are_caught(capability: int) -> None:
    """Swapped float32 operands are such a launch; the choice of launches leaves them out."""
    code = gathered_code(capability, replace(NARROW, swap=True, **SHORT), TF32)
    assert any(fault.startswith("asynchronous copies below 16") for fault in faults(code, capability))


def test_spills_and_too_much_shared_memory_are_caught() -> None:
    code = gathered_code(90, LaunchConfig(128, 128, 256, 64, 4, 5))
    found = faults(code, 90, product="HGMMA")
    assert any("do not fit its registers" in fault for fault in found), found
    assert any("of shared memory, the card has" in fault for fault in found), found


def test_a_missing_tensor_core_is_caught() -> None:
    code = gathered_code(90, NARROW)
    assert any(fault.startswith("no HGMMA") for fault in faults(code, 90, product="HGMMA"))
