"""The Dockerfile as far as its instructions tell, the server's address, and the load script's verdicts."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from bcbp import data
from tools import load

ROOT = Path(__file__).resolve().parent.parent


def instructions() -> list[tuple[str, str]]:
    """Name and argument of each instruction, continued lines joined."""
    lines = [line for line in (ROOT / "Dockerfile").read_text().splitlines() if not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    return [(line.split()[0], line.partition(" ")[2].strip()) for line in joined.splitlines() if line.strip()]


def arguments(name: str) -> list[str]:
    return [argument for instruction, argument in instructions() if instruction == name]


def test_the_image_runs_as_somebody_who_is_not_root_and_is_made_before() -> None:
    names = [name for name, _ in instructions()]
    (user,) = arguments("USER")
    assert user not in ("root", "0")
    assert any(f"useradd --create-home --uid 1000 {user}" in line for line in arguments("RUN"))
    assert names.index("USER") < names.index("CMD") and "RUN" not in names[names.index("USER") :]


def test_the_image_knows_whether_it_is_healthy() -> None:
    (check,) = arguments("HEALTHCHECK")
    assert "/_stcore/health" in check
    (port,) = arguments("EXPOSE")
    assert f":{port}/" in check and environment()["STREAMLIT_SERVER_PORT"] == port


def test_what_is_copied_exists_and_is_sent_and_nothing_else_is() -> None:
    sources = [source for line in arguments("COPY") for source in shlex.split(line)[:-1]]
    rules = (ROOT / ".dockerignore").read_text().split("\n")
    sent = {rule[1:] for rule in rules if rule.startswith("!")}
    assert "*" in rules
    for source in sources:
        assert (ROOT / source).exists(), source
    assert {source.rstrip("/") for source in sources} == sent
    assert not any("secrets" in source for source in sources)


def environment() -> dict[str, str]:
    return dict(setting.split("=", 1) for line in arguments("ENV") for setting in shlex.split(line))


def test_the_store_is_in_the_volume_and_the_server_is_shared() -> None:
    (volume,) = arguments("VOLUME")
    assert environment()["BCBP_HOME"] == volume and environment()["BCBP_SHARED"] == "1"


def test_whatever_is_written_beside_the_store_is_in_the_volume_too() -> None:
    (volume,) = arguments("VOLUME")
    assert environment()["HOME"] == volume
    assert environment()["TORCHINDUCTOR_CACHE_DIR"].startswith(f"{volume}/")
    assert any(f"ln --symbolic {volume} {data._DOWNLOADS}" in line for line in arguments("RUN"))


def test_reports_name_the_commit_that_the_image_is_told_and_a_new_one_installs_nothing_again() -> None:
    assert environment()["BCBP_COMMIT"] == "$COMMIT"
    names = [(name, argument.split()[0]) for name, argument in instructions()]
    assert names.index(("ARG", "COMMIT=")) > names.index(("RUN", "pip"))


def test_only_the_container_listens_to_other_machines() -> None:
    settings = (ROOT / ".streamlit" / "config.toml").read_text()
    assert 'address = "127.0.0.1"' in settings
    assert environment()["STREAMLIT_SERVER_ADDRESS"] == "0.0.0.0"


def test_the_container_asks_nobody_on_the_internet_for_its_address() -> None:
    """As Streamlit does of a server that listens everywhere, unless it is told what to show."""
    assert environment()["STREAMLIT_BROWSER_SERVER_ADDRESS"] == "localhost"


@pytest.mark.parametrize(
    ("samples", "growth"),
    [
        ([100, 300, 300, 300, 310, 310, 310, 310], 10),
        ([100, 100, 200, 200, 300, 300, 400, 400], 200),
        ([100], 0),
    ],
)
def test_growth_is_told_from_filling_caches(samples: list[float], growth: float) -> None:
    assert load.growth_mb(list(enumerate(samples))) == growth


def test_a_load_fails_on_any_error_and_on_growth() -> None:
    options = load.parsed(["--growth-mb", "50"])
    assert load.passed({"errors": [], "growth_mb": 50}, options)
    assert not load.passed({"errors": [], "growth_mb": 51}, options)
    assert not load.passed({"errors": ["session 0: status 500"], "growth_mb": 0}, options)


@pytest.mark.parametrize("words", [["--sessions", "51"], ["--sessions", "0"], ["--minutes", "31"]])
def test_a_load_is_bounded(words: list[str]) -> None:
    with pytest.raises(SystemExit):
        load.parsed(words)
