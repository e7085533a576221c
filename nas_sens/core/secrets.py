"""Passwords in URLs and in the environment, and texts in which they are hidden.

This is the one redaction: streams, logs and notes pass through it, whatever put the password there. It parses URLs
itself, since one with a password that is not escaped is none to any parser, and must not be shown either.
"""

from __future__ import annotations

import functools
import os
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from itertools import pairwise
from typing import Any, TextIO
from urllib.parse import quote, quote_plus, unquote, unquote_plus

HIDDEN = "***"
# By which libraries find passwords that are in no URL.
_VARIABLES = ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "PGPASSWORD", "MYSQL_PWD")
_URL_VARIABLES = ("OPTUNA_STORAGE",)
_LONG = 4  # characters of what is hidden wherever it stands; what is shorter, only where it can be nothing else

_URL = r"(?s)([A-Za-z][\w+.-]*):/{1,2}(?!/)(.*)"
# As they are mistyped: quoted, without slashes or the colon before them, with one more, without a scheme.
_DATABASE = r"(?:postgres\w*|mysql|mariadb|mssql|oracle|redis|mongodb)(?:\+\w+)?"
_STORAGE = (
    rf"(?s)([\s'\"]*(?:{_DATABASE}(?::/*|//)|(?!sqlite)[A-Za-z][\w+.-]*:/+|sqlite[\w+]*:/{{1,2}}(?!/)"
    r"|(?![A-Za-z][\w+.-]*:/)))(.*)"
)
_KEYS = r"[\w.-]*(?:password|passwd|passphrase|(?<![a-z])pass|pwd|secret|token|access_key)[\w.-]*"
# Compiled when one is looked for: nearly all commands are told none, and ``--help`` takes 50 ms.
_OPTION = rf"(?i)((?:^|[?&;\s'\"]){_KEYS}=)([^&;\s'\"]*)"
_ANY_URL = r"([A-Za-z][\w+.-]*:/{1,2}[^\s:/@'\"]*:)[^\s'\"]*@"  # the last @, whatever stands before


def hide_password(url: str) -> str:
    """Return a URL without its passwords, though it may be malformed."""
    user, password, rest = _parts(url)
    return re.sub(_OPTION, rf"\1{HIDDEN}", f"{user}{HIDDEN}@{rest}" if password is not None else url)


def passwords_of(url: str) -> list[str]:
    """Return all that may be a password in a URL, or a part of one: libraries cut a malformed one at its first @."""
    _, password, _ = _parts(url)
    found = [value for _, value in re.findall(_OPTION, url)]
    if password is not None:
        found += [password, *(re.split("@", password) if "@" in password else ())]
    return [word for word in dict.fromkeys(found) if word]


def _parts(url: str) -> tuple[str, str | None, str]:
    """Return a URL up to its password, the password, if it has one, and what stands behind it."""
    match = re.fullmatch(_STORAGE, url)
    if match is None:
        return url, None, ""
    head, at, rest = match.group(2).rpartition("@")
    user, colon, password = head.partition(":")
    if not at or not colon or "/" in user:
        return url, None, ""
    return f"{url[: match.start(2)]}{user}:", password, rest


def redact(text: str, *urls: str, words: Iterable[str] = ()) -> str:
    """Return a text without the passwords of URLs, and without other secret words."""
    return _hider(urls, tuple(words))(text)


@functools.lru_cache(maxsize=64)
def _hider(urls: tuple[str, ...], words: tuple[str, ...], is_data: bool = False) -> Any:
    """Return what hides passwords in a text.

    Args:
        urls: The URLs that are known.
        words: Secrets that are in no URL.
        is_data: Whether the text is data: only URLs are looked at then, as a number may be anybody's password.
    """
    shown = [(form, hide_password(form)) for url in urls for form in _forms(url) if hide_password(url) != url]
    secret = [*words, *(word for url in urls for word in passwords_of(url))]
    forms = sorted({form for word in secret for form in _forms(word)}, key=len, reverse=True)
    patterns = [] if is_data else [re.compile(_where(form), re.DOTALL) for form in forms]

    def hide(text: str) -> str:
        for form, hidden in shown:
            text = text.replace(form, hidden)
        if ":/" in text:
            text = re.sub(_OPTION, rf"\1{HIDDEN}", re.sub(_ANY_URL, rf"\1{HIDDEN}@", text))
        for pattern in patterns:
            text = pattern.sub(HIDDEN, text)
        return text

    return hide


def _forms(word: str) -> list[str]:
    """Return how a word may be written: as it is, escaped for a URL or as Python's ``repr``, and as it is meant."""
    plain = [word, unquote(word, errors="replace"), unquote_plus(word, errors="replace")]
    written = [f(w) for w in plain for f in (quote, quote_plus, functools.partial(quote, safe=""))]
    return [w for w in dict.fromkeys([*plain, *written, *(repr(w)[1:-1] for w in plain)]) if w]


def _where(word: str) -> str:
    """Return a pattern of a word where it stands alone, or where it is short, where a password stands."""
    escaped = re.escape(word)
    if len(word) >= _LONG:
        before, after = (r"(?<!\w)" if word[0].isalnum() else ""), (r"(?!\w)" if word[-1].isalnum() else "")
        return f"{before}{escaped}{after}"
    return rf"(?<=:){escaped}(?=@)|(?<=')" + rf"{escaped}(?=')|(?<=\"){escaped}(?=\")|(?<==){escaped}(?![\w.])"


class _Stream:
    """A text stream in which passwords are hidden.

    Args:
        stream: Where the rest is written.
        hide: What hides them.
    """

    def __init__(self, stream: TextIO, hide: Any) -> None:
        self._stream, self._hide = stream, hide

    def write(self, text: str) -> int:
        """Return the length of a text, having written it without passwords."""
        self._stream.write(self._hide(text))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write texts without passwords."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def hidden_passwords(arguments: Iterable[str] = ()) -> Iterator[Any]:
    """Hide passwords in all that is written on stdout and stderr in the ``with`` block.

    Args:
        arguments: What a process was told; URLs in it, and those of the environment, are looked at.

    Yields:
        What hides them in a text that goes elsewhere.
    """
    variables = [os.environ.get(name, "") for name in _URL_VARIABLES]
    given = [*arguments, *variables]
    storages = [*variables, *(b for a, b in pairwise(given) if a == "--storage")]
    storages += [a.partition("=")[2] for a in given if a.startswith("--storage=")]
    urls = tuple(
        dict.fromkeys(u for a in given for u in (a, a.partition("=")[2]) if re.fullmatch(_URL, u) or u in storages)
    )
    words = tuple(w for name in _VARIABLES if (w := os.environ.get(name, "")))
    if not words and all(hide_password(u) == u for u in urls):
        yield lambda text: text
        return
    hide = _hider(urls, words)
    with ExitStack() as stack:
        out: Any = _Stream(sys.stdout, _hider(urls, words, is_data=True))
        err: Any = _Stream(sys.stderr, hide)
        stack.enter_context(redirect_stdout(out))
        stack.enter_context(redirect_stderr(err))
        yield hide
