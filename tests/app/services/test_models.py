"""Models are shared by all sessions, which may ask for them at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from bcbp.intake.architectures import load_model


def test_models_loaded_at_once_are_those_loaded_alone() -> None:
    alone = load_model("resnet18").digest
    names = ["resnet18", "resnet34", "resnet18", "resnet34"]
    with ThreadPoolExecutor(len(names)) as pool:
        at_once = [model.digest for model in pool.map(load_model, names)]
    assert [at_once[0], at_once[2]] == [alone, alone]
