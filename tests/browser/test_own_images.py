"""A zip of one's own images in a real browser: taken in or refused, it fits the screen and is explained."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from app.words import frame_words, model_words
from tests.app.test_own_images import clothes
from tests.bcbp.intake.picture_zips import folders, zipped
from tests.browser.conftest import SIZES, Screen

pytestmark = pytest.mark.browser

ZIPS = {
    "own": (lambda: clothes(each=6), "60 pictures in 10 classes"),
    "damaged": (lambda: zipped(folders() | {"owl/a long name of a picture.png": b"x"}), "1 of 13 cannot"),
}


@pytest.mark.parametrize(
    ("size", "theme"), [("wide", "light"), ("wide", "dark"), ("phone", "light"), ("phone", "dark")]
)
@pytest.mark.parametrize("name", ZIPS)
def test_every_answer_to_a_zip_fits_the_screen(
    open_screen: Callable[..., Screen], tmp_path: Path, name: str, size: str, theme: str
) -> None:
    build, words = ZIPS[name]
    (tmp_path / f"{name}.zip").write_bytes(build())
    screen = open_screen(size, theme).open()
    screen.page.get_by_text(model_words.OWN_IMAGES).click()
    screen.page.set_input_files("[class*=st-key-images_file] input[type=file]", tmp_path / f"{name}.zip")
    screen.page.get_by_text(words).wait_for(timeout=60_000)
    screen.settled().shot(f"images-{name}-{size}-{theme}")
    assert screen.page.evaluate("document.documentElement.scrollWidth") <= SIZES[size][0]
    assert not screen.page.get_by_text(frame_words.UNEXPECTED).count()


def test_images_stay_after_a_reload_and_run_names_them(
    open_screen: Callable[..., Screen], tmp_path: Path
) -> None:
    (tmp_path / "mine.zip").write_bytes(clothes(each=6))
    screen = open_screen().open()
    screen.page.get_by_text(model_words.OWN_IMAGES).click()
    screen.page.set_input_files("[class*=st-key-images_file] input[type=file]", tmp_path / "mine.zip")
    screen.page.get_by_text("60 pictures in 10 classes").wait_for(timeout=60_000)
    screen.settled().page.reload()
    screen.page.get_by_text("60 pictures in 10 classes").wait_for(timeout=60_000)
    screen.settled().go("run")
    screen.page.get_by_text("More settings").click()
    screen.page.get_by_text("uploaded on the Model page").wait_for()
    screen.shot("images-run-wide-light")
