"""Stored pictures as samples: decoded at once, or streamed, as ``[data] load`` says or their size does."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from io import BytesIO
from typing import Any, Literal

import numpy as np

from ._folder_tree import shown
from ._images import Form, form_of, stack_images
from ._twins import codes_of, pixel_codes, twin_notes
from .bounds import check_size
from .cache_folder import SIZE_VARIABLE, cache_folder, max_cache_bytes
from .encoded import Encoded
from .loading import n_workers
from .picture_stream import PictureStream, StoredPictures
from .picture_survey import survey
from .pictures import Pictures
from .samples import LoadOptions, Samples, Task, make_samples

STREAMED_BYTES = (
    2**26
)  # of all pictures at a byte a number, from which on "auto" streams: 5,500 of 64×64 pixels in colour

Load = Literal["auto", "memory", "stream"]


class _Names(Sequence[str]):
    """Names of pictures, made when they are asked for."""

    def __init__(self, encoded: Encoded) -> None:
        self._encoded = encoded

    def __len__(self) -> int:
        return len(self._encoded)

    def __getitem__(self, i: Any) -> Any:
        return self._encoded.name(int(i))


def picture_samples(
    encoded: Encoded,
    labels: np.ndarray,
    rows: Mapping[str, tuple[int, int]],
    options: LoadOptions,
    *,
    mode: str | None = None,
    task: Task = "classification",
    class_names: Sequence[str] = (),
    notes: Sequence[str] = (),
    groups: np.ndarray | None = None,
    weights: np.ndarray | None = None,
) -> Samples:
    """Return stored pictures and their labels as samples.

    Args:
        encoded: All pictures, part after part.
        labels: (n,), of all of them.
        rows: From where to where each part goes; "train" must be there.
        options: How large they become, and where they are kept.
        mode: Pillow's mode to bring every picture to first; None for its own.
        task: What is to be learnt.
        class_names: Name of every class.
        notes: What the user is to be told.
        groups: Which group each picture of the training part is in.
        weights: How much each of them counts in training.

    Raises:
        InvalidInputError: A picture cannot be read, or they do not go together.
    """
    source, names = encoded.source, _Names(encoded)
    workers = n_workers(options.workers)
    # Where all are resized, colour is all that has to be known of them, and one picture can tell.
    is_lazy = options.image_size is not None and _is_streamed(
        options.load, len(encoded) * math.prod(options.image_size)
    )
    found = survey(encoded, has_headers=not is_lazy, workers=workers)
    form = form_of(
        found.headers(), names, options.image_size, source=source, mode=mode, is_lazy=is_lazy,
        check=check_size if options.load == "memory" else partial(_check_each, len(encoded)),
    )  # fmt: skip
    is_streamed = _is_streamed(options.load, len(encoded) * form.n_bytes)
    if is_streamed:
        stored = StoredPictures(encoded, found.digests, form)
        x: Any = Pictures(PictureStream(stored, np.arange(len(encoded)), workers=workers))
        codes = codes_of(found.digests)
        told = _told(len(encoded), form, found.problem)
    else:
        what = f"{len(encoded):,} pictures of {form.height}×{form.width} pixels"
        check_size(len(encoded) * form.n_bytes * 4, f"{source}: {what}")
        files: list[Callable[[], Any]] = [partial(_content, encoded, i) for i in range(len(encoded))]
        x, told = stack_images(files, names, form, source=source)
        codes = pixel_codes(x.transpose(0, 2, 3, 1))
    twins = twin_notes(codes, labels, rows, lambda i: shown(names[i]))
    parts = {part: (_rows(x, start, stop), labels[start:stop]) for part, (start, stop) in rows.items()}
    samples = make_samples(
        *parts["train"], *parts.get("test", ()), val=parts.get("val"), source=source, layout="nchw", task=task,
        class_names=class_names, notes=[*notes, *told, *twins],
    )  # fmt: skip
    digests = {part: found.digests[start:stop] for part, (start, stop) in rows.items()}
    return replace(samples, digests=digests, groups=groups, weights=weights)


def _is_streamed(load: Load, n_bytes: int) -> bool:
    return load == "stream" or (load == "auto" and n_bytes > STREAMED_BYTES)


def _rows(x: Any, start: int, stop: int) -> Any:
    return x.part(np.arange(start, stop)) if isinstance(x, Pictures) else x[start:stop]


def _content(encoded: Encoded, i: int) -> BytesIO:
    return BytesIO(encoded.read(i))


def _check_each(n: int, n_bytes: int, what: str) -> None:
    """Check that there is room for one of ``n`` pictures, which are not all in memory at once.

    Raises:
        InvalidInputError: There is not.
    """
    check_size(n_bytes // max(1, n), what.replace(f"{n:,} pictures", f"each of {n:,} pictures"))


def _told(n: int, form: Form, problem: str) -> list[str]:
    """Return what is said of streamed pictures."""
    size, limit = n * form.n_bytes, max_cache_bytes()
    what = f"{n:,} pictures stay in their files"
    if size <= limit:
        lines = [f"{what}; those that are trained on are decoded once, into {cache_folder()} (up to {_gib(size)})"]
    else:
        lines = [
            f"{what} and are decoded anew in every epoch: decoded, they take {_gib(size)}, more than the {_gib(limit)} "
            f"that {SIZE_VARIABLE} allows"
        ]
    return [*lines, problem] if problem else lines


def _gib(n_bytes: float) -> str:
    return f"{n_bytes / 2**30:.3g} GiB"
