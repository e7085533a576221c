"""The class folders of every part, checked: at least two, none empty, none that training has not."""

from __future__ import annotations

import os
import unicodedata

from ..core.errors import InvalidInputError
from ._folder_tree import Folder, counts_text, listed, shown
from .part_names import mentions_part, parts_of


def by_class_name(folder: Folder, source: str) -> dict[str, Folder]:
    """Return the folders of classes by name, as it is written in one way only.

    Raises:
        InvalidInputError: Two names are the same but for how their accents are coded.
    """
    classes: dict[str, Folder] = {}
    for name, below in folder.folders.items():
        key = shown(unicodedata.normalize("NFC", name))
        if key in classes:
            raise InvalidInputError(f"{source}: two folders in {shown(folder.path)} are called {key!r}; merge them")
        classes[key] = below
    return dict(sorted(classes.items()))


def check_classes(parts: dict[str, Folder], classes: dict[str, dict[str, Folder]], source: str) -> None:
    train, root = classes["train"], parts["train"]
    where = shown(root.path)
    if len(train) < 2:
        raise InvalidInputError(
            f"{source}: at least 2 subfolders, one a class, are required in {where}; given {len(train)}"
            + _what_is_there(root, train)
        )
    for folder in train.values():
        if not folder.has_pictures:
            raise InvalidInputError(
                f"{source}: the folder {shown(folder.path)} of a class holds no picture{_other_files(folder)}; add "
                "some or remove it"
            )
    for part in parts:
        if part == "train":
            continue
        folder, name = parts[part], os.path.basename(parts[part].path)
        if folder.pictures and not folder.filled:
            raise InvalidInputError(
                f"{source}: {shown(folder.path)} has no subfolder {listed(train, 'or')}, but {len(folder.pictures):,} "
                "pictures directly in it; sort them by class or move the folder away"
            )
        if unknown := [c for c, below in classes[part].items() if c not in train and below.has_pictures]:
            alike = [c for c in train if c.casefold() == unknown[0].casefold()]
            hint = f" ({alike[0]!r} is written otherwise)" if alike else f" (it has {listed(train)})"
            raise InvalidInputError(f"{source}: {name}/ has the class {unknown[0]!r}, which train/ has not{hint}")
        if not folder.has_pictures:
            raise InvalidInputError(
                f"{source}: the folder {shown(folder.path)} holds no picture{_other_files(folder)}; "
                "add some or remove it"
            )


def _what_is_there(root: Folder, classes: dict[str, Folder]) -> str:
    if not classes:
        return f", and {len(root.pictures):,} pictures{_other_files(root)}; sort them into subfolders named by class"
    (name, folder), *_ = classes.items()
    if len(folder.filled) < 2:
        return f", {name!r}"
    return f", {name!r}; give the path of {name!r} if {listed(folder.filled)} in it are the classes"


def _other_files(folder: Folder) -> str:
    others = folder.other_files()
    others = others + sum((f.left_out for f in folder.walk()), start=type(others)())
    return f" (other files: {counts_text(others)})" if others else ""


def alike_notes(classes: dict[str, Folder], source: str) -> list[str]:
    """Return a note if all class folders have the same subfolders: perhaps these are the classes.

    Raises:
        InvalidInputError: The names, above or below, say so, or that parts lie in the classes.
    """
    first, *others = [set(folder.filled) for folder in classes.values()]
    if {"train"} < set(parts_of(first.union(*others)).values()):
        raise InvalidInputError(
            f"{source}: {listed(sorted(first))} lie in the folders of the classes {listed(classes)}; put the folders "
            "of the classes into train/ and test/ instead"
        )
    if len(first) < 2 or any(other != first for other in others):
        return []
    if any(map(mentions_part, classes)):
        raise InvalidInputError(
            f"{source}: {listed(classes)} have the subfolders {listed(sorted(first))} each and may be classes or parts "
            "of the data; rename them train, val and test, or to names in which no such word is"
        )
    return [
        f"each of the classes {listed(classes)} has the subfolders {listed(sorted(first))}; if these "
        "are the classes, the folders above must be named train, val and test"
    ]
