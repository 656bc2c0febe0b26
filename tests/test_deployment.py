"""The Dockerfile as far as its instructions tell, the server's address, and the load script's verdicts."""

from __future__ import annotations

import asyncio
import re
import shlex
from contextlib import nullcontext
from functools import partial
from pathlib import Path

import pytest
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

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


def test_waiting_times_are_summed_up_from_few_and_many() -> None:
    seconds = {"few": [3.0, 1.0], "many": [float(one) for one in range(100)]}
    actions = load.waits(load.Record(seconds=seconds))
    assert actions["few"] == {"times": 2, "median_s": 2.0, "p95_s": 3.0}
    assert actions["many"] == {"times": 100, "median_s": 49.5, "p95_s": 94.0}


def test_a_load_fails_on_any_error_and_on_growth() -> None:
    options = load.parsed(["--growth-mb", "50"])
    assert load.passed({"errors": [], "growth_mb": 50}, options)
    assert not load.passed({"errors": [], "growth_mb": 51}, options)
    assert not load.passed({"errors": ["session 0: status 500"], "growth_mb": 0}, options)


class FakePage:
    """A page that looks settled all the time, and counts how often that was asked."""

    def __init__(self) -> None:
        self.looks = 0

    def on(self, *_listener: object) -> None: ...

    def set_default_timeout(self, _milliseconds: float) -> None: ...

    async def wait_for_function(self, _code: str) -> None:
        self.looks += 1

    def locator(self, _selector: str) -> FakePage:
        return self

    async def all_inner_texts(self) -> list[str]:
        return []


@pytest.mark.parametrize(
    ("answer", "counted"), [("FINISHED_SUCCESSFULLY", True), ("FINISHED_EARLY_FOR_RERUN", False)]
)
def test_an_action_takes_until_the_script_that_it_asked_for_has_run(
    answer: str, counted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load, "ACTION_SECONDS", 0.1)
    page, record = FakePage(), load.Record()
    session = load.Session(0, page, "", record)
    frame = ForwardMsg(script_finished=ForwardMsg.ScriptFinishedStatus.Value(answer)).SerializeToString()

    async def press() -> None:
        session.on_sent(b"")
        asyncio.get_running_loop().call_later(0.02, session.on_received, frame)
        assert not page.looks

    with nullcontext() if counted else pytest.raises(TimeoutError):
        asyncio.run(session.timed("press", press))
    assert (len(record.seconds.get("press", [])), page.looks) == (int(counted), int(counted))


def test_an_action_that_asks_for_nothing_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "SEND_SECONDS", 0.01)
    record = load.Record()
    asyncio.run(load.Session(0, FakePage(), "", record).timed("press", partial(asyncio.sleep, 0)))
    assert not record.seconds


@pytest.mark.parametrize("words", [["--sessions", "51"], ["--sessions", "0"], ["--minutes", "31"]])
def test_a_load_is_bounded(words: list[str]) -> None:
    with pytest.raises(SystemExit):
        load.parsed(words)


@pytest.mark.parametrize(
    ("path", "probe"),
    [
        ("/tune/_stcore/health", True),
        ("/run/_stcore/host-config", True),
        ("/_stcore/health", False),
        ("/tune/_stcore/stream", False),
        ("/media/_stcore/health", False),
    ],
)
def test_only_streamlits_search_for_its_server_below_a_page_is_no_error(path: str, probe: bool) -> None:
    assert load.is_probe(f"http://127.0.0.1:1{path}?x=1") is probe
