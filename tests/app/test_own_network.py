"""The Model page with a network of one's own: recognised, asked for, refused, fetched."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.error import URLError

import pytest
import torch
from streamlit.testing.v1 import AppTest

from app.services import models, weights
from app.state import keys
from app.words import model_words
from bcbp.intake import released
from bcbp.intake.released import releases
from bcbp.intake.uploads import UploadStore
from tests.app.test_pages import healthy, text
from tests.bcbp.intake.corpus import evil, onnx
from tests.bcbp.intake.test_uploads import sample_like, without

Open = Callable[..., AppTest]


def saved(value: object) -> bytes:
    file = io.BytesIO()
    torch.save(value, file)
    return file.getvalue()


@pytest.fixture
def no_models_kept() -> Iterator[None]:
    """Models are cached by name; one whose weights come and go must not be there for other tests."""
    weights.forget_models()
    yield
    weights.forget_models()


def upload(app: AppTest, name: str, content: bytes) -> AppTest:
    return app.get("file_uploader")[0].upload(name, content).run()


def test_a_recognised_file_is_shown_at_once_and_opens_on_every_page(open_page: Open) -> None:
    app = healthy(upload(open_page(), "mine.pt", saved(sample_like().state_dict())))
    model = app.session_state[keys.MODEL]
    assert model.startswith("file:mine-") and model.endswith("@sample")
    assert "mine.pt as sample" in [element.value for element in app.subheader]
    assert model_words.recognised("sample", 1.0, 10) in text(app)
    app.switch_page("views/tune.py").run()
    healthy(app)
    again = healthy(open_page("run", model=model))  # the link of another session on this machine
    assert again.session_state[keys.MODEL] == model and not again.warning


def test_a_likely_architecture_is_asked_for(open_page: Open) -> None:
    part = without(sample_like().state_dict(), "stages.2.0.bn")
    app = healthy(upload(open_page(), "part.pt", saved(part)))
    assert app.session_state[keys.MODEL] == "sample"
    assert "Sample is likely" in text(app)
    app.button(key="use_architecture").click().run()
    assert app.session_state[keys.MODEL].endswith("@sample")
    assert model_words.UNTRAINED in text(healthy(app))


def test_another_architecture_can_be_named_only_where_enough_fits(open_page: Open) -> None:
    app = upload(open_page(), "mine.pt", saved(sample_like().state_dict()))
    chooser = next(one for one in app.selectbox if one.label == "Architecture")
    chooser.select("vgg16").run()
    assert app.button(key="use_architecture").disabled


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("evil.pt", lambda: saved(evil()), "None of it was executed"),
        ("page.pt", lambda: b"<html>", "got a web page"),
        ("![x](http://x).pt", lambda: b"", "an empty file"),
    ],
)
def test_a_refused_file_gets_its_sentence_and_no_traceback(
    open_page: Open, name: str, content: Callable[[], bytes], sentence: str
) -> None:
    app = upload(open_page(), name, content())
    assert not app.exception
    assert [sentence in error.value for error in app.error] == [True]
    assert "](http" not in app.error[0].value
    assert app.session_state[keys.MODEL] == "sample"


def test_onnx_is_looked_at(open_page: Open) -> None:
    app = healthy(upload(open_page(), "net.onnx", onnx()))
    assert "is ONNX: 1 tensor, 32 numbers" in text(app)
    assert not [one for one in app.selectbox if one.label == "Architecture"]


def test_a_forgotten_file_leaves_the_sample(open_page: Open) -> None:
    app = upload(open_page(), "mine.pt", saved(sample_like().state_dict()))
    next(button for button in app.button if button.label == "Forget this file").click().run()
    assert app.session_state[keys.MODEL] == "sample" and UploadStore().list() == ()
    healthy(app)


def test_a_link_to_a_file_that_is_not_here_falls_back_with_a_notice(open_page: Open) -> None:
    app = healthy(open_page(model="file:mine-0123456789ab@sample"))
    assert app.session_state[keys.MODEL] == "sample"
    assert any("model = file:mine" in warning.value for warning in app.warning)


def test_other_architectures_open_by_name(open_page: Open) -> None:
    app = open_page()
    app.selectbox(key="architecture_by_name").select("squeezenet1_1").run()
    app.button(key="show_architecture").click().run()
    assert healthy(app).session_state[keys.MODEL] == "squeezenet1_1"
    healthy(open_page("tune", model="squeezenet1_1"))


def test_weights_are_fetched_on_a_click_and_offline_says_what_to_do(
    open_page: Open, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, no_models_kept: None
) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))

    def offline(*_arguments: object, **_options: object) -> None:
        raise URLError("no route")

    monkeypatch.setattr(released, "urlopen", offline)
    app = open_page(model="resnet18")
    random = models.with_images("resnet18", None).digest
    app.button(key="fetch_weights").click().run()
    assert "that failed \\(URLError\\)" in app.error[0].value
    newest = releases("resnet18")[0]

    def fetched(link: str, path: str, **_options: object) -> None:
        from torchvision import models

        torch.save(models.resnet18().state_dict(), path)

    monkeypatch.setattr(released, "urlopen", lambda *_arguments, **_options: io.BytesIO())
    monkeypatch.setattr(torch.hub, "download_url_to_file", fetched)
    app.button(key="fetch_weights").click().run()
    assert newest.path.exists()
    fetched_digest = models.with_images("resnet18", None).digest
    assert random != fetched_digest == models.model("resnet18").digest
    assert model_words.UNTRAINED not in text(healthy(app))
