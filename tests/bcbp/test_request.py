from __future__ import annotations

import json
from dataclasses import replace

import pytest

from bcbp.errors import BcbpError, ModelError, SpecError
from bcbp.request import CompareRequest
from bcbp.spec import PruneSpec


def test_a_request_survives_json():
    request = CompareRequest(
        model="cifar-resnet20",
        methods=("bcbp", "dense"),
        spec=PruneSpec(ratio=0.7, tile=64, ratios=(("conv1", 0.2),)),
        ratios=(0.3, 0.7),
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


def pairs(request: CompareRequest) -> list[tuple[str, float]]:
    return [(spec.pattern, spec.ratio) for spec in request.row_specs]


def test_one_ratio_is_that_of_the_spec_and_several_take_its_place():
    one = CompareRequest(methods=("dense", "filter", "bcbp"), spec=PruneSpec(ratio=0.6))
    assert pairs(one) == [("filter", 0.6), ("bcbp", 0.6)] and one.title.endswith("ratio 0.6")
    several = replace(one, ratios=(0.3, 0.7))
    assert pairs(several) == [("filter", 0.3), ("bcbp", 0.3), ("filter", 0.7), ("bcbp", 0.7)]
    assert several.title.endswith("ratio 0.3, 0.7")


def test_a_pattern_of_one_ratio_has_one_row():
    request = CompareRequest(methods=("bcbp", "2:4"), ratios=(0.3, 0.7))
    assert pairs(request) == [("bcbp", 0.3), ("2:4", 0.5), ("bcbp", 0.7)]


def test_layers_that_do_not_follow_several_ratios_are_named():
    spec = PruneSpec(ratios=(("conv1", 0.2),))
    assert CompareRequest(spec=spec).locked == "" == CompareRequest(ratios=(0.3, 0.5)).locked
    assert "conv1 (0.2)" in CompareRequest(spec=spec, ratios=(0.3, 0.5)).locked


def test_a_request_stored_before_there_were_several_ratios_is_one_of_one_ratio():
    stored = CompareRequest().to_json()
    del stored["ratios"]
    assert CompareRequest.from_json(stored).asked_ratios == (0.5,)


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
        ({"ratios": [0.3, 1.0]}, SpecError, "[0, 1)"),
        ({"ratios": [0.3, "half"]}, SpecError, "half"),
        ({"ratios": [0.3, 0.3]}, SpecError, "repetition"),
        ({"ratios": [0.1 * n for n in range(9)]}, SpecError, "at most 8"),
        ({"ratios": [0.3, 0.5], "spec": {"allocation": "explicit"}}, SpecError, "allocation explicit"),
        (
            {"ratios": [0.3, 0.5], "spec": {"allocation": "latency", "budget_ms": 2.0}},
            SpecError,
            "one ratio with allocation latency, which does not go by it; got 0.3, 0.5",
        ),
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
