"""Pictures that are there more than once: in training and test, in two classes, or where the split may part them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping

import numpy as np

_CALLED = {"train": "training", "val": "validation", "test": "test"}


def twin_notes(
    pixels: Iterable[np.ndarray], labels: np.ndarray, parts: Mapping[str, tuple[int, int]], name: Callable[[int], str]
) -> list[str]:
    """Return a line for each way in which pictures are there more than once.

    Compared are the pixels as a network gets them, after turning and resizing, so that a copy in another format or with
    other metadata counts too. A digest of pixels in memory costs a small part of what decoding them does, and reads no
    file again.

    Args:
        pixels: (n, ...); no row is copied if it lies in memory as it is ordered.
        labels: (n,), classes or targets.
        parts: From where to where the rows of every part go; "train" must be there.
        name: Returns what a row is called.
    """
    digests = [hashlib.blake2b(np.ascontiguousarray(row).data, digest_size=16).digest() for row in pixels]
    first = {part: _first_of(digests, *rows) for part, rows in parts.items()}
    notes = []
    for part, other in (("test", "train"), ("val", "train"), ("val", "test")):
        if part not in parts or other not in parts:
            continue
        start, stop = parts[part]
        if shared := [i for i in range(start, stop) if digests[i] in first[other]]:
            example = f"{name(shared[0])} = {name(first[other][digests[shared[0]]])}"
            notes.append(
                f"{len(shared):,} of {stop - start:,} {_CALLED[part]} pictures {_are(shared)} in the {_CALLED[other]} "
                f"set, too: {example}"
            )
    if apart := [_CALLED[part] for part in ("val", "test") if part not in parts]:
        start, stop = parts["train"]
        if again := [i for i in range(start, stop) if first["train"][digests[i]] != i]:
            example = f"{name(again[0])} = {name(first['train'][digests[again[0]]])}"
            notes.append(
                f"{len(again):,} of {stop - start:,} pictures repeat another one, and the split may put them into "
                f"training and {' or '.join(apart)}: {example}"
            )
    of_all = _first_of(digests, 0, len(digests))
    if torn := [i for i, d in enumerate(digests) if labels[i] != labels[of_all[d]]]:
        example = f"{name(torn[0])} = {name(of_all[digests[torn[0]]])}"
        notes.append(f"{len(torn):,} {'picture has' if len(torn) == 1 else 'pictures have'} two labels: {example}")
    return notes


def _first_of(digests: list[bytes], start: int, stop: int) -> dict[bytes, int]:
    return {digests[i]: i for i in reversed(range(start, stop))}


def _are(rows: list[int]) -> str:
    return "is" if len(rows) == 1 else "are"
