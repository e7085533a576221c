"""Who is let in to the dashboard: WSGI middleware against requests that other web pages make a browser send.

A page of any site can have the browser of somebody who runs the dashboard send requests to 127.0.0.1. What tells these
apart are headers that no page can set: ``Host`` names the site whose name was made to lead here (DNS rebinding),
``Origin`` and ``Sec-Fetch-Site`` the site whose page asks. Whoever listens on another address needs a token, too.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterable
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
_READING = ("GET", "HEAD")
# Scripts of optuna-dashboard alone (its parallel coordinates need eval), nothing from elsewhere but pictures in notes,
# and no page may show this one in a frame.
_PAGE = (
    "default-src 'self'; script-src 'self' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; font-src 'self' data:; "
    "img-src 'self' data: blob: https:; media-src 'self' blob:; worker-src 'self' blob:; object-src 'none'; "
    "frame-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
_ARTIFACT = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:"  # one that is a page runs no script
_REPLACED = ("content-security-policy", "x-frame-options", "x-content-type-options", "access-control-allow-origin")

Environ = dict[str, Any]
Start = Callable[..., Any]
App = Callable[[Environ, Start], Iterable[bytes]]


class Door:
    """An application of which only those requests see something that come from its own pages or from no page.

    Args:
        app: The application.
        token: What the first request must bring as ``?token=`` and the others as a cookie, which the first is given;
            None for no token: the application is then known by names of this machine alone.
    """

    def __init__(self, app: App, *, token: str | None = None) -> None:
        self._app, self._token = app, token

    def __call__(self, environ: Environ, start_response: Start) -> Iterable[bytes]:
        """Return the answer to a request."""
        if refusal := self._refusal(environ):
            return _answer(start_response, "403 Forbidden", f"{refusal}\n")
        if self._token is not None and not self._has_cookie(environ):
            if not _equal(dict(_query(environ)).get("token", ""), self._token):
                return _answer(start_response, "403 Forbidden", "open the address that nas-sens dashboard printed\n")
            cookie = f"{_cookie(environ)}={self._token}; Path=/; HttpOnly; SameSite=Strict"
            to = _without_token(environ)
            return _answer(start_response, "303 See Other", "", ("Location", to), ("Set-Cookie", cookie))
        policy = _ARTIFACT if environ.get("PATH_INFO", "").startswith("/artifacts/") else _PAGE

        def start(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            kept = [(k, v) for k, v in headers if k.lower() not in _REPLACED]
            return start_response(status, [*kept, *_guards(policy)], *rest)

        return self._app(environ, start)

    def _refusal(self, environ: Environ) -> str:
        """Return why a request is refused whoever sends it; "" if it is not."""
        host = environ.get("HTTP_HOST", "").lower()
        if self._token is None and _name(host) not in LOOPBACK:
            return f"the dashboard is {', '.join(LOOPBACK)} and has no other name (--host lets it have one)"
        origin = environ.get("HTTP_ORIGIN")
        is_reading = environ.get("REQUEST_METHOD") in _READING
        if origin is not None and origin.lower() not in (f"http://{host}", f"https://{host}"):
            return "a page of another site asks"
        if environ.get("HTTP_SEC_FETCH_SITE", "same-origin") not in ("same-origin", "none"):
            is_link = (
                environ.get("HTTP_SEC_FETCH_MODE") == "navigate" and environ.get("HTTP_SEC_FETCH_DEST") == "document"
            )
            if not (is_reading and is_link):
                return "a page of another site asks"
        return ""

    def _has_cookie(self, environ: Environ) -> bool:
        try:
            cookie = SimpleCookie(environ.get("HTTP_COOKIE", "")).get(_cookie(environ))
        except CookieError:
            return False
        return cookie is not None and _equal(cookie.value, self._token or "")


def _name(host: str) -> str:
    """Return a ``Host`` header without its port."""
    name, colon, port = host.rpartition(":")
    return name if colon and (port.isdecimal() or not port) else host


def _equal(given: str, token: str) -> bool:
    return hmac.compare_digest(given.encode(), token.encode())


def _cookie(environ: Environ) -> str:
    """Return the cookie's name, which says the port: those of one host share their cookies."""
    return f"nas_sens_{environ['SERVER_PORT']}"


def _query(environ: Environ) -> list[tuple[str, str]]:
    return parse_qsl(environ.get("QUERY_STRING", ""), keep_blank_values=True)


def _without_token(environ: Environ) -> str:
    rest = urlencode([(k, v) for k, v in _query(environ) if k != "token"])
    path = "/" + quote(environ.get("PATH_INFO", "").lstrip("/"))  # of two slashes a browser makes another host
    return f"{path}?{rest}" if rest else path


def _guards(policy: str) -> list[tuple[str, str]]:
    return [
        ("Content-Security-Policy", policy),
        ("X-Frame-Options", "DENY"),
        ("X-Content-Type-Options", "nosniff"),
        ("Referrer-Policy", "no-referrer"),
    ]


def _answer(start_response: Start, status: str, text: str, *headers: tuple[str, str]) -> list[bytes]:
    body = text.encode()
    plain = [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body)))]
    start_response(status, [*plain, *headers, *_guards("default-src 'none'")])
    return [body]
