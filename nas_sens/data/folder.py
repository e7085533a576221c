"""folder:PATH: pictures of your own, one subfolder a class; or train/, test/ and perhaps val/ with such subfolders."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..core.errors import InvalidInputError
from ._images import stack_images
from .samples import LoadOptions, Pair, Samples, make_samples

if TYPE_CHECKING:
    from PIL.Image import Image

ARGUMENT = "PATH"
OPTIONS = ("image_size",)

_SUFFIXES = {".jpg", ".jpeg", ".png", ".ppm", ".pgm", ".bmp", ".gif", ".tif", ".tiff", ".webp"}
_PARTS = ("train", "val", "test")


def load(options: LoadOptions) -> Samples:
    """Return all pictures, in [0, 1]; classes are the subfolders' names in alphabetical order.

    Pictures lie anywhere below their class's folder; files with other endings, and hidden ones, are left out.

    Raises:
        InvalidInputError: There is no such folder, a class is empty, or a picture cannot be used.
    """
    root = Path(options.argument).expanduser()
    source = f"folder:{options.argument}"
    if not root.is_dir():
        raise InvalidInputError(f"{source}: is no folder; give the path of one with a subfolder for every class")
    folders = _subfolders(root)
    is_split = "train" in folders and set(folders) <= set(_PARTS) and bool(_subfolders(root / "train"))
    parts = {p: root / p for p in _PARTS if p in folders} if is_split else {"train": root}
    classes = _subfolders(parts["train"])
    if len(classes) < 2:
        raise InvalidInputError(
            f"{source}: at least 2 subfolders, one a class, are required in {parts['train']}; given {len(classes)}"
        )
    files = {p: _files(path, p, classes, source) for p, path in parts.items()}
    paths = [path for found in files.values() for path, _ in found]
    pixels = stack_images(
        [_opener(p) for p in paths], [str(p.relative_to(root)) for p in paths], options.image_size, source=source
    )
    pairs: dict[str, Pair] = {}
    start = 0
    for part, found in files.items():
        pairs[part] = pixels[start : start + len(found)], np.array([label for _, label in found])
        start += len(found)
    return make_samples(
        *pairs["train"], *pairs.get("test", ()), val=pairs.get("val"), layout="nchw", source=source, class_names=classes
    )


def _subfolders(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))


def _files(folder: Path, part: str, classes: list[str], source: str) -> list[tuple[Path, int]]:
    """Return the pictures of one part with their labels.

    Raises:
        InvalidInputError: The part has a class that train/ has not, or no picture, or a class in train/ has none.
    """
    if unknown := sorted(set(_subfolders(folder)) - set(classes)):
        raise InvalidInputError(f"{source}: {folder.name}/ has the class {unknown[0]!r}, which train/ has not")
    found = []
    for label, name in enumerate(classes):
        paths = sorted(p for p in (folder / name).rglob("*") if p.suffix.lower() in _SUFFIXES and p.name[0] != ".")
        if not paths and part == "train":
            raise InvalidInputError(
                f"{source}: the folder {folder / name} of a class holds no picture; add some or remove it"
            )
        found += [(p, label) for p in paths]
    if not found:
        raise InvalidInputError(f"{source}: the folder {folder} holds no picture; add some or remove it")
    return found


def _opener(path: Path) -> Callable[[], Image]:
    from PIL import Image as pil

    return partial(pil.open, path)
