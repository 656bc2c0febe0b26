"""The work of a network, against what torchvision publishes of its own."""

from __future__ import annotations

import pytest
import torch
from torchvision import models

from bcbp import adopt
from bcbp.costs import network_macs


@pytest.mark.parametrize("name", ["mobilenet_v2", "swin_t", "vit_b_16"])
def test_attention_and_layers_count(name: str) -> None:
    published = models.get_model_weights(name).DEFAULT.meta["_ops"]  # 10^9 multiply-accumulates
    model = adopt(models.get_model(name, weights=None), name=name, input_shape=(3, 224, 224))
    fast = torch.backends.mha.get_fastpath_enabled()
    assert network_macs(model) / 1e9 == pytest.approx(published, abs=6e-4)
    assert torch.backends.mha.get_fastpath_enabled() == fast
