"""Several people at one server: whose runs and imports are, and who has to log in first."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import streamlit as st
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import HTMLResponse, JSONResponse
from starlette.routing import Route
from streamlit.testing.v1 import AppTest

from app import people
from app.browser_cookie import NAME, BrowserCookie, is_token
from app.services import files, jobs, owners, passports
from app.words import frame_words, run_words
from bcbp.crossover import WINS
from bcbp.device_request import DeviceRequest
from bcbp.errors import NotYours
from bcbp.intake.uploads import UploadStore
from bcbp.jobs import RunNotFound, RunStore
from bcbp.request import CompareRequest
from bcbp.sensitivity_request import SensitivityRequest
from tests.app.conftest import RecordedQueue
from tests.app.stored_runs import report, store_run
from tests.app.test_own_network import saved
from tests.app.test_pages import healthy, text
from tests.bcbp.intake.test_uploads import sample_like
from tests.bcbp.passports import model_passport

Open = Callable[..., AppTest]


@pytest.fixture
def shared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BCBP_SHARED", "1")


@pytest.fixture
def as_person(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Be somebody, with a cookie of one's own, in this process and in the pages."""

    def be(name: str) -> None:
        monkeypatch.setattr(st, "context", SimpleNamespace(cookies={NAME: name.ljust(43, "x")}))

    return be


def keys(app: AppTest) -> set[str | None]:
    return {button.key for button in app.button}


def test_for_one_person_everything_is_theirs(open_page: Open, home: Path) -> None:
    run = store_run(home, "queued")
    assert people.person() is None
    assert "stop_run" in keys(healthy(open_page("run", run=run)))
    assert not (home / "owners").exists()


@pytest.mark.usefixtures("shared")
def test_a_run_is_stopped_by_who_started_it_and_by_nobody_else(
    open_page: Open, queue: RecordedQueue, as_person: Callable[[str], None]
) -> None:
    as_person("ann")
    mine = open_page("run")
    mine.button(key="start").click().run()
    run = queue.store.list()[0]
    assert "stop_run" in keys(healthy(mine))
    as_person("ben")
    theirs = healthy(open_page("run", run=run.id))
    assert "stop_run" not in keys(theirs)
    assert frame_words.NOT_YOURS in text(theirs) and frame_words.SOMEBODYS in text(theirs)
    assert "start" in keys(theirs)
    with pytest.raises(NotYours):
        jobs.stop(run.id)
    assert queue.stopped == []
    as_person("ann")
    again = open_page("run", run=run.id)
    again.button(key="stop_run").click().run()
    assert queue.stopped == [run.id]


@pytest.mark.usefixtures("shared")
def test_a_list_shows_ones_own_runs_and_a_link_opens_any(
    open_page: Open, home: Path, as_person: Callable[[str], None]
) -> None:
    as_person("ann")
    run = store_run(home, made=report())
    owners.keep(owners.RUNS, run)
    assert run_words.NO_RUN not in text(healthy(open_page("compare")))
    as_person("ben")
    assert run_words.NO_RUN in text(healthy(open_page("compare")))
    assert run_words.NO_RUN not in text(healthy(open_page("compare", run=run)))


@pytest.mark.usefixtures("shared")
def test_a_run_is_named_and_deleted_by_its_owner_alone(
    open_page: Open, home: Path, as_person: Callable[[str], None]
) -> None:
    as_person("ann")
    run = store_run(home, made=report())
    owners.keep(owners.RUNS, run)
    packed = jobs.pack(run)
    as_person("ben")
    shown = keys(healthy(open_page("compare", run=run)))
    assert f"again_{run}" in shown and not {f"save_{run}", f"delete_{run}"} & shown
    for act in (lambda: jobs.rename(run, "mine"), lambda: jobs.delete(run)):
        with pytest.raises(NotYours):
            act()
    assert owners.is_mine(owners.RUNS, jobs.take_in(packed))
    as_person("ann")
    assert {f"save_{run}", f"delete_{run}"} <= keys(healthy(open_page("compare", run=run)))
    jobs.delete(run)
    assert not owners.is_mine(owners.RUNS, run)


@pytest.mark.usefixtures("shared")
def test_the_queue_counts_what_it_does_not_name(
    open_page: Open, home: Path, as_person: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RecordedQueue, "position", lambda self, run_id: 1)
    as_person("ann")
    RunStore(home).create(CompareRequest(model="cifar-resnet20"))
    mine = store_run(home, "queued")
    owners.keep(owners.RUNS, mine)
    shown = text(healthy(open_page("run", run=mine)))
    assert run_words.queue_position(1) in shown and "cifar-resnet20" not in shown


@pytest.mark.usefixtures("shared")
def test_an_import_is_seen_and_forgotten_by_who_made_it(as_person: Callable[[str], None]) -> None:
    content = json.dumps(model_passport({0.5: WINS}).to_json()).encode()
    as_person("ann")
    imported = passports.take_in(content)
    as_person("ben")
    assert imported.id not in {one.id for one in passports.others()}
    with pytest.raises(NotYours):
        passports.forget(imported)
    passports.take_in(content)
    passports.forget(imported)
    as_person("ann")
    assert imported.id in {one.id for one in passports.others()}
    passports.forget(imported)
    assert not imported.path.exists()


@pytest.mark.usefixtures("shared")
def test_somebody_elses_scan_and_measurement_are_in_nobodys_way(
    open_page: Open, as_person: Callable[[str], None]
) -> None:
    as_person("ann")
    for request in (SensitivityRequest(), DeviceRequest()):
        jobs.submit(request)
    as_person("ben")
    assert "scan" in keys(healthy(open_page("tune"))) and "measure" in keys(healthy(open_page("device")))
    as_person("ann")
    assert "stop_scanning" in keys(healthy(open_page("tune")))
    assert "stop_measuring" in keys(healthy(open_page("device")))


@pytest.mark.usefixtures("shared")
def test_an_upload_and_what_was_run_with_it_are_closed_to_others(
    open_page: Open, home: Path, as_person: Callable[[str], None]
) -> None:
    content = saved(sample_like().state_dict())
    as_person("ann")
    upload = files.take_in("mine.pt", content)
    model = f"file:{upload}@sample"
    run = store_run(home, "queued", request=CompareRequest(model=model))
    owners.keep(owners.RUNS, run)
    assert healthy(open_page("tune", model=model)).selectbox(key="model").value == model
    assert jobs.comparison(run).id == run
    as_person("ben")
    app = healthy(open_page("tune", model=model))
    assert app.selectbox(key="model").value == "sample" and model in text(app)
    with pytest.raises(RunNotFound):
        jobs.comparison(run)
    assert run_words.NO_RUN_SELECTED in text(open_page("compare", run=run))
    with pytest.raises(NotYours):
        files.forget_upload(upload)


@pytest.mark.usefixtures("shared")
def test_what_two_uploaded_stays_for_the_other_when_one_forgets_it(as_person: Callable[[str], None]) -> None:
    content = saved(sample_like().state_dict())
    for name in ("ann", "ben"):
        as_person(name)
        upload = files.take_in("mine.pt", content)
    files.forget_upload(upload)
    assert not owners.is_mine(owners.UPLOADS, upload) and UploadStore().list() == (upload,)
    as_person("ann")
    files.forget_upload(upload)
    assert UploadStore().list() == ()


@pytest.mark.usefixtures("shared")
def test_the_folders_of_a_shared_server_are_not_offered(open_page: Open) -> None:
    assert "run_data" not in {field.key for field in healthy(open_page("run")).text_input}


@pytest.mark.usefixtures("shared")
@pytest.mark.parametrize("cookie", ["", "short", "x" * 44, "%" * 43])
def test_without_a_cookie_of_ours_a_session_is_a_person(
    open_page: Open, queue: RecordedQueue, monkeypatch: pytest.MonkeyPatch, cookie: str
) -> None:
    monkeypatch.setattr(st, "context", SimpleNamespace(cookies={NAME: cookie}))
    app = open_page("run")
    app.button(key="start").click().run()
    assert "stop_run" in keys(healthy(app))
    run = queue.store.list()[0].id
    assert "stop_run" not in keys(healthy(open_page("run", run=run)))


def test_with_a_login_nothing_is_shown_before_it(open_page: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(st, "user", User({"is_logged_in": False}))
    monkeypatch.setattr(people, "find_spec", lambda _name: None)
    assert [error.value for error in open_page().error] == [frame_words.NO_AUTHLIB]
    monkeypatch.setattr(people, "find_spec", lambda _name: object())
    app = healthy(open_page())
    assert frame_words.LOG_IN_FIRST in text(app)
    assert [button.label for button in app.button] == [frame_words.LOG_IN] and not app.selectbox


def test_who_logged_in_owns_what_they_start_in_any_browser(
    open_page: Open, queue: RecordedQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    def log_in(subject: str) -> None:
        claims = {"is_logged_in": True, "iss": "https://id.example.org", "sub": subject}
        monkeypatch.setattr(st, "user", User(claims))

    log_in("ann")
    open_page("run").button(key="start").click().run()
    run = queue.store.list()[0].id
    assert "stop_run" in keys(healthy(open_page("run", run=run)))
    log_in("ben")
    assert "stop_run" not in keys(healthy(open_page("run", run=run)))


class User(dict[str, Any]):
    """Claims as `st.user` gives them."""

    def __getattr__(self, name: str) -> object:
        return self[name]


def answer(path: str, *, cookie: str = "", scheme: str = "http", wanted: bool = True) -> dict[str, str]:
    """Headers of the answer to a request that passes through the middleware."""

    async def page(_request: object) -> HTMLResponse:
        return HTMLResponse("page")

    async def data(_request: object) -> JSONResponse:
        return JSONResponse({})

    middleware = [Middleware(BrowserCookie, wanted=lambda: wanted)]
    app = Starlette(routes=[Route("/", page), Route("/data", data)], middleware=middleware)
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b""}

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"cookie", cookie.encode())] if cookie else []
    scope = {"type": "http", "method": "GET", "path": path, "query_string": b"", "root_path": ""}
    asyncio.run(app({**scope, "headers": headers, "scheme": scheme}, receive, send))
    return {name.decode(): value.decode() for name, value in sent[0]["headers"]}


def test_a_page_brings_the_cookie_once_and_out_of_reach_of_scripts() -> None:
    headers = answer("/")
    value, _, settings = headers["set-cookie"].partition(";")
    token = value.removeprefix(f"{NAME}=")
    assert is_token(token) and "HttpOnly" in settings and "SameSite=Lax" in settings
    assert "Secure" not in settings and "Secure" in answer("/", scheme="https")["set-cookie"]
    assert headers["cache-control"] == "no-store"
    assert "set-cookie" not in answer("/", cookie=f"{NAME}={token}")
    assert "set-cookie" in answer("/", cookie=f"{NAME}=made-up")
    assert "set-cookie" not in answer("/data")
    assert "set-cookie" not in answer("/", wanted=False)
