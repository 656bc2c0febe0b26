"""A random cookie by which a shared server knows a browser again after a reload.

Not in the link, which people hand on, and out of reach of scripts on the page. Streamlit's scripts can read
cookies but not set them; this stands before Streamlit and sets it with the page itself.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from http.cookies import SimpleCookie
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

NAME = "bcbp_browser"
_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")
_TOKEN_BYTES = 32
_YEAR_SECONDS = 365 * 24 * 3600


def is_token(text: str) -> bool:
    """Whether a cookie's value is as long and plain as ours are."""
    return _TOKEN.fullmatch(text) is not None


class BrowserCookie:
    """ASGI middleware: while it is `wanted`, a page that is asked for without the cookie brings one along."""

    def __init__(self, app: ASGIApp, *, wanted: Callable[[], bool]) -> None:
        self._app, self._wanted = app, wanted

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not self._wanted() or _has_cookie(scope):
            await self._app(scope, receive, send)
            return

        async def send_with_cookie(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                if headers.get("content-type", "").startswith("text/html"):
                    headers.append("set-cookie", _new_cookie(secure=scope["scheme"] == "https"))
                    headers["cache-control"] = "no-store"  # a kept page would hand one person's cookie on
            await send(message)

        await self._app(scope, receive, send_with_cookie)


def _has_cookie(scope: Scope) -> bool:
    cookies = SimpleCookie(Headers(scope=scope).get("cookie", ""))
    return NAME in cookies and is_token(cookies[NAME].value)


def _new_cookie(*, secure: bool) -> str:
    cookie: SimpleCookie = SimpleCookie({NAME: secrets.token_urlsafe(_TOKEN_BYTES)})
    settings: dict[str, Any] = {
        "path": "/",
        "max-age": _YEAR_SECONDS,
        "httponly": True,
        "samesite": "Lax",  # strict would be lost on the way from another site's link
        "secure": secure,
    }
    cookie[NAME].update(settings)
    return cookie[NAME].OutputString()
