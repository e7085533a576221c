"""Which folders are parts and which are classes, told by their names and by where the pictures lie."""

from __future__ import annotations

import os
from dataclasses import dataclass

from ..core.errors import InvalidInputError
from ._folder_classes import alike_notes, by_class_name, check_classes
from ._folder_tree import Folder, listed, shown
from .part_names import PARTS, is_general, is_of_another_task, mentions_part, parts_of

_MAX_WRAPPERS = 3


@dataclass(frozen=True)
class Layout:
    """Where the classes of every part are.

    Attributes:
        classes: For every part, "train" first, its class folders by class name; "train" has all, sorted.
        notes: What the user should know of how the folders were understood.
    """

    classes: dict[str, dict[str, Folder]]
    notes: tuple[str, ...] = ()


def find_layout(root: Folder, source: str) -> Layout:
    """Return parts and classes of a folder.

    Names such as ``train``, ``Training``, ``valid`` or ``test_set`` mean a part. They are parts if their folders have
    subfolders with pictures; no other folder with pictures may then lie beside them. Where their pictures lie directly
    in them, ``train`` beside other folders with pictures (``bus``, ``car``) is a class, and everything else is refused:
    it could be a class, or pictures without labels. Folders around the parts (``dataset/train``) and around the classes
    (``train/images``) are looked through. Where no name means a part, the subfolders are the classes.

    Raises:
        InvalidInputError: The folders cannot be understood, or not in one way only; or a class is empty or unknown.
    """
    top = _unwrapped(root, source)
    found = dict(sorted(parts_of(top.folders).items(), key=lambda item: PARTS.index(item[1])))
    notes = [] if top is root else [f"the parts are those in {shown(os.path.relpath(top.path, root.path))}"]
    is_split = bool(found) and not _is_class_called_train(top, found)
    if is_split:
        parts = {part: _inside(folder, source) for part, folder in _parts(top, found, source).items()}
    else:
        parts = {"train": _inside(top, source)}
        if parts["train"] is not root:
            notes = [f"the classes are those in {shown(os.path.relpath(parts['train'].path, root.path))}"]
        if found:
            notes.append(f"{shown(next(iter(found)))}/ is taken for a class: its pictures lie directly in it")
    classes = {part: by_class_name(folder, source) for part, folder in parts.items()}
    check_classes(parts, classes, source)
    if not is_split:
        notes += alike_notes(classes["train"], source)
    return Layout(classes, tuple(notes))


def _unwrapped(root: Folder, source: str) -> Folder:
    """Return the folder that holds the parts, or ``root`` if there are none below folders that lie alone."""
    folder = root
    for _ in range(_MAX_WRAPPERS + 1):
        _refuse_other_tasks(folder, source)
        if parts_of(folder.folders):
            return folder
        filled = list(folder.filled.values())
        if len(filled) != 1 or folder.pictures:
            break
        folder = filled[0]
    return root


def _is_class_called_train(top: Folder, found: dict[str, str]) -> bool:
    names = list(found)
    return (
        list(found.values()) == ["train"]
        and bool(top.folders[names[0]].pictures)
        and not top.folders[names[0]].filled
        and len(top.filled) > 1
        and not any(mentions_part(name) for name in top.filled if name not in found)
    )


def _parts(top: Folder, found: dict[str, str], source: str) -> dict[str, Folder]:
    """Return the parts' folders, in the order of ``PARTS``.

    Raises:
        InvalidInputError: They cannot be parts, or something is in their way.
    """
    by_part: dict[str, list[str]] = {part: [n for n, p in found.items() if p == part] for part in PARTS}
    in_the_way = [name for name in top.filled if name not in found]
    where = shown(top.path)
    for part, names in by_part.items():
        if len(names) > 1:
            raise InvalidInputError(
                f"{source}: {listed([f'{n}/' for n in names])} in {where} mean the same part ({part}); "
                "merge them, or move all but one away"
            )
    sorted_ones = [name for name in found if top.folders[name].filled]
    flat = [name for name in found if top.folders[name].pictures and name not in sorted_ones]
    names_of_parts = listed([f"{n}/" for n in found])
    if not sorted_ones and in_the_way:
        raise InvalidInputError(
            f"{source}: {names_of_parts} in {where} may be a part of the data or a class beside {listed(in_the_way)}; "
            f"rename it if it is a class, move it away if its pictures have no class, else put {listed(in_the_way)} "
            "into train/"
        )
    if not sorted_ones:
        names = flat or list(found)
        raise InvalidInputError(
            f"{source}: at least 2 subfolders, one a class, are required in {shown(top.folders[names[0]].path)}; "
            f"given 0 and {len(top.folders[names[0]].pictures)} pictures; sort them into subfolders named by class"
        )
    if not by_part["train"]:
        raise InvalidInputError(
            f"{source}: there is {names_of_parts} in {where}, but no train/"
            + (f"; put {listed(in_the_way)} into train/" if in_the_way else "; add it, or rename the folder")
        )
    if in_the_way:
        raise InvalidInputError(
            f"{source}: the folder {in_the_way[0]}/ in {where} is in the way: beside {names_of_parts}, the parts of "
            f"the data, no other folder may hold pictures; move {listed(in_the_way)} away, or rename "
            f"{names_of_parts} if all are classes"
        )
    return {part: top.folders[names[0]] for part, names in by_part.items() if names}


def _inside(folder: Folder, source: str) -> Folder:
    """Return the folder with the classes, which may lie alone in ``folder`` under its name or a general one."""
    for _ in range(_MAX_WRAPPERS):
        _refuse_other_tasks(folder, source)
        names = list(folder.filled)
        if folder.pictures or len(names) != 1:
            break
        own = os.path.basename(folder.path)
        if not (names[0] == own or is_general(names[0])):
            break
        folder = folder.filled[names[0]]
    return folder


def _refuse_other_tasks(folder: Folder, source: str) -> None:
    if not is_of_another_task(folder.folders):
        return
    pictures = [f for name, f in folder.filled.items() if is_general(name) or "image" in name.lower()]
    if any(f.pictures or any(g.pictures for n, g in f.filled.items() if n in parts_of(f.folders)) for f in pictures):
        names = listed([f"{name}/" for name in folder.folders])
        raise InvalidInputError(
            f"{source}: {names} in {shown(folder.path)} is how data for detection or segmentation are laid out; "
            "for classification every picture must lie in a subfolder named by its class"
        )
