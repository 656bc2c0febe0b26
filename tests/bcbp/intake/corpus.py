"""Hostile, broken and odd files: `python -m tests.bcbp.intake.corpus FOLDER` builds them all.

Each case says what its reader has to answer: the start of a note for a file that is read, else a part of the
sentence that refuses it. Files that carry code would make the file CANARY in the working folder.
"""

from __future__ import annotations

import io
import json
import pickle
import struct
import sys
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save as save_safetensors
from torch import Tensor, nn

CANARY = "bcbp-canary"
READ, REFUSED = True, False


@dataclass(frozen=True)
class Case:
    """One file: its name, how it is built, whether it is read, and what is said of it."""

    name: str
    build: Callable[[], bytes]
    is_read: bool
    words: str


class Runs:
    """Pickles into a call of a function, which unpickling carries out."""

    def __init__(self, function: Callable[..., object], *arguments: object) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return self.call


def evil() -> Runs:
    return Runs(exec, f"open({CANARY!r}, 'w').close()")


def weights() -> OrderedDict[str, Tensor]:
    torch.manual_seed(0)
    net = nn.Sequential(OrderedDict(conv=nn.Conv2d(3, 8, 3), bn=nn.BatchNorm2d(8), fc=nn.Linear(8, 4)))
    return OrderedDict(net.state_dict())


def saved(value: object, **options: bool) -> bytes:
    file = io.BytesIO()
    torch.save(value, file, **options)
    return file.getvalue()


def archive(pickled: bytes, storages: dict[str, bytes] | None = None, **others: bytes) -> bytes:
    """An archive as torch.save writes it, around any pickle."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as made:
        made.writestr("net/data.pkl", pickled)
        for key, data in (storages or {}).items():
            made.writestr(f"net/data/{key}", data)
        for name, data in others.items():
            made.writestr(f"net/{name}", data)
    return file.getvalue()


def tensor_pickle(
    shape: str,
    strides: str,
    *,
    offset: int = 0,
    storage: str = "FloatStorage",
    names: tuple[str, ...] = ("w",),
) -> bytes:
    """A dict of tensors in pickle's text protocol: `shape` and `strides` as opcodes that leave a tuple."""
    lines = [b"\x80\x02}"]
    for name in names:
        pointer = f"(Vstorage\nctorch\n{storage}\nV0\nVcpu\nI4\ntQ"
        lines.append(
            f"V{name}\nctorch._utils\n_rebuild_tensor_v2\n({pointer}I{offset}\n{shape}{strides}I00\n}}tRs".encode()
        )
    return b"".join(lines) + b"."


def numbers(*values: int) -> str:
    """Opcodes that leave a tuple of them."""
    return "(" + "".join(f"I{value}\n" for value in values) + "t"


def claimed(shape: tuple[int, ...], strides: tuple[int, ...], **more: object) -> bytes:
    return archive(tensor_pickle(numbers(*shape), numbers(*strides), **more), {"0": bytes(16)})  # type: ignore[arg-type]


def with_entry(name: str, data: bytes, method: int = zipfile.ZIP_STORED) -> bytes:
    """A good file with one entry more."""
    file = io.BytesIO(saved(weights()))
    with zipfile.ZipFile(file, "a") as made:
        made.writestr(zipfile.ZipInfo(name), data, method)
    return file.getvalue()


def packed_bomb(name: str, size: int) -> bytes:
    """One entry of zeros, which deflate makes a thousand times smaller."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("net/data.pkl", tensor_pickle(numbers(4), numbers(1)))
        made.writestr(zipfile.ZipInfo(f"net/{name}"), bytes(1 << 20), zipfile.ZIP_DEFLATED)
        made.filelist[
            -1
        ].file_size = size  # what the archive claims; unpacking the real ones would take seconds
    return file.getvalue()


def laughs() -> bytes:
    tree: object = {"w": 1}
    for _ in range(50):
        tree = {"a": tree, "b": tree}
    return saved(tree)


def circle() -> bytes:
    tree: dict[str, object] = {}
    tree["state_dict"] = tree
    return saved(tree)


def deep_key() -> bytes:
    """A dict whose key is a tuple in a tuple in a tuple...: hashing it runs out of stack in C."""
    return archive(b"\x80\x02})" + b"\x85" * 1_000_000 + b"K\x01s.")


def huge_header(size: int) -> bytes:
    return struct.pack("<Q", size) + b'{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}' + bytes(4)


def safetensors_of(header: dict[str, object], data: bytes) -> bytes:
    words = json.dumps(header).encode()
    return struct.pack("<Q", len(words)) + words + data


def changed(name: str, value: Tensor) -> OrderedDict[str, Tensor]:
    return weights() | {name: value}  # type: ignore[return-value]


def export(*, pickled: bool = False) -> bytes:
    """A torch.export archive by hand, whose sample inputs, and if asked for weights, are pickles that run."""
    meta = {
        "dtype": 7,
        "sizes": [{"as_int": 2}, {"as_int": 2}],
        "strides": [{"as_int": 2}, {"as_int": 1}],
        "storage_offset": {"as_int": 0},
    }
    line = {"path_name": "weight_0", "use_pickle": pickled, "tensor_meta": meta}
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as made:
        made.writestr("m/data/weights/model_weights_config.json", json.dumps({"config": {"fc.weight": line}}))
        made.writestr("m/data/weights/weight_0", saved(evil()) if pickled else bytes(16))
        made.writestr("m/data/sample_inputs/model.pt", saved(evil()))
        made.writestr("m/models/model.json", "{}")
    return file.getvalue()


def field(number: int, data: bytes) -> bytes:
    return bytes([number << 3 | 2, len(data)]) + data


def onnx() -> bytes:
    """One initialiser whose data lie in another file, by a path that leads elsewhere."""
    outside = field(13, field(1, b"location") + field(2, b"/etc/passwd"))
    tensor = bytes([8, 8, 8, 4, 16, 1]) + field(8, b"fc.weight") + outside + bytes([14 << 3, 1])
    return bytes([8, 9]) + field(7, field(5, tensor))


def named(name: object) -> bytes:
    return saved({name: torch.zeros(2)})


def half(data: bytes) -> bytes:
    return data[: len(data) // 2]


def gap(data: bytes) -> bytes:
    """Without a piece near its start, so that offsets lead before it. Found by fuzzing: zipfile's OSError."""
    return data[:200] + data[1400:]


def broken_packing() -> bytes:
    """Packed objects that do not unpack. Found by fuzzing: an error of zlib's own."""
    data, at = packed_bomb("data/0", 1 << 20), 30 + len("net/data.pkl")
    return data[:at] + b"\xff" * 8 + data[at + 8 :]


def flipped(data: bytes) -> bytes:
    """One bit of a weight is another."""
    at = data.index(weights()["fc.weight"].numpy().tobytes())
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def numpy_file() -> bytes:
    file = io.BytesIO()
    np.savez(file, weight=np.zeros(3))
    return file.getvalue()


_CODE = "The file names code: __builtin__.exec. None of it was executed"
_DAMAGED, _CLAIMS = "this one breaks off or is damaged", "Expected tensors no larger than their data"

CASES = (
    # code
    Case("evil.pt", lambda: saved(evil()), REFUSED, _CODE),
    Case("evil-beside-weights.pt", lambda: saved({**weights(), "hook": evil()}), READ, _CODE),
    Case(
        "evil-legacy.pt",
        lambda: saved({**weights(), "hook": evil()}, _use_new_zipfile_serialization=False),
        READ,
        _CODE,
    ),
    Case(
        "evil-chain.pt", lambda: saved(Runs(getattr, Runs(__import__, "os"), "system")), REFUSED, "None of it"
    ),
    Case("evil-text.pt", lambda: pickle.dumps(evil(), 0), REFUSED, "its first bytes"),
    Case("evil-plain.pt", lambda: pickle.dumps(evil()), REFUSED, "a pickle that torch.save did not write"),
    Case("evil.pt2", export, READ, ""),
    Case("evil-weights.pt2", lambda: export(pickled=True), REFUSED, "are pickled"),
    # memory and time
    Case("bomb-pickle.pt", lambda: packed_bomb("data.pkl", 10 << 20), REFUSED, "every name once"),
    Case("bomb-storage.pt", lambda: packed_bomb("data/0", 64 << 20), REFUSED, "compressed or encrypted"),
    Case("bomb-total.pt", lambda: packed_bomb("other", 600 << 20), REFUSED, "at most 500 MB once unpacked"),
    Case("bomb-object.pt", lambda: archive(bytes(33 << 20)), REFUSED, "at most 32 MB in net/data.pkl"),
    Case("expand.pt", lambda: claimed((10_000, 10_000), (0, 0)), REFUSED, _CLAIMS),
    Case("expand-more.pt", lambda: claimed((10**9, 10**9), (0, 0)), REFUSED, "at most 300 million numbers"),
    Case("laughs.pt", laughs, REFUSED, "unfold without end"),
    Case("circle.pt", circle, REFUSED, "unfold without end"),
    Case("deep-key.pt", deep_key, REFUSED, "ended its reader"),
    Case("memo.pt", lambda: archive(b"\x80\x02}r\xff\xff\xff\x7f."), REFUSED, "steps to rebuild"),
    Case("steps.pt", lambda: archive(b"\x80\x02}" + b"N0" * 1_500_000 + b"."), REFUSED, "steps to rebuild"),
    Case("string.pt", lambda: archive(b"\x80\x04\x8d" + struct.pack("<Q", 2**62) + b"x."), REFUSED, _DAMAGED),
    Case(
        "many.pt",
        lambda: archive(
            tensor_pickle(numbers(4), numbers(1), names=tuple(f"w{i}" for i in range(20_001))),
            {"0": bytes(16)},
        ),
        REFUSED,
        "at most 20,000 tensors",
    ),
    Case("header.safetensors", lambda: huge_header(2**62), REFUSED, "its header does not fit"),
    Case("negative.safetensors", lambda: huge_header(2**64 - 1), REFUSED, "its header does not fit"),
    Case(
        "claims.safetensors",
        lambda: safetensors_of({"w": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 4]}}, bytes(4)),
        REFUSED,
        "its header does not fit",
    ),
    # archives
    Case("traversal.pt", lambda: with_entry("../../escaped", b"x"), REFUSED, "leads out of it"),
    Case("absolute.pt", lambda: with_entry("/tmp/escaped", b"x"), REFUSED, "leads out of it"),
    Case("backslash.pt", lambda: with_entry("..\\escaped", b"x"), REFUSED, "leads out of it"),
    Case("big-endian.pt", lambda: archive(b"\x80\x02}.", byteorder=b"big"), REFUSED, "little-endian"),
    Case("numpy.pt", numpy_file, REFUSED, "another kind of zip archive"),
    # what tensors hold and claim
    Case(
        "nan.pt", lambda: saved(changed("fc.bias", torch.full((4,), torch.nan))), REFUSED, "fc.bias holds NaN"
    ),
    Case(
        "overflow.pt",
        lambda: saved(changed("fc.bias", torch.full((4,), 1e300, dtype=torch.float64))),
        REFUSED,
        "fc.bias holds NaN",
    ),
    Case(
        "complex.safetensors",
        lambda: save_safetensors(dict(changed("fc.bias", torch.zeros(4, dtype=torch.complex64)))),
        REFUSED,
        "fc.bias is complex64",
    ),
    Case(
        "integer.pt",
        lambda: saved(changed("fc.weight", torch.zeros(4, 8, dtype=torch.int8))),
        REFUSED,
        "fc.weight is int8, so the model is quantised",
    ),
    Case(
        "float8.safetensors",
        lambda: save_safetensors(dict(changed("fc.bias", torch.zeros(4).to(torch.float8_e5m2)))),
        REFUSED,
        "fc.bias is of F8_E5M2",
    ),
    Case("quantised.pt", lambda: claimed((4,), (1,), storage="QInt8Storage"), REFUSED, "plain number types"),
    Case("past-the-end.pt", lambda: claimed((4,), (1,), offset=1), REFUSED, _CLAIMS),
    Case("stride.pt", lambda: claimed((2,), (4,)), REFUSED, _CLAIMS),
    Case("negative-offset.pt", lambda: claimed((2,), (1,), offset=-2), REFUSED, "makes no sense"),
    Case("negative-stride.pt", lambda: claimed((2,), (-1,)), REFUSED, "makes no sense"),
    Case("negative-size.pt", lambda: claimed((-2,), (1,)), REFUSED, "makes no sense"),
    Case("shape-of-text.pt", lambda: archive(tensor_pickle("Vabc\n", "Vabc\n")), REFUSED, "is not there"),
    Case("nothing.pt", lambda: saved({"epoch": 3}), REFUSED, "the file holds none"),
    Case("unnamed.pt", lambda: named(""), REFUSED, "printable characters"),
    Case("control.pt", lambda: named("a\n\x1b[31mb"), REFUSED, "printable characters"),
    Case("long-name.pt", lambda: named("a" * 300), REFUSED, "printable characters"),
    # damage and mistakes
    Case("truncated.pt", lambda: half(saved(weights())), REFUSED, "the end of this one is missing"),
    Case(
        "truncated-legacy.pt",
        lambda: half(saved(weights(), _use_new_zipfile_serialization=False)),
        REFUSED,
        _DAMAGED,
    ),
    Case("truncated.pt2", lambda: half(export()), REFUSED, "the end of this one is missing"),
    Case("truncated.safetensors", lambda: save_safetensors(dict(weights()))[:-9], REFUSED, "does not fit"),
    Case("truncated.onnx", lambda: onnx()[:-9], REFUSED, _DAMAGED),
    Case("gap.pt", lambda: gap(saved(weights())), REFUSED, _DAMAGED),
    Case("packing.pt", broken_packing, REFUSED, _DAMAGED),
    Case("flipped.pt", lambda: flipped(saved(weights())), REFUSED, _DAMAGED),
    Case("empty.pt", lambda: b"", REFUSED, "an empty file"),
    Case("page.pt", lambda: b"\n<!DOCTYPE html><title>Log in</title>", REFUSED, "a web page"),
    Case("pointer.pt", lambda: b"version https://git-lfs.github.com/spec/v1\noid", REFUSED, "git lfs pull"),
    Case("picture.pt", lambda: b"\x89PNG\r\n\x1a\n" + bytes(40), REFUSED, "a PNG image"),
    Case("noise.pt", lambda: bytes(range(64, 200)), REFUSED, "its first bytes"),
    Case("named.pt", lambda: save_safetensors(dict(weights())), READ, "Named .pt, but it is safetensors"),
    Case("outside.onnx", onnx, READ, "ONNX is only looked at"),
)


def build(folder: Path) -> None:
    for case in CASES:
        (folder / case.name).write_bytes(case.build())


if __name__ == "__main__":
    build(Path(sys.argv[1]))
