"""Pictures that are there more than once: in training and test, in two classes, or where the split may part them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

_CALLED = {"train": "training", "val": "validation", "test": "test"}


def pixel_codes(pixels: Iterable[np.ndarray]) -> np.ndarray:
    """Return numbers int64 (n,) that are the same for rows of the same bytes.

    A digest of pixels in memory costs a small part of what decoding them does, and reads no file again. No row is
    copied if it lies in memory as it is ordered.
    """
    return codes_of([hashlib.blake2b(np.ascontiguousarray(row).data, digest_size=16).digest() for row in pixels])


def codes_of(digests: Sequence[bytes] | np.ndarray) -> np.ndarray:
    """Return numbers int64 (n,) that are the same for the same digests of 16 bytes, a sequence or uint8 (n, 16)."""
    every = np.frombuffer(
        b"".join(digests) if isinstance(digests, list) else np.asarray(digests).tobytes(), dtype="<u8"
    )
    _, codes = np.unique(every.reshape(-1, 2), axis=0, return_inverse=True)
    return codes.reshape(-1)


def twin_notes(
    codes: np.ndarray, labels: np.ndarray, parts: Mapping[str, tuple[int, int]], name: Callable[[int], str]
) -> list[str]:
    """Return a line for each way in which pictures are there more than once.

    Compared are the pixels as a network gets them, after turning and resizing, so that a copy in another format or with
    other metadata counts too (:func:`pixel_codes`); of streamed pictures their files (:func:`codes_of`).

    Args:
        codes: (n,), the same for pictures that are the same.
        labels: (n,), classes or targets.
        parts: From where to where the rows of every part go; "train" must be there.
        name: Returns what a row is called.
    """
    first = {part: _first_of(codes, *rows) for part, rows in parts.items()}
    notes = []
    for part, other in (("test", "train"), ("val", "train"), ("val", "test")):
        if part not in parts or other not in parts:
            continue
        start, stop = parts[part]
        shared = start + np.flatnonzero(first[other][codes[start:stop]] < len(codes))
        if len(shared):
            example = f"{name(shared[0])} = {name(first[other][codes[shared[0]]])}"
            notes.append(
                f"{len(shared):,} of {stop - start:,} {_CALLED[part]} pictures {_are(shared)} in the {_CALLED[other]} "
                f"set, too: {example}"
            )
    if apart := [_CALLED[part] for part in ("val", "test") if part not in parts]:
        start, stop = parts["train"]
        again = start + np.flatnonzero(first["train"][codes[start:stop]] != np.arange(start, stop))
        if len(again):
            example = f"{name(again[0])} = {name(first['train'][codes[again[0]]])}"
            notes.append(
                f"{len(again):,} of {stop - start:,} pictures repeat another one, and the split may put them into "
                f"training and {' or '.join(apart)}: {example}"
            )
    of_all = _first_of(codes, 0, len(codes))
    torn = np.flatnonzero(labels != labels[of_all[codes]])
    if len(torn):
        example = f"{name(torn[0])} = {name(of_all[codes[torn[0]]])}"
        notes.append(f"{len(torn):,} {'picture has' if len(torn) == 1 else 'pictures have'} two labels: {example}")
    return notes


def _first_of(codes: np.ndarray, start: int, stop: int) -> np.ndarray:
    """Return for every code the first row that has it, from ``start`` to ``stop``; how many rows there are if none."""
    first = np.full(int(codes.max()) + 1 if len(codes) else 0, len(codes))
    np.minimum.at(first, codes[start:stop], np.arange(start, stop))
    return first


def _are(rows: np.ndarray) -> str:
    return "is" if len(rows) == 1 else "are"
