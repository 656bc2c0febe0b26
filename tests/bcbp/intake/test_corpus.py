"""Whatever a file is made to do, its reader runs nothing of it, stays small, ends, and says one sentence."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from bcbp.errors import ModelError
from bcbp.intake import reading
from bcbp.intake.limits import FILE_BYTES, ReaderLimits
from bcbp.intake.reading import Reading, read_file
from tests.bcbp.intake import corpus, measured_reader
from tests.bcbp.intake.corpus import CANARY, CASES, Case

# A reader that has read nothing takes 30 MiB; the largest file of the corpus is 33 MiB, and comes in once as
# bytes, once as what is made of them. Two million small objects of a pickle take the rest.
MOST_MIB = 300


@dataclass(frozen=True)
class Outcome:
    """What came of one file: a reading or a sentence, and the most memory its reader took, if it lived."""

    reading: Reading | None
    said: str
    peak_mib: int | None


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("corpus")


@pytest.fixture(scope="module")
def outcomes(folder: Path) -> dict[str, Outcome]:
    """Every file read in a process of its own, two at a time."""
    corpus.build(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "COMMAND", (sys.executable, "-m", measured_reader.__name__))
        with ThreadPoolExecutor(2) as pool:
            found = pool.map(lambda case: outcome(folder / case.name), CASES)
            return {case.name: one for case, one in zip(CASES, found, strict=True)}


def outcome(path: Path) -> Outcome:
    out = path.with_name(f"{path.name}.out")
    out.mkdir()
    try:
        read = read_file(path, out, limits=ReaderLimits(seconds=30))
    except ModelError as error:
        read, said = None, str(error)
    else:
        said = " ".join(read.notes)
    peak = out / measured_reader.PEAK
    return Outcome(read, said, int(peak.read_text()) >> 10 if peak.exists() else None)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_file_is_read_or_refused_in_its_own_words(case: Case, outcomes: dict[str, Outcome]) -> None:
    found = outcomes[case.name]
    assert (found.reading is not None) == case.is_read, found.said
    assert case.words in found.said
    assert "\n" not in found.said and "Traceback" not in found.said
    assert len(found.said) < 500
    assert found.said.startswith("Expected ") or case.is_read


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_no_file_makes_its_reader_large(case: Case, outcomes: dict[str, Outcome]) -> None:
    peak = outcomes[case.name].peak_mib
    assert peak is not None or "ended its reader" in case.words
    assert (peak or 0) < MOST_MIB


def test_nothing_that_a_file_names_was_executed(outcomes: dict[str, Outcome], folder: Path) -> None:
    assert outcomes
    places = (Path.cwd(), reading.ROOT, folder, *folder.iterdir())
    assert not [place for place in places if (place / CANARY).exists()]


def test_the_canary_sings_where_such_a_file_is_executed(
    folder: Path, outcomes: dict[str, Outcome], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The same bytes through an unpickler that obeys: the corpus does carry code."""
    monkeypatch.chdir(tmp_path)
    torch.load(folder / "evil.pt", weights_only=False)
    assert (tmp_path / CANARY).exists()


def test_weights_beside_code_come_through_bit_by_bit(outcomes: dict[str, Outcome]) -> None:
    for name in ("evil-beside-weights.pt", "evil-legacy.pt", "named.pt"):
        read = outcomes[name].reading
        assert read is not None and read.weights is not None
        found, wanted = load_file(read.weights), corpus.weights()
        assert found.keys() == wanted.keys()
        assert all(found[key].equal(wanted[key]) for key in wanted)


def test_onnx_is_looked_at_and_nothing_beside_it_is_opened(outcomes: dict[str, Outcome]) -> None:
    read = outcomes["outside.onnx"].reading
    assert read is not None and read.weights is None
    assert read.shapes == {"fc.weight": (8, 4)} and read.dtypes == {"fc.weight": "float32"}


def test_a_file_above_the_limit_is_not_even_opened(tmp_path: Path) -> None:
    path = tmp_path / "large.pt"
    with path.open("wb") as file:
        file.truncate(FILE_BYTES + 1)  # takes no room on disk
    with pytest.raises(ModelError, match="Expected at most 500 MB; got 500 MB"):
        read_file(path, tmp_path)


def test_a_reader_that_takes_too_long_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "any.pt").write_bytes(b"x")
    monkeypatch.setattr(reading, "COMMAND", (sys.executable, "-c", "import time; time.sleep(60)"))
    with pytest.raises(ModelError, match="Expected a file that is read in 1 seconds"):
        read_file(tmp_path / "any.pt", tmp_path, limits=ReaderLimits(seconds=1))


def test_a_reader_that_needs_more_memory_than_it_may_take_says_so(tmp_path: Path) -> None:
    (tmp_path / "fat.pt").write_bytes(corpus.saved({"w": torch.zeros(32 << 20)}))
    with pytest.raises(ModelError, match="this one needs more"):
        read_file(tmp_path / "fat.pt", tmp_path, limits=ReaderLimits(memory=250 << 20))
