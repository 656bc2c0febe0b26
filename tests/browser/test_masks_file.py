"""A file of masks dropped into a real browser: it is the plan, after a reload, too, until it is left."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import expect

from app.words import plan_words
from bcbp.export import Pruned
from bcbp.intake.architectures import load_model
from bcbp.mask_file import write_masks
from bcbp.planning import make_plan
from bcbp.spec import PruneSpec
from tests.browser.conftest import SIZES, Screen

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An exported file of masks of the sample."""
    model, path = load_model("sample"), tmp_path_factory.mktemp("masks") / "masks.safetensors"
    plan = make_plan(
        model, PruneSpec(ratio=0.43, tile=16, ratios=(("stages.1.0.conv2", 0.75),), permute=True)
    )
    write_masks(plan, path, Pruned(model, plan, model.module, "none").metadata())
    return path


@pytest.mark.parametrize(
    ("size", "theme"), [("wide", "light"), ("wide", "dark"), ("phone", "light"), ("phone", "dark")]
)
def test_dropped_masks_are_shown_kept_and_left(
    open_screen: Callable[..., Screen], file: Path, size: str, theme: str
) -> None:
    screen = open_screen(size, theme).open("tune", "ratio=0.7")
    screen.page.get_by_role("button", name=plan_words.MASKS_FILE).click()
    screen.page.set_input_files("input[type=file]", file)
    said = screen.page.get_by_text("Masks from the file masks.safetensors")
    expect(said).to_be_visible(timeout=30_000)
    screen.page.keyboard.press("Escape")
    screen.settled().shot(f"masks-file-{size}-{theme}")
    assert screen.page.evaluate("document.documentElement.scrollWidth") <= SIZES[size][0]
    screen.page.reload()
    expect(said).to_be_visible(timeout=60_000)
    screen.settled().page.get_by_role("button", name=plan_words.USE_SETTINGS).click()
    expect(said).to_have_count(0)
    assert "masks_file=" not in screen.settled().page.url


def test_a_file_that_is_none_is_refused_in_its_words(
    open_screen: Callable[..., Screen], tmp_path: Path
) -> None:
    (tmp_path / "page.safetensors").write_bytes(b"<html>")
    screen = open_screen("phone").open("tune")
    screen.page.get_by_role("button", name=plan_words.MASKS_FILE).click()
    screen.page.set_input_files("input[type=file]", tmp_path / "page.safetensors")
    expect(screen.page.get_by_text("got a web page")).to_be_visible(timeout=30_000)
    screen.settled().shot("masks-file-refused")
