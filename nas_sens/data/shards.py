"""shards:PATH: pictures in tar archives as WebDataset writes them: NAME.jpg beside NAME.cls, or beside NAME.json."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

import numpy as np

from ..core.errors import InvalidInputError
from ._folder_tree import listed, shown
from ._labels import labels_from, labels_like
from .part_names import PARTS, parts_of
from .picture_sets import picture_samples
from .samples import LoadOptions, Samples
from .shard_index import Member, members_of

ARGUMENT = "PATH"
OPTIONS = ("target", "image_size", "load", "workers")

_NUMBER = re.compile(r"[-_.]?\d*$")  # of an archive among those of its part: train-000012


def load(options: LoadOptions) -> Samples:
    """Return the pictures of one archive, or of all ``*.tar`` in a folder; nothing is unpacked.

    The name of an archive says its part (``train-000.tar``, ``val-000.tar``); where only one name is there, parts are
    drawn. What stands before the first dot of a member's name is a sample's: the picture has an ending of pictures, the
    label is the text of ``.cls``, or what ``.json`` has under the name ``[data] target``.

    Raises:
        InvalidInputError: There are no such archives, one is damaged or compressed, or a picture has no label.
    """
    source = f"shards:{options.argument}"
    rows: dict[str, tuple[int, int]] = {}
    members: list[tuple[Path, Member]] = []
    for part, paths in _shards(Path(options.argument).expanduser(), source).items():
        start = len(members)
        for path in paths:
            members += [(path, member) for member in members_of(path, options.target, source)]
        rows[part] = start, len(members)
        if start == len(members):
            raise InvalidInputError(
                f"{source}: {listed(p.name for p in paths)} hold no picture; add some or remove them"
            )
    raw = np.array([m.label for _, m in members])
    labels, names, notes = _labels(raw, rows, source)
    return picture_samples(_Members(members, source), labels, rows, options, class_names=names, notes=notes)


class _Members:
    """Pictures within archives, read from where they lie in them."""

    def __init__(self, members: list[tuple[Path, Member]], source: str) -> None:
        self.source = source
        self._shards = list(dict.fromkeys(shard for shard, _ in members))
        number = {shard: i for i, shard in enumerate(self._shards)}
        self._at = np.array([(number[shard], m.offset, m.size) for shard, m in members], dtype=np.int64)
        self._names = np.array([os.fsencode(m.name) for _, m in members], dtype=np.bytes_)
        self._stamps = [str((str(s), os.stat(s).st_size, os.stat(s).st_mtime_ns)).encode() for s in self._shards]
        self.place = os.path.realpath(self._shards[0].parent) + " shards"

    def __len__(self) -> int:
        return len(self._at)

    def name(self, i: int) -> str:
        return f"{self._shards[self._at[i, 0]].name}/{os.fsdecode(self._names[i])}"

    def read(self, i: int) -> bytes:
        shard, offset, size = self._at[i].tolist()
        try:
            with self._shards[shard].open("rb", buffering=0) as file:
                file.seek(offset)
                return file.read(size)
        except OSError as error:
            raise InvalidInputError(f"{self.source}: {self.name(i)} cannot be read ({error.strerror})") from error

    def stamp(self, i: int) -> bytes:
        shard, offset, size = self._at[i].tolist()
        return hashlib.blake2b(self._stamps[shard] + f"{offset} {size}".encode(), digest_size=16).digest()


def _shards(path: Path, source: str) -> dict[str, list[Path]]:
    """Return the archives of every part, "train" first.

    Raises:
        InvalidInputError: There are none, or their names mean no parts.
    """
    if path.is_file():
        return {"train": [path]}
    found = sorted(path.glob("*.tar")) if path.is_dir() else []
    if not found:
        raise InvalidInputError(f"{source}: must be a tar archive, or a folder with *.tar; given {shown(str(path))}")
    kinds: dict[str, list[Path]] = {}
    for shard in found:
        kinds.setdefault(_NUMBER.sub("", shard.stem), []).append(shard)
    if len(kinds) == 1:
        return {"train": found}
    parts = parts_of(kinds)
    by_part = {part: [kind for kind in kinds if parts.get(kind) == part] for part in PARTS}
    if len(parts) < len(kinds) or not by_part["train"]:
        raise InvalidInputError(
            f"{source}: archives must be called train, val or test with a number behind it, or all alike; given "
            f"{listed(kinds)}"
        )
    return {part: [shard for kind in names for shard in kinds[kind]] for part, names in by_part.items() if names}


def _labels(
    raw: np.ndarray, rows: dict[str, tuple[int, int]], source: str
) -> tuple[np.ndarray, tuple[str, ...], tuple[str, ...]]:
    """Return labels numbered from 0, names of classes, and what the user is told.

    Raises:
        InvalidInputError: They are no classes, or a part has one that training has not.
    """
    is_numbers = all(re.fullmatch(r"\d{1,9}", label) for label in np.unique(raw))
    values = raw.astype(np.int64) if is_numbers else raw
    start, stop = rows["train"]
    train = labels_from(values[start:stop], stop - start, f"{source}: labels")
    n_outputs = int(train.y.max()) + 1
    found = np.empty(len(raw), dtype=np.int64)
    for part, (first, last) in rows.items():
        what = f"{source}: labels of {part}"
        found[first:last] = labels_like(values[first:last], last - first, what, train, n_outputs).numpy()
    names = train.names or tuple(str(i) for i in range(n_outputs))
    return found, names, train.notes
