"""The one reader of TOML files, which says what a file is if it is none, and which line is at fault."""

from __future__ import annotations

import codecs
import json
import re
import sys
from pathlib import Path
from typing import Any

from .boundary import reading, reason
from .errors import InvalidInputError
from .messages import shown
from .text import printable
from .toml_hints import hint_of

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_LARGEST = 10_000_000  # bytes; bundled studies have 3,000
_WIDE = {codecs.BOM_UTF16_LE: "UTF-16", codecs.BOM_UTF16_BE: "UTF-16", codecs.BOM_UTF32_BE: "UTF-32"}
_FILES = {
    b"PK\3\4": "a zip archive", b"\x1f\x8b": "compressed", b"\x89PNG": "a picture", b"\xff\xd8\xff": "a picture",
    b"%PDF": "a PDF file", b"SQLite format 3\0": "a database", b"\x93NUMPY": "an array of NumPy",
}  # fmt: skip
_PATH = 200  # characters of one that are shown
_LINE = re.compile(r"\(at line (\d+), column \d+\)")
# A path of Windows in double quotes, in which TOML takes what follows a backslash for a special character.
_WINDOWS_PATH = re.compile(r'"[^"\n]*(?:[A-Za-z]:\\|\\\\)[^"\n]*"|"[^"\n]*\\[^btnfr"\\uUex\n][^"\n]*"')
_OTHERS = (
    (r"\s*[{\[]\s*[\"{\[\]}]", "JSON"),
    (r"---\s*$|[ \t]*(?:- )?[\w-]+:(?:\s|$)", "YAML"),
    (r"\s*(?:import |from [\w.]+ import |def |class |#!.*python)", "Python"),
    (r"\s*<", "XML or HTML"),
)


def read_toml(path: Path) -> dict[str, Any]:
    """Return the contents of a TOML file; a byte order mark is passed over.

    Raises:
        InvalidInputError: The file cannot be read or is no TOML; the message says what else it looks like.
    """
    with reading(f"cannot read {shown(str(path))}"):
        if path.stat().st_size > _LARGEST:
            raise InvalidInputError(f"{path} must be a TOML file of at most {_LARGEST:,} bytes; name the right file")
        content = path.read_bytes()
    text = _decoded(content, path)
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # a number of 5,000 digits is the former, and no TOMLDecodeError
        raise InvalidInputError(f"{path} is not valid TOML: {_why(text, error)}") from error


def toml_value(text: str) -> Any:
    """Return the value that a text is in TOML; the text itself where it is none, so that words need no quotes."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (ValueError, RecursionError):
        return text


def _decoded(content: bytes, path: Path) -> str:
    """Return a file's text.

    Raises:
        InvalidInputError: It is not in UTF-8.
    """
    if kind := next((kind for mark, kind in _FILES.items() if content.startswith(mark)), None):
        raise InvalidInputError(f"{path} must be a TOML file, but is {kind}; name the right file")
    wide = next((name for mark, name in _WIDE.items() if content.startswith(mark)), None)
    if wide is None and b"\0" in content[:4]:
        wide = "UTF-16 or another encoding with NUL bytes"
    if wide is None:
        try:
            return content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = content.count(b"\n", 0, error.start) + 1
            raise InvalidInputError(
                f"{path} must be in UTF-8, but byte {content[error.start]:#04x} in line {line} is not, as if it were "
                "in Latin-1 or Windows-1252; save it as UTF-8"
            ) from error
    raise InvalidInputError(f"{path} must be in UTF-8, but is in {wide}; save it as UTF-8")


def _why(text: str, error: Exception) -> str:
    """Return why a text is no TOML, with the way out where it is one that many need."""
    first = next((line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("# ")), "")
    kind = next((kind for pattern, kind in _OTHERS if re.match(pattern, first)), None)
    if kind is not None and not _may_be_toml(first, text):
        return f"it looks like {kind}; write KEY = VALUE and [TABLE] lines, as nas-sens list studies has them"
    match = _LINE.search(str(error))
    line = text.splitlines()[int(match.group(1)) - 1] if match and int(match.group(1)) <= text.count("\n") + 1 else ""
    if str(error).endswith("(at end of document)"):
        line = text.rstrip().rpartition("\n")[2]
    if path := _WINDOWS_PATH.search(line):
        quoted = printable(path.group()[1:-1][:_PATH])
        return f"{reason(error)}; write the path in single quotes or with /, as in '{quoted}'"
    told = f"{reason(error)}{f': {shown(line.strip())}' if line.strip() else ''}"
    hint = hint_of(reason(error), line)
    return f"{told}; {hint}" if hint else told


def _may_be_toml(first: str, text: str) -> bool:
    """Return whether a text that begins like another format may be TOML with a mistake all the same."""
    if re.match(r"\s*\[+[\w.\"' -]+\]+\s*(#.*)?$", first):
        try:
            json.loads(text)
        except (ValueError, RecursionError):
            return True
    return False
