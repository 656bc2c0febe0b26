"""Zips of pictures: unpacked once and only where they may, sound ones whole, all others with a sentence."""

from __future__ import annotations

import contextlib
import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bcbp.cli.command import images_name
from bcbp.errors import DataError
from bcbp.image_folder import samples_in
from bcbp.intake import pictures
from bcbp.intake.limits import FILE_BYTES
from bcbp.intake.pictures import Unpacked, open_picture, unpack
from bcbp.picture_store import Pictures, PictureStore, place_of, stored_id
from tests.bcbp.intake.picture_zips import CLASSES, REFUSED, Case, folders, picture, zipped


def taken_in(folder: Path, content: Mapping[str, bytes] | bytes, name: str = "mine.zip") -> Pictures:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else zipped(content))
    return PictureStore().take_in(path)


def files_in(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.name)
def test_what_cannot_be_used_is_refused_in_its_own_words_and_leaves_nothing(
    case: Case, tmp_path: Path
) -> None:
    before = files_in(tmp_path)
    with pytest.raises(DataError) as refused:
        taken_in(tmp_path, case.build())
    said = str(refused.value)
    assert case.words in said
    assert said.startswith("Expected ") and "\n" not in said and len(said) < 400
    assert str(tmp_path) not in said
    assert files_in(tmp_path) - before == {"mine.zip"}


@pytest.mark.parametrize("top", ["", "mine/", "a/b/mine/"])
@pytest.mark.parametrize("split", [False, True])
def test_a_zip_is_taken_from_below_its_top_folder(top: str, split: bool, tmp_path: Path) -> None:
    wanted = folders(top="train/") | folders(top="val/") if split else folders()
    found = taken_in(tmp_path, {top + name: content for name, content in wanted.items()})
    assert files_in(found.folder) - {".origin.json"} == set(wanted)
    assert all((found.folder / name).read_bytes() == content for name, content in wanted.items())
    assert samples_in(found.folder)[0] == CLASSES


def test_other_files_are_left_out_and_counted(tmp_path: Path) -> None:
    others = {"mine/README.txt": b"x", "__MACOSX/mine/cat/._0.png": b"x", "mine/.DS_Store": b"x"}
    others |= {"mine/loose.png": picture(), "mine/cat/.hidden.png": picture()}
    found = taken_in(tmp_path, folders(top="mine/") | others)
    assert (found.content.pictures, found.content.others) == (12, 5)
    assert files_in(found.folder) - {".origin.json"} == set(folders())


def test_the_same_zip_is_unpacked_once_and_another_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = taken_in(tmp_path, folders())
    other = taken_in(tmp_path, folders(each=5))
    monkeypatch.setattr("bcbp.picture_store.unpack", lambda *_: pytest.fail("unpacked again"))
    assert taken_in(tmp_path, folders()) == first != other
    assert first.folder.parent == other.folder.parent == tmp_path / "home" / "images"


def test_of_two_that_take_in_the_same_zip_at_once_the_first_folder_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Processes of one training job do; the first may be reading by the time the second is done."""

    def unpack_meanwhile(path: Path, made: Path) -> Unpacked:
        with monkeypatch.context() as as_it_is:
            as_it_is.setattr("bcbp.picture_store.unpack", unpack)
            first = PictureStore().take_in(path)
        (first.folder / "in use").touch()
        return unpack(path, made)

    monkeypatch.setattr("bcbp.picture_store.unpack", unpack_meanwhile)
    found = taken_in(tmp_path, folders())
    assert (found.folder / "in use").exists()
    assert [path.name for path in (tmp_path / "home" / "images").iterdir()] == [found.id]


def test_images_are_named_by_their_reference_until_they_are_forgotten(tmp_path: Path) -> None:
    found = taken_in(tmp_path, folders(), "Mine (2).zip")
    assert found.reference == f"images:{found.id}" and found.id.startswith("mine-2-")
    assert stored_id(found.reference) == found.id and stored_id("/a/folder") is None
    assert place_of(found.reference) == found.folder == place_of(tmp_path / "Mine (2).zip")
    assert images_name(str(tmp_path / "Mine (2).zip")) == found.reference
    assert images_name(str(tmp_path)) == str(tmp_path) == str(place_of(tmp_path)) and place_of(None) is None
    PictureStore().forget(found.id)
    with pytest.raises(DataError, match=r"mine-2-\w+ is not on this machine. Give the zip again"):
        place_of(found.reference)


@pytest.mark.parametrize(
    "name", ["../../etc", "", "mine", "mine-0123456789ab/..", "/etc/passwd-0123456789ab"]
)
def test_a_reference_leads_to_no_other_place(name: str, tmp_path: Path) -> None:
    taken_in(tmp_path, folders())
    with pytest.raises(DataError, match="is not on this machine"):
        place_of(f"images:{name}")
    PictureStore().forget(name)
    assert (tmp_path / "home" / "images").is_dir()


def test_too_many_files_and_too_large_a_zip_are_refused_before_they_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (tmp_path / "large.zip").open("wb") as file:
        file.truncate(FILE_BYTES + 1)  # takes no room on disk
    with pytest.raises(DataError, match=r"Expected at most 500 MB; large.zip is larger"):
        PictureStore().take_in(tmp_path / "large.zip")
    monkeypatch.setattr(pictures, "PICTURES", 5)
    with pytest.raises(DataError, match="Expected at most 5 files in the zip; got 12"):
        taken_in(tmp_path, folders())
    with pytest.raises(DataError, match=r"Expected a zip of pictures at .*; there is none"):
        PictureStore().take_in(tmp_path / "nowhere.zip")


def test_too_many_pixels_in_all_are_refused_before_any_is_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels = 12 * 20 * 24
    monkeypatch.setattr(pictures, "ALL_PIXELS", pixels)
    taken_in(tmp_path, folders())
    monkeypatch.setattr(pictures, "ALL_PIXELS", pixels - 1)
    monkeypatch.setattr(pictures, "_is_sound", lambda _path: pytest.fail("decoded"))
    with pytest.raises(DataError, match=r"Expected at most .* gigapixels in all; these 12 pictures have"):
        taken_in(tmp_path, folders(top="again/"))


@given(st.data())
def test_a_picture_that_is_changed_anywhere_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    form = data.draw(st.sampled_from(["JPEG", "PNG", "BMP", "PPM", "TIFF", "WEBP"]))
    content = bytearray(picture(form=form))
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), max_size=8)):
        content[place] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("changed") / "it.png"
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    with contextlib.suppress(DataError), open_picture(path) as image:
        assert image.convert("RGB").size[0] > 0


@given(st.data())
def test_a_zip_that_is_changed_anywhere_is_taken_in_or_refused(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    content = bytearray(zipped(folders(each=2)))
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=8)):
        content[place] = data.draw(st.integers(0, 255))
    folder = tmp_path_factory.mktemp("changed")
    (folder / "it.zip").write_bytes(content)
    try:
        found = PictureStore(folder / "home").take_in(folder / "it.zip")
    except DataError:
        assert files_in(folder) == {"it.zip"}
    else:
        outside = {name for name in files_in(folder) if not name.startswith(f"home/images/{found.id}/")}
        assert outside == {"it.zip"}


def test_the_zips_of_the_cases_are_what_they_say() -> None:
    """A negative control: but for what is wrong with them they would be taken in."""
    with zipfile.ZipFile(io.BytesIO(zipped(folders()))) as sound:
        assert sound.testzip() is None
    assert len({case.name for case in REFUSED}) == len(REFUSED)
