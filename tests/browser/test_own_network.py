"""Uploading in a real browser: what is said fits the screen, whatever the file is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from app.words import frame_words, model_words
from tests.bcbp.intake.corpus import evil, saved
from tests.bcbp.intake.test_uploads import sample_like, without
from tests.browser.conftest import SIZES, Screen

pytestmark = pytest.mark.browser

FILES = {
    "mine": (lambda: sample_like().state_dict(), "Recognised as sample"),
    "part": (lambda: without(sample_like().state_dict(), "stages.2.0.bn"), "Sample is likely"),
    "evil": (evil, "None of it was executed"),
}


@pytest.mark.parametrize(("size", "theme"), [("wide", "light"), ("phone", "dark")])
@pytest.mark.parametrize("name", FILES)
def test_every_answer_to_a_file_fits_the_screen(
    open_screen: Callable[..., Screen], tmp_path: Path, name: str, size: str, theme: str
) -> None:
    build, words = FILES[name]
    (tmp_path / f"{name}.pt").write_bytes(saved(build()))
    screen = open_screen(size, theme).open()
    screen.page.get_by_text(model_words.OWN_NETWORK).click()
    screen.page.set_input_files("input[type=file]", tmp_path / f"{name}.pt")
    screen.page.get_by_text(words).wait_for(timeout=60_000)
    screen.settled().shot(f"upload-{name}-{size}-{theme}")
    assert screen.page.evaluate("document.documentElement.scrollWidth") <= SIZES[size][0]
    assert not screen.page.get_by_text(frame_words.UNEXPECTED).count()
