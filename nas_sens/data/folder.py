"""folder:PATH: pictures of your own, one subfolder a class; or train/, test/ and perhaps val/ with such subfolders."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable

import numpy as np

from ..core.errors import InvalidInputError
from ._folder_parts import find_layout
from ._folder_tree import Folder, counts_text, listed, read_tree, shown
from .encoded import Files
from .given_parts import Given, given_of_files
from .picture_sets import picture_samples
from .samples import LoadOptions, Samples

ARGUMENT = "PATH"
OPTIONS = ("image_size", "split", "group", "weight", "load", "workers")


def load(options: LoadOptions) -> Samples:
    """Return all pictures, in [0, 1]; classes are the subfolders' names in alphabetical order.

    Pictures lie anywhere below their class's folder. A file is one if its ending or its content says so; other files,
    hidden ones and the system's are left out and counted in the notes. Which folders are parts and which are classes
    is told by `find_layout`.

    Raises:
        InvalidInputError: There is no such folder, it is not clear what its folders are, a class is empty, or a picture
            cannot be used.
    """
    path = os.path.expanduser(options.argument)
    source = f"folder:{options.argument}"
    if os.path.isfile(path):
        raise InvalidInputError(f"{source}: is a file; unpack it if it is an archive, and give the path of a folder")
    if not os.path.isdir(path):
        raise InvalidInputError(f"{source}: is no folder; give the path of one with a subfolder for every class")
    root = read_tree(path, source)
    layout = find_layout(root, source)
    class_names = list(layout.classes["train"])
    paths: list[str] = []
    labels: list[int] = []
    rows: dict[str, tuple[int, int]] = {}
    for part, classes in layout.classes.items():
        start = len(paths)
        for label, name in enumerate(class_names):
            found = classes[name].all_pictures() if name in classes else []
            paths += found
            labels += [label] * len(found)
        rows[part] = start, len(paths)
    below = [os.path.relpath(p, path) if ".." in path else p[len(path) :].lstrip(os.sep) for p in paths]
    notes = [*layout.notes]
    given = Given()
    y = np.array(labels)
    if options.split is not None:
        if len(rows) > 1:
            raise InvalidInputError(
                f"{source}: has the parts {listed(rows)} already, which split in [data] would give; remove split, or "
                "give the folder of one part"
            )
        below, y, rows, given, more = _as_given(below, y, options, source)
        notes += more
    elif options.group is not None or options.weight is not None:
        key = "group" if options.group is not None else "weight"
        raise InvalidInputError(
            f'{source}: {key} in [data] is a column of the file that split names; set split = "splits.csv", or remove '
            f"{key}"
        )
    groups, weights = given.of_train(len(below))
    class_folders = [folder for classes in layout.classes.values() for folder in classes.values()]
    return picture_samples(
        Files(path, below, source=source),
        y,
        rows,
        options,
        class_names=class_names,
        notes=[*notes, *_left_out(root, class_folders)],
        groups=groups,
        weights=weights,
    )


def _as_given(
    names: list[str], labels: np.ndarray, options: LoadOptions, source: str
) -> tuple[list[str], np.ndarray, dict[str, tuple[int, int]], Given, list[str]]:
    """Return pictures in the order of their parts, their labels, from where to where parts go, and what is said."""
    chosen, given, notes = given_of_files(names, options, source)
    if given.rows is None:
        return [names[i] for i in chosen], labels[chosen], {"train": (0, len(chosen))}, given, notes
    order = np.concatenate(list(given.rows.values()))
    ends = np.cumsum([0, *(len(members) for members in given.rows.values())]).tolist()
    rows = {part: (ends[i], ends[i + 1]) for i, part in enumerate(given.rows)}
    return [names[i] for i in chosen[order]], labels[chosen[order]], rows, given, notes


def _left_out(root: Folder, class_folders: Iterable[Folder]) -> list[str]:
    """Return a line on each kind of file that was left out."""
    notes = []
    if others := root.other_files():
        n = others.total()
        notes.append(f"{n:,} {'file' if n == 1 else 'files'} left out, no pictures: {counts_text(others)}")
    inside = {id(folder) for top in class_folders for folder in top.walk()}
    if outside := [p for folder in root.walk() if id(folder) not in inside for p in folder.pictures]:
        notes.append(
            f"{len(outside):,} {'picture' if len(outside) == 1 else 'pictures'} left out, in the folder of no class, "
            f"such as {shown(os.path.basename(outside[0]))}"
        )
    if hidden := sum((folder.left_out for folder in root.walk()), Counter[str]()):
        notes.append(f"left out, hidden or the system's: {counts_text(hidden)}")
    return notes
