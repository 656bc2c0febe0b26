"""The planning benchmark runs and reports its conditions; its figures are no test's business."""

from __future__ import annotations

import json

from bcbp.benchmarks import planning_rows


def test_each_row_has_a_median_between_its_quartiles_and_a_limit() -> None:
    rows = planning_rows("cifar-resnet20", tile=16, rounds=2)
    assert [row.task for row in rows] == [
        "score and first plan",
        "new ratio, uniform",
        "new ratio, global",
        "new ratio, least loss",
        "new latency target",
    ]
    for row in rows:
        assert 0 < row.q1_ms <= row.median_ms <= row.q3_ms
        assert row.samples == 2 and row.limit_ms > 0
        json.dumps(row.to_json())
