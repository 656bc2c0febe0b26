"""Launch configurations say what they are and refuse what no kernel can run."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from kernels.gpu.launch import LaunchConfig


def test_a_width_of_part_of_a_block_is_refused() -> None:
    with pytest.raises(ValueError, match="expected a width of whole blocks of 64 filters, got 96"):
        LaunchConfig(96, 64, 64, 32)


@pytest.mark.parametrize("name", ["block_m", "block_n", "block_k"])
@pytest.mark.parametrize("size", [8, 48])
def test_blocks_that_no_tensor_core_takes_are_refused(size: int, name: str) -> None:
    sizes = {"block_m": 16, "block_n": 16, "block_k": 16, name: size}
    with pytest.raises(ValueError, match=f"expected {name} as a power of two from 16 on, got {size}"):
        LaunchConfig(48 if name == "block_m" else 16, **sizes)


def test_it_survives_json_and_says_what_it_is() -> None:
    config = LaunchConfig(64, 32, 128, 32, split_k=4, swap=True)
    assert LaunchConfig(**json.loads(json.dumps(config.to_json()))) == config
    assert str(config) == "width 64, blocks 32 x 128 x 32, 4 warps, 3 stages, split 4, swapped"
    assert str(LaunchConfig(64, 64, 128, 32)) == "width 64, blocks 64 x 128 x 32, 4 warps, 3 stages"
    assert str(replace(config, group=1)).endswith(", swapped, groups of 1")
    assert config.shared_bytes(2) == 3 * 32 * (32 + 128) * 2
