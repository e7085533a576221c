"""What lies in a folder of pictures, at every depth; hidden files and those of the system are only counted."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain

from ..core.errors import InvalidInputError
from ._pillow import endings, is_picture

_OF_THE_SYSTEM = {
    *("__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini", "@eadir", "#recycle", "$recycle.bin", "icon\r"),
    *("system volume information", "lost+found", "__pycache__"),
}
_MAX_DEPTH = 50


@dataclass
class Folder:
    """One folder.

    Attributes:
        path: Where it is.
        files: Names of the ordinary files directly in it, sorted.
        folders: The folders directly in it by name, sorted.
        left_out: How many entries of each kind were left out: hidden ones, the system's, links to nowhere.
    """

    path: str
    files: list[str] = field(default_factory=list)
    folders: dict[str, Folder] = field(default_factory=dict)
    left_out: Counter[str] = field(default_factory=Counter)

    @cached_property
    def pictures(self) -> list[str]:
        """Paths of the pictures directly in it: by their ending, and where that is none of a picture by content."""
        known = endings()
        paths = [(os.path.join(self.path, name), ending_of(name)) for name in self.files]
        return [path for path, ending in paths if ending in known or is_picture(path)]

    def walk(self) -> Iterator[Folder]:
        """Return an iterator over this folder and all below it."""
        return chain([self], *(folder.walk() for folder in self.folders.values()))

    @cached_property
    def has_pictures(self) -> bool:
        """Whether there is a picture in it, at any depth."""
        return any(folder.pictures for folder in self.walk())

    @property
    def filled(self) -> dict[str, Folder]:
        """The folders directly in it that have pictures at some depth."""
        return {name: folder for name, folder in self.folders.items() if folder.has_pictures}

    def all_pictures(self) -> list[str]:
        """Return the paths of all pictures in it, at any depth, sorted."""
        return sorted(path for folder in self.walk() for path in folder.pictures)

    def other_files(self) -> Counter[str]:
        """Return how many files that are no pictures lie in it, at any depth, by ending."""
        taken = {os.path.basename(path) for path in self.pictures}
        own = Counter(ending_of(name) for name in self.files if name not in taken)
        return sum((folder.other_files() for folder in self.folders.values()), own)


def read_tree(path: str, source: str) -> Folder:
    """Return what lies in a folder.

    Links to folders are followed, but no folder is read twice: what is linked in a circle ends.

    Raises:
        InvalidInputError: A folder cannot be read, or folders lie too deep in each other.
    """
    return _read(path, source, 0, {os.path.realpath(path)})


def _read(path: str, source: str, depth: int, seen: set[str]) -> Folder:
    if depth > _MAX_DEPTH:
        raise InvalidInputError(f"{source}: folders lie more than {_MAX_DEPTH} deep in each other at {shown(path)}")
    folder = Folder(path)
    below = []
    try:
        with os.scandir(path) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                if entry.name.startswith("._"):
                    folder.left_out["._*"] += 1
                elif entry.name.startswith(".") or entry.name.lower() in _OF_THE_SYSTEM:
                    folder.left_out[entry.name] += 1
                elif os.path.isfile(entry.path) if entry.is_symlink() else entry.is_file():
                    folder.files.append(entry.name)
                elif os.path.isdir(entry.path) if entry.is_symlink() else entry.is_dir():
                    below.append(entry)
                else:
                    folder.left_out["links to nowhere, pipes and the like"] += 1
    except OSError as error:
        raise InvalidInputError(
            f"{source}: the folder {shown(path)} cannot be read ({error.strerror}); make it readable or remove it"
        ) from error
    for entry in below:
        if entry.is_symlink():
            if (real := os.path.realpath(entry.path)) in seen or path_holds(real, os.path.realpath(path)):
                folder.left_out["links to folders that are read anyway"] += 1
                continue
            seen.add(real)
        folder.folders[entry.name] = _read(entry.path, source, depth + 1, seen)
    return folder


def path_holds(outer: str, inner: str) -> bool:
    """Return whether one path is the other, or a folder around it; both without links."""
    return inner == outer or inner.startswith(outer.rstrip(os.sep) + os.sep)


def ending_of(name: str) -> str:
    """Return a file name's ending in lower case with its dot, or ""."""
    return os.path.splitext(name)[1].lower()


def shown(text: str) -> str:
    """Return a name or path for a message: of bounded length, and with what does not print escaped."""
    text = text if text.isprintable() else ascii(text)[1:-1]
    return text if len(text) <= 160 else f"{text[:60]}…{text[-99:]}"


def counts_text(counts: Counter[str], n: int = 6) -> str:
    """Return the most frequent of what was counted, with their numbers."""
    most = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    text = ", ".join(f"{shown(name) or 'no ending'} {count:,}" for name, count in most[:n])
    rest = sum(count for _, count in most[n:])
    return f"{text}, others {rest:,}" if rest else text


def listed(names: Iterable[str], word: str = "and") -> str:
    """Return names as text, at most five."""
    names = [shown(name) for name in names]
    if len(names) > 5:
        return f"{', '.join(names[:4])}, … ({len(names)} in all)"
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} {word} {names[-1]}"
