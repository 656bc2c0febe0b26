"""Fine-tuning as a rung of a comparison: the same for every method, seen while it runs, tested once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bcbp import evaluation
from bcbp.data import FASHION_MNIST, bundled_file, training_images
from bcbp.errors import DataError
from bcbp.experiment import CompareRequest, compare
from bcbp.progress import Progress
from bcbp.recovery.tuning import Tuning
from bcbp.recovery.workshop import Workshop
from bcbp.spec import PruneSpec
from tests.bcbp.small import use_small_model

REQUEST = CompareRequest(
    methods=("filter", "bcbp"),
    spec=PruneSpec(tile=8, recovery="finetune"),
    tuning=Tuning(epochs=2, batch=16, precision="fp32"),
    batches=(),
    threads=1,
)


class Seen:
    """Progress and reports of a comparison, and the parts of the data whose accuracy was asked for."""

    def __init__(self) -> None:
        self.progress: list[Progress] = []
        self.reports: list[dict[str, Any]] = []

    def __call__(self, progress: Progress, report: dict[str, Any] | None) -> None:
        self.progress.append(progress)
        if report is not None:
            self.reports.append(report)


def epochs_of(report: dict[str, Any]) -> list[int]:
    return [len(row["curve"]) for row in report["rows"]]


@pytest.fixture(scope="module")
def whole() -> tuple[dict[str, Any], Seen, list[str]]:
    """The report, its events, and the part of every set of images that an accuracy was measured on."""
    seen, parts = Seen(), []
    with pytest.MonkeyPatch.context() as patch:
        use_small_model(patch)
        measured = evaluation.accuracy

        def record(module: object, images: Any, **options: Any) -> evaluation.Quality:
            parts.append(images.part)
            return measured(module, images, **options)  # type: ignore[arg-type]

        patch.setattr(evaluation, "accuracy", record)
        return compare(REQUEST, on_event=seen), seen, parts


def test_every_method_climbs_to_fine_tuning_with_the_same_settings(whole) -> None:
    report = whole[0]
    assert report["finished"] and report["request"]["tuning"]["epochs"] == 2
    assert epochs_of(report) == [0, 2, 2]
    assert report["tuning"]["processes"] == 1 and report["tuning"]["images"] == 60
    for row in report["rows"][1:]:
        assert [rung["name"] for rung in row["ladder"]] == ["none", "batchnorm", "refit", "finetune"]
        assert row["ladder"][-1]["against_below"]["verdict"] in ("better", "worse", "cannot tell")
        assert row["ladder"][-1]["seconds"] > 0


def test_the_test_images_are_seen_once_by_each_network(whole) -> None:
    assert whole[2].count("test") == 1 + 2 * 4  # dense, and four rungs of two methods


def test_each_epoch_is_published_before_the_rung_is_tested(whole) -> None:
    counts = [(epochs_of(report)[1], len(report["rows"][1]["ladder"])) for report in whole[1].reports[1:]]
    assert counts.index((1, 3)) < counts.index((2, 3)) < counts.index((2, 4))


def test_fine_tuning_is_a_step_of_its_own_and_progress_never_falls(whole) -> None:
    progress = whole[1].progress
    labels = [step.label for step in progress[-1].steps]
    assert [label.split(": ")[-1] for label in labels] == [
        "Prune", "accuracy", "recover, accuracy", "fine-tune", "recover, accuracy", "fine-tune",
    ]  # fmt: skip
    fractions = [each.fraction for each in progress]
    assert fractions == sorted(fractions)


def test_a_stopped_comparison_keeps_its_curve_and_goes_on_from_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    use_small_model(monkeypatch)
    seen, workshop = Seen(), Workshop(tmp_path)
    stopped = compare(
        REQUEST,
        on_event=seen,
        should_stop=lambda: bool(seen.reports) and epochs_of(seen.reports[-1])[1:2] == [1],
        workshop=workshop,
    )
    assert not stopped["finished"] and epochs_of(stopped) == [0, 1, 0]
    again = compare(REQUEST, on_event=Seen(), workshop=workshop)
    assert again["rows"][1]["curve"][0] == stopped["rows"][1]["curve"][0]
    assert again["finished"] and epochs_of(again) == [0, 2, 2]


def test_training_images_that_ship_are_used_where_no_copy_is_named(tmp_path: Path) -> None:
    assert bundled_file(FASHION_MNIST).exists()
    few = training_images(FASHION_MNIST)
    assert few.part in ("calibration", "train") and len(few) in (5000, 55_000)
    with pytest.raises(DataError, match="train-images-idx3-ubyte"):
        training_images(FASHION_MNIST, tmp_path)
