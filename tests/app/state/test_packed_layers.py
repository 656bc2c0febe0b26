"""Links hold every edit, and a link for another model is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.state.edits import Edits
from app.state.packed_layers import decode, encode

NAMES = [f"layer{index}" for index in range(53)]
HALF_PERCENTS = st.integers(0, 190).map(lambda step: step / 200)


@given(
    ratios=st.dictionaries(st.sampled_from(NAMES), HALF_PERCENTS),
    dense=st.frozensets(st.sampled_from(NAMES)),
)
def test_edits_come_back_from_a_link(ratios: dict[str, float], dense: frozenset[str]) -> None:
    kept = {name: ratio for name, ratio in ratios.items() if name not in dense}
    packed = encode(Edits(ratios=ratios, exclude=dense), NAMES)
    assert decode(packed, NAMES) == (kept, dense)


def test_a_link_of_53_layers_is_short() -> None:
    assert len(encode(Edits(), NAMES)) == 71


@given(text=st.text(max_size=80))
def test_no_text_breaks_the_reader(text: str) -> None:
    try:
        ratios, dense = decode(text, NAMES[:3])
    except ValueError:
        return
    assert set(ratios) | dense <= set(NAMES[:3])
    assert all(0 <= ratio < 1 for ratio in ratios.values())


@pytest.mark.parametrize("text", ["", "ZGR", "5OTk", "é"])
def test_a_link_for_other_layers_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        decode(text, NAMES[:3])
