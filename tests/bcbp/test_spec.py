"""A request is one frozen value that JSON can hold, and refuses what cannot be carried out."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bcbp.errors import SpecError
from bcbp.spec import PruneSpec

SHARES = st.floats(0, 1, exclude_max=True)


@given(
    st.builds(
        PruneSpec,
        ratio=SHARES,
        tile=st.sampled_from([1, 8, 16, 32, 64, 128]),
        k_step=st.integers(1, 64),
        reduction=st.sampled_from(["mean", "min", "max"]),
        ratios=st.dictionaries(st.text(), SHARES).map(lambda ratios: tuple(ratios.items())),
        exclude=st.lists(st.text()).map(tuple),
        seed=st.integers(0, 9),
        budget_ms=st.none() | st.floats(1e-3, 1e6),
        batch=st.integers(1, 64),
        permute=st.booleans(),
    )
)
def test_a_spec_survives_json(spec: PruneSpec) -> None:
    assert PruneSpec.from_json(json.loads(json.dumps(spec.to_json()))) == spec


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"ratio": 1.0}, r"Expected a ratio in \[0, 1\).*got 1.0"),
        ({"permute": "yes"}, "Expected permute to be true or false; got 'yes'"),
        ({"ratio": -0.1}, r"got -0.1"),
        ({"ratio": float("nan")}, r"got nan"),
        ({"ratio": "half"}, r"got 'half'"),
        ({"ratios": (("conv1", 2.0),)}, r"Expected a ratio of conv1 in \[0, 1\)"),
        ({"tile": 48}, r"Expected a tile of 1, 8, 16, 32, 64, 128 filters; got 48"),
        ({"budget_ms": 0.0}, r"Expected a latency budget in milliseconds above 0; got 0.0"),
        ({"budget_ms": float("nan")}, r"got nan"),
        ({"budget_ms": "soon"}, r"got 'soon'"),
        ({"batch": 0}, r"Expected a batch of at least 1 image; got 0"),
        ({"k_step": 0}, r"Expected a k_step of at least 1"),
        ({"reduction": "median"}, r"Expected a reduction out of mean, min, max; got 'median'"),
    ],
)
def test_what_cannot_be_carried_out_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        PruneSpec(**fields)


def test_an_unknown_field_is_named() -> None:
    with pytest.raises(SpecError, match="Unknown field in a pruning spec: sparsity"):
        PruneSpec.from_json({"sparsity": 0.5})
