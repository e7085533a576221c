"""The file of a study's report: its name, and whether it may be written where something is already."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

from ..core.errors import InvalidInputError

_LONGEST = 48  # characters of a study's name; of four bytes each they still make a file's name
_HEAD_BYTES = 1024  # in which the mark stands


def report_path(name: str) -> Path:
    """Return where the report of a study is written unless another place is given: ``NAME_report.html`` here.

    Characters that a file's name had better not have are replaced; a digest then keeps two studies apart.
    """
    safe = re.sub(r"[^\w.-]+", "_", name)[:_LONGEST].lstrip(".-")
    if safe != name:
        safe = f"{safe or 'study'}-{_digest(name)[:8]}"
    return Path(f"{safe}_report.html")


def mark(name: str) -> str:
    """Return the lines in a report's head by which it is known for that of a study, and replaced by a newer one."""
    return (
        '<meta name="generator" content="nas_sens">\n'
        f'<meta name="nas-sens-study" content="sha256 of its name: {_digest(name)}">'
    )


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()


def check_report_file(path: str | os.PathLike[str], name: str) -> Path:
    """Check that the report of a study may be written to a file, without writing anything.

    Args:
        path: The file. It may be there if it is empty or a report of this study, or nothing is kept (``/dev/null``).
        name: The study.

    Returns:
        The file, symbolic links followed.

    Raises:
        InvalidInputError: It is somebody else's, or cannot be written.
    """
    try:
        target = Path(os.path.realpath(path))
        problem = _problem(target, name)
    except (OSError, ValueError) as error:  # the latter of a name with a zero byte
        target, problem = Path(path), getattr(error, "strerror", None) or str(error)
    if problem:
        raise InvalidInputError(
            f"the report must be a new file or an earlier report of the study; {os.fspath(path)!r} cannot be: "
            f"{problem}; give another path with -o"
        )
    return target


def _problem(target: Path, name: str) -> str:
    """Return why the report of a study may not be written to a file; "" if it may be."""
    if str(target) == os.devnull:  # no report is wanted
        return ""
    if target.is_dir():
        return "it is a folder"
    if target.exists() and (problem := _whose(target, name)):
        return problem
    folder = next(p for p in target.parents if p.exists())
    may_write = folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)
    return "" if may_write else f"{str(folder)!r} is no folder that can be written"


def _whose(target: Path, name: str) -> str:
    if not target.is_file():
        return "it is no ordinary file"
    with target.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    if head and mark(name).partition("\n")[0].encode() not in head:
        return "there is a file that nas_sens did not write, or not this version of it"
    if head and mark(name).encode() not in head:
        return "there is the report of another study"
    return "" if os.access(target, os.W_OK) else "it may not be written"
