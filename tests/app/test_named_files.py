"""Requests of the store that name somebody else's files: reports are read, the files are not handed out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from app.services import files, jobs, results
from app.words import frame_words
from bcbp.errors import NotYours
from bcbp.export import Pruned
from bcbp.export_request import ExportRequest
from bcbp.intake.architectures import load_model
from bcbp.jobs import RunNotFound, RunStore, archive
from bcbp.mask_file import write_masks
from bcbp.planning import make_plan
from bcbp.request import CompareRequest
from bcbp.rows import key_of
from bcbp.spec import PruneSpec
from tests.app.stored_runs import predictions, report, store_run
from tests.app.test_own_images import clothes
from tests.app.test_own_network import saved
from tests.app.test_pages import Open, healthy, text
from tests.app.test_people import as_person, keys, shared
from tests.bcbp.intake.test_uploads import sample_like

__all__ = ["as_person", "shared"]  # fixtures
pytestmark = pytest.mark.usefixtures("shared")


def test_an_import_shows_its_report_and_none_of_the_files_that_it_names(
    open_page: Open, home: Path, tmp_path: Path, as_person: Callable[[str], None]
) -> None:
    """Whoever packs an archive can write any name into its request."""
    pictures, masks = clothes(each=2), tmp_path / "masks"
    sample, planned = load_model("sample"), make_plan(load_model("sample"), PruneSpec(ratio=0.5))
    write_masks(planned, masks, Pruned(sample, planned, sample.module, "none").metadata())
    as_person("ann")
    upload = files.take_in("mine.pt", saved(sample_like().state_dict()))
    images = files.take_in_images("mine.zip", pictures, "sample")
    asked = [
        CompareRequest(model=f"file:{upload}@sample"),
        CompareRequest(data=f"images:{images}"),
        CompareRequest(data="images:../../somewhere"),
        CompareRequest(data=str(files.images(images).folder)),
        CompareRequest(spec=files.take_in_masks("sample", "masks.safetensors", masks.read_bytes())),
    ]
    as_person("ben")
    made = report()
    key = key_of(made["rows"][1])
    for request in asked:
        stored = store_run(home, request=request, made=made, answers=predictions(made))
        with pytest.raises(RunNotFound):
            jobs.comparison(stored)
        run = jobs.comparison(jobs.take_in(archive.pack(RunStore(home), stored)))
        with pytest.raises(NotYours, match="not yours to use here"):
            results.plan(run, key)
        with pytest.raises(NotYours, match="not yours to use here"):
            results.tested_images(run)
    shown = healthy(open_page("compare", run=run.id))
    assert frame_words.NOT_YOUR_FILES in text(shown) and f"again_{run.id}" not in keys(shown)


def test_an_export_of_somebody_elses_network_is_not_handed_out(
    home: Path, as_person: Callable[[str], None]
) -> None:
    as_person("ann")
    upload = files.take_in("mine.pt", saved(sample_like().state_dict()))
    theirs, public = ExportRequest(model=f"file:{upload}@sample"), ExportRequest()
    for request in (theirs, public):
        store_run(home, request=request)
    assert {run.request for run in jobs.exports()} == {theirs, public}
    as_person("ben")
    assert {run.request for run in jobs.exports()} == {public}
    assert results.export_archive(public)
    with pytest.raises(NotYours):
        results.export_archive(theirs)
