from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bcbp.files import folder_stamp, is_disk_full, read_json, remove_folder, settle, write_json
from bcbp.jobs.lock import FileLock, is_held

ROOT = Path(__file__).resolve().parents[2]


def test_what_is_written_is_read_back(tmp_path: Path):
    write_json(tmp_path / "a.json", {"x": [1, None, "ü"]})
    assert read_json(tmp_path / "a.json") == {"x": [1, None, "ü"]}
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_nothing_and_nonsense_read_as_none(tmp_path: Path):
    (tmp_path / "half.json").write_text('{"x": ')
    (tmp_path / "list.json").write_text("[1]")
    assert [read_json(tmp_path / name) for name in ("none.json", "half.json", "list.json")] == [None] * 3


def test_a_full_disk_leaves_the_former_file_and_no_rubbish(tmp_path: Path, monkeypatch):
    path = tmp_path / "a.json"
    write_json(path, {"row": 1})

    def full(_handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space") as caught:
        write_json(path, {"row": 2})
    assert is_disk_full(caught.value)
    assert read_json(path) == {"row": 1} and len(list(tmp_path.iterdir())) == 1


def folder(path: Path, *names: str) -> Path:
    path.mkdir()
    for name in names:
        (path / name).touch()
    return path


def test_the_folder_that_is_finished_first_stays(tmp_path: Path):
    place = tmp_path / "place"
    settle(folder(tmp_path / "first", "mark", "one"), place, "mark")
    settle(folder(tmp_path / "second", "mark", "two"), place, "mark")
    assert {path.name for path in place.iterdir()} == {"mark", "one"}


def test_a_folder_that_was_cut_off_gives_way_and_one_that_is_deleted_leaves_nothing(tmp_path: Path):
    place = folder(tmp_path / "place", "half")
    settle(folder(tmp_path / "made", "mark"), place, "mark")
    assert [path.name for path in place.iterdir()] == ["mark"]
    for _ in range(2):  # the second time there is none
        remove_folder(place)
        assert not list(tmp_path.iterdir())
    remove_folder(tmp_path / "nowhere" / "place")


def test_a_stamp_changes_with_the_files_of_a_folder_and_those_below(tmp_path: Path):
    top = folder(tmp_path / "top")
    stamps = [folder_stamp(top)]
    for name in ("train", "train/cat", "train/cat/1.png", "1.png"):
        (top / name).touch() if name.endswith("png") else (top / name).mkdir()
        stamps.append(folder_stamp(top))
    (top / "train" / "cat" / "1.png").unlink()
    stamps.append(folder_stamp(top))
    assert len(set(stamps)) == 6 and folder_stamp(top) == stamps[-1]
    assert folder_stamp(Path("x" * 5000))  # no name that a disk takes
    assert folder_stamp(top / "1.png") != folder_stamp(top / "nowhere") != stamps[-1]


def test_a_lock_is_held_by_one_until_released(tmp_path: Path):
    one, other = FileLock(tmp_path / "lock"), FileLock(tmp_path / "lock")
    assert one.try_acquire() and not other.try_acquire()
    assert is_held(tmp_path / "lock")
    one.release()
    assert not is_held(tmp_path / "lock")
    assert other.try_acquire()
    other.release()


def test_waiting_for_a_lock_can_be_given_up(tmp_path: Path):
    holder, waiter = FileLock(tmp_path / "lock"), FileLock(tmp_path / "lock")
    answers = iter([False, True])
    with holder:
        assert not waiter.acquire(lambda: next(answers))


def test_a_lock_that_was_never_taken_is_not_held(tmp_path: Path):
    assert not is_held(tmp_path / "lock") and not (tmp_path / "lock").exists()


def test_a_lock_whose_folder_is_deleted_between_two_looks_is_not_held(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(Path, "exists", lambda _path: True)
    assert not is_held(tmp_path / "deleted" / "lock")


def test_a_killed_holder_frees_its_lock(tmp_path: Path):
    code = (
        "import sys, time, pathlib; from bcbp.jobs.lock import FileLock; "
        "lock = FileLock(pathlib.Path(sys.argv[1])); print(lock.try_acquire(), flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "lock")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as holder:
        assert holder.stdout is not None and holder.stdout.readline().strip() == "True"
        assert is_held(tmp_path / "lock")
        holder.kill()
        holder.wait()
    assert not is_held(tmp_path / "lock")
