"""What lies where in a tar archive: found by going through all of it once, and kept on this machine from then on."""

from __future__ import annotations

import json
import os
import tarfile
from contextlib import suppress
from dataclasses import astuple, dataclass
from pathlib import Path

from ..core.boundary import reading
from ..core.errors import InvalidInputError
from ..core.identity import digest
from ..core.whole_file import whole_file
from ._folder_tree import shown
from ._pillow import endings
from .cache_folder import cache_folder


@dataclass(frozen=True, slots=True)
class Member:
    """A picture within an archive.

    Attributes:
        name: Its name there.
        offset: Where its bytes begin.
        size: How many there are.
        label: Text of its label.
    """

    name: str
    offset: int
    size: int
    label: str


def members_of(path: Path, target: str | None, source: str) -> list[Member]:
    """Return the pictures of an archive with their labels, in the order in which they lie there.

    What was found is known again by the archive's path, size, time of change and number in the file system.

    Args:
        path: The archive.
        target: What ``.json`` files call the label; None where ``.cls`` files hold it.
        source: The data set's name, for messages.

    Raises:
        InvalidInputError: It cannot be read, or a picture has no label or a sample two pictures.
    """
    # Pictures are told by their endings, of which another Pillow knows others.
    name = digest(["shard", os.path.realpath(path), target, sorted(endings())])
    kept = cache_folder() / "known" / f"{name}.json"
    stamp = _stamp(path)
    known = None if stamp is None else _read(kept, stamp)
    if known is not None:
        return known
    found = _gone_through(path, target, source)
    if stamp is not None:
        _write(kept, stamp, found)
    return found


def _stamp(path: Path) -> list[int] | None:
    """Return what changes with an archive; None where reading it says why."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return [found.st_size, found.st_mtime_ns, found.st_ino]


def _read(kept: Path, stamp: list[int]) -> list[Member] | None:
    """Return what is kept of an archive; None if there is nothing, or it is of another state, or damaged."""
    try:
        found = json.loads(kept.read_bytes())
        members = [Member(*row) for row in found["members"]] if found["stamp"] == stamp else None
    except (OSError, ValueError, KeyError, TypeError):
        return None
    with suppress(OSError):
        os.utime(kept)  # what was used last goes last
    return members


def _write(kept: Path, stamp: list[int], found: list[Member]) -> None:
    content = json.dumps({"stamp": stamp, "members": [astuple(m) for m in found]})
    with (
        suppress(OSError),
        whole_file(kept) as file,
    ):  # not kept: the survey of the pictures says so, beside which it is
        file.write(content.encode())


def _gone_through(path: Path, target: str | None, source: str) -> list[Member]:
    pictures: dict[str, tarfile.TarInfo] = {}
    labels: dict[str, str] = {}
    known = endings()
    what = f"{source}: {path.name} cannot be read as a tar archive that is not compressed"
    with reading(what), tarfile.open(path, "r:") as archive:
        for member in archive:
            folder, _, name = member.name.rpartition("/")
            stem, _, ending = name.partition(".")
            key = f"{folder}/{stem}" if folder else stem
            if not member.isreg() or stem.startswith("._"):
                continue
            if f".{ending.lower()}" in known:
                if key in pictures:
                    raise InvalidInputError(
                        f"{source}: {path.name} holds two pictures of the sample {shown(key)}, {pictures[key].name} "
                        f"and {member.name}; keep one"
                    )
                pictures[key] = member
            elif (ending == "cls" and target is None) or (ending == "json" and target is not None):
                content = archive.extractfile(member).read().decode()  # type: ignore[union-attr]  # a regular file
                labels[key] = content.strip() if target is None else str(json.loads(content).get(target, ""))
    if missing := [key for key in pictures if not labels.get(key)]:
        wanted = f"{missing[0]}.cls" if target is None else f"{target!r} in {missing[0]}.json"
        raise InvalidInputError(
            f"{source}: {len(missing):,} pictures of {path.name} have no label, such as {shown(missing[0])}; "
            f"{shown(wanted)} is required"
            + ("; or name what .json files call it by target in [data]" if target is None else "")
        )
    return [Member(m.name, m.offset_data, m.size, labels[key]) for key, m in pictures.items()]
