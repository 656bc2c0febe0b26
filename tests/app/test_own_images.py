"""A zip of one's own images on the Model page: taken in, refused, used by runs, and whose it is."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from app import current
from app.services import files, jobs, models, scope_choices
from app.state import keys
from app.words import model_words
from bcbp.data import FASHION_MNIST, load_images
from bcbp.errors import NotYours
from bcbp.experiment import compare
from bcbp.jobs import RunNotFound
from bcbp.request import CompareRequest
from bcbp.sensitivity_request import SensitivityRequest
from tests.app.conftest import RecordedQueue
from tests.app.stored_runs import report, store_run
from tests.app.test_pages import healthy, text
from tests.app.test_people import as_person, shared
from tests.bcbp.intake.picture_zips import folders, picture, zipped

__all__ = ["as_person", "shared"]  # fixtures
Open = Callable[..., AppTest]


def clothes(names: dict[str, str] | None = None, *, each: int = 12) -> bytes:
    """A zip of the sample's own test images, a folder for each class; `names` are other names of folders."""
    images = load_images(FASHION_MNIST, "test")
    files = {}
    for label, name in enumerate(FASHION_MNIST.classes):
        chosen = (images.labels == label).nonzero().flatten()[:each]
        for index, pixels in enumerate(images.pixels(chosen)):
            file = io.BytesIO()
            Image.fromarray(np.asarray(pixels[0])).save(file, "PNG")
            folder = (names or {}).get(name, f"{label} {name.replace('/', ' or ')}")
            files[f"clothes/{folder}/{index}.png"] = file.getvalue()
    return zipped(files)


def upload(app: AppTest, content: bytes, name: str = "mine.zip") -> AppTest:
    return app.get("file_uploader")[1].upload(name, content).run()


def test_a_zip_is_taken_in_for_the_model_and_stays_in_the_link(open_page: Open) -> None:
    content = clothes(each=4)
    app = healthy(upload(open_page(), content))
    images = app.query_params[keys.IMAGES]
    assert images.startswith("mine-")
    said = text(app)
    assert model_words.images_line("mine.zip", 40, 10, tested=20, others=0) in said
    assert "Class 0 is 0 T\\-shirt or top, 1 is 1 Trouser" in said
    again = healthy(open_page(images=images))
    assert (
        model_words.images_line("mine.zip", 40, 10, tested=20, others=0) in text(again) and not again.warning
    )
    other = healthy(open_page(model="resnet18", images="nothing-0123456789ab"))
    assert "images = nothing-0123456789ab" in text(other)


def test_the_preprocessing_stands_on_the_page(open_page: Open) -> None:
    assert "as the images of Fashion-MNIST are" in text(open_page())
    said = text(open_page(model="resnet50"))
    assert "shorter side resized to 232, centre 224 × 224, bilinear, mean 0.485 0.456 0.406" in said
    assert "as torchvision's IMAGENET1K_V2 weights of resnet50 expect" in said


def test_images_are_of_one_model_and_can_be_forgotten(open_page: Open) -> None:
    app = upload(open_page(), clothes(each=2))
    images = app.query_params[keys.IMAGES]
    app.selectbox(key="model").select("cifar-resnet20").run()
    assert keys.IMAGES not in healthy(app).query_params
    app.selectbox(key="model").select("sample").run()
    assert app.query_params[keys.IMAGES] == images
    next(button for button in app.button if button.label == "Forget these images").click().run()
    assert keys.IMAGES not in healthy(app).query_params
    assert not scope_choices.of_link(None, images)["images"]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (lambda: zipped({"../1.png": picture()}), "leads out of it"),
        (lambda: zipped(folders() | {"dog/9.png": b"none"}), r"dog\/9\.png"),
        (lambda: zipped(folders()), "Expected 10 class folders in the zip"),
        (lambda: b"<html>", "got no whole zip"),
    ],
)
def test_a_refused_zip_gets_its_sentence(
    open_page: Open, home: Path, content: Callable[[], bytes], sentence: str
) -> None:
    app = upload(open_page(), content(), "![x](http://x).zip")
    assert not app.exception and keys.IMAGES not in app.query_params
    assert [sentence in error.value for error in app.error] == [True]
    assert "](http" not in app.error[0].value and str(Path.home()) not in app.error[0].value
    assert not list(home.glob("images/*"))


def test_a_refusal_goes_with_the_model_and_with_the_next_file(open_page: Open) -> None:
    app = upload(open_page(), b"")
    assert "mine\\.zip" in app.error[0].value
    app = upload(app, b"words", "text.txt")
    (said,) = (one.value for one in app.error)
    assert said.startswith("text\\.txt") and "zip of a folder of pictures" in said
    app.selectbox(key="model").select("cifar-resnet20").run()
    healthy(app)


def test_random_weights_promise_no_test_whatever_images_there_are(
    open_page: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(current, "has_images", lambda: True)
    said = text(healthy(open_page(model="resnet18")))
    assert model_words.UNTRAINED in said and model_words.start_caption(with_accuracy=False) in said


def test_images_that_are_gone_are_said_and_the_page_stays(open_page: Open, home: Path) -> None:
    app = upload(open_page(), clothes(each=2))
    shutil.rmtree(home / "images")
    app.run()
    assert "is not on this machine" in app.error[0].value
    healthy(app.run())


def test_a_run_with_them_notices_classes_in_another_order_and_says_so(
    open_page: Open, queue: RecordedQueue, home: Path
) -> None:
    """Folders by the name of the class alone: sorted, they are numbered otherwise than the network's."""
    by_name = {name: name.replace("/", " or ") for name in FASHION_MNIST.classes}
    app = upload(open_page(), clothes(by_name))
    app.switch_page("views/run.py").run()
    assert model_words.images_in_use(app.query_params[keys.IMAGES]) in text(healthy(app))
    app.button(key="start").click().run()
    asked = queue.submitted[0]
    assert asked.data == f"images:{app.query_params[keys.IMAGES]}"

    quick = replace(asked, methods=("dense", "bcbp"), spec=replace(asked.spec, recovery="none"), batches=())
    made = compare(quick, on_event=lambda _progress, _report: None)
    assert "as the images of Fashion-MNIST are" in made["model"]["preprocessing"]["words"]
    run = store_run(home, request=quick, made=made)
    app = open_page("compare", run=run)  # masked only: the verdict itself is a red one
    assert not app.exception and "The order of classes looks wrong" in text(app)


def test_classes_in_the_networks_order_are_as_right_as_its_own_images(
    open_page: Open, queue: RecordedQueue
) -> None:
    """The negative control, and a check of the numbers: pictures through a zip are the very same images."""
    app = upload(open_page(), clothes())
    app.switch_page("views/run.py").run()
    app.button(key="start").click().run()
    quick = replace(queue.submitted[0], methods=("dense",), batches=())
    dense = compare(quick, on_event=lambda _progress, _report: None)["rows"][0]
    assert dense["accuracy"]["total"] == 60 and dense["accuracy"]["correct"] > 50
    assert not [note for note in dense["notes"] if "order of classes" in note]


def test_a_scan_of_other_images_is_another_scan(open_page: Open, queue: RecordedQueue) -> None:
    app = upload(open_page(), clothes(each=2))
    app.switch_page("views/tune.py").run()
    app.button(key="scan").click().run()
    asked = queue.submitted[0]
    assert isinstance(asked, SensitivityRequest) and asked.data is not None
    own, bundled = models.with_images("sample", asked.data), models.model("sample")
    counts = {"images": 10, "calibration": 5}
    assert asked.key(own, **counts).id != asked.key(bundled, **counts).id


@pytest.mark.usefixtures("shared")
def test_images_and_what_was_run_with_them_are_closed_to_others(
    open_page: Open, home: Path, as_person: Callable[[str], None]
) -> None:
    as_person("ann")
    images = files.take_in_images("mine.zip", clothes(each=2), "sample")
    request = CompareRequest(data=f"images:{images}")
    run = jobs.submit(request)
    assert jobs.comparison(run).id == run and scope_choices.of_link(None, images)["images"]
    as_person("ben")
    assert not scope_choices.of_link(None, images)["images"]
    assert f"images = {images}" in text(healthy(open_page(images=images)))
    with pytest.raises(RunNotFound, match="a network, masks or images that somebody else uploaded"):
        jobs.comparison(run)
    for asked in (request, CompareRequest(data=str(home))):
        with pytest.raises(NotYours, match="not yours to use here"):
            jobs.submit(asked)
    with pytest.raises(NotYours):
        files.forget_images(images)
    public = store_run(home, request=CompareRequest(), made=report())
    assert jobs.comparison(public).id == public
