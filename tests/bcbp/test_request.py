from __future__ import annotations

import json

import pytest

from bcbp.errors import BcbpError, ModelError, SpecError
from bcbp.request import CompareRequest
from bcbp.spec import PruneSpec


def test_a_request_survives_json():
    request = CompareRequest(
        model="cifar-resnet20",
        methods=("bcbp", "dense"),
        spec=PruneSpec(ratio=0.7, tile=64, ratios=(("conv1", 0.2),)),
        batches=(1, 8),
        threads=2,
        images=100,
        data="somewhere",
        rounds=7,
    )
    assert CompareRequest.from_json(json.loads(json.dumps(request.to_json()))) == request


def test_left_out_fields_keep_their_default():
    assert CompareRequest.from_json({}) == CompareRequest()


def test_dense_is_no_pruned_method_and_each_method_gets_its_pattern():
    request = CompareRequest(methods=("dense", "bcbp"), spec=PruneSpec(ratio=0.3))
    assert request.pruned_methods == ("bcbp",)
    assert request.spec_for("column") == PruneSpec(pattern="column", ratio=0.3)


@pytest.mark.parametrize(
    ("wrong", "error", "words"),
    [
        ({"model": "resnet19"}, ModelError, "resnet19"),
        ({"methods": ["magic"]}, SpecError, "magic"),
        ({"methods": []}, SpecError, "none"),
        ({"methods": ["bcbp", "bcbp"]}, SpecError, "repetition"),
        ({"batches": [0]}, SpecError, "batch"),
        ({"batches": [1, 1]}, SpecError, "repetition"),
        ({"batches": [100_000]}, SpecError, "1024"),
        ({"batches": [1.5]}, SpecError, "batch"),
        ({"rounds": 2}, SpecError, "rounds"),
        ({"rounds": True}, SpecError, "rounds"),
        ({"threads": 0}, SpecError, "threads"),
        ({"images": -1}, SpecError, "images"),
        ({"spec": {"ratio": 1.0}}, SpecError, "[0, 1)"),
        ({"spec": {"tile": 7}}, SpecError, "tile"),
        ({"spec": {"criterion": "l3"}}, SpecError, "l3"),
        ({"spec": {"allocation": "best"}}, SpecError, "best"),
        ({"spec": {"recovery": "prayer"}}, SpecError, "prayer"),
        ({"colour": "blue"}, SpecError, "colour"),
    ],
)
def test_what_cannot_be_carried_out_is_refused_with_what_arrived(wrong, error, words):
    with pytest.raises(error) as caught:
        CompareRequest.from_json(wrong)
    assert isinstance(caught.value, BcbpError) and words in str(caught.value)
