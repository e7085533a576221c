"""The pictures of a path: the file itself, or all in a folder, at every depth."""

from __future__ import annotations

import os

from ..core.errors import InvalidInputError
from ._folder_tree import read_tree


def pictures_in(path: str) -> list[str]:
    """Return the paths of pictures, sorted; hidden files and those of the system are left out.

    Raises:
        InvalidInputError: A folder cannot be read, or has none.
    """
    if not os.path.isdir(path):
        return [path]
    found = read_tree(path.rstrip(os.sep) or os.sep, path).all_pictures()
    if not found:
        raise InvalidInputError(f"the folder {path!r} has no pictures")
    return found
