"""timm's transforms of training pictures: each from its file, in processes beside the training, by draws of its own."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ..core.errors import InvalidInputError, first_line
from ..core.identity import derive_seed
from ..core.inputs import is_one_float
from ..core.random_state import foreign_streams, global_stream
from .loading import n_workers
from .pictures import Pictures
from .pixel_sources import InMemory, Source, Streamed
from .splits import Splits

if TYPE_CHECKING:
    from PIL.Image import Image

_OURS = ("input_size", "is_training", "use_prefetcher", "normalize", "mean", "std", "separate", "naflex", "patchify")
_NEAR = 0.01  # of a grey value, what rounding to float32 and standardising may alter


class Transformed(Streamed):
    """Pictures that are cropped, resized and changed anew in every epoch.

    Args:
        source: The pictures.
        options: See `make_transform`.
        workers: How many processes transform them, one at least: transforms draw from global random states.

    Attributes:
        seed: Of the draws of the next epoch.
    """

    def __init__(self, source: Source, options: Mapping[str, Any], *, workers: int) -> None:
        super().__init__(source.shape, torch.uint8, workers=max(1, workers))
        self._source, self._options, self.seed = source, dict(options), 0
        self._transform: Any = None

    def __getstate__(self) -> dict[str, Any]:
        """Return what another process needs."""
        return {**super().__getstate__(), "_transform": None}

    def __len__(self) -> int:
        """Return how many pictures there are."""
        return len(self._source)

    def part(self, rows: np.ndarray) -> Transformed:
        """Return some of the pictures as a part of its own."""
        return Transformed(self._source.part(rows), self._options, workers=self.workers)

    def digests(self) -> np.ndarray | None:
        """Return which pictures they are by content, before they are changed."""
        return self._source.digests()

    def batches(self, rows: Sequence[torch.Tensor], *, is_pinned: bool) -> Iterator[torch.Tensor]:
        """Return an iterator over batches of transformed pictures.

        Raises:
            InvalidInputError: A picture cannot be read.
            NasSensError: A process ended.
        """
        seed = torch.tensor([self.seed])
        return self._ahead(
            [torch.cat([seed, batch.cpu()]) for batch in rows], workers=self.workers, is_pinned=is_pinned
        )

    def read(self, rows: np.ndarray) -> torch.Tensor:
        """Return transformed pictures, uint8 (k, channels, height, width); global random states are seeded for it.

        Args:
            rows: The seed of the epoch, then their numbers.
        """
        if self._transform is None:
            self._transform = make_transform(self._options, self.shape)
        seed, *numbers = rows.tolist()
        return torch.stack([_drawn(self._transform, original(self._source, i), [seed, i]) for i in numbers])


def _drawn(transform: Any, picture: Image, key: Sequence[int]) -> torch.Tensor:
    seed = derive_seed("timm transform", *key)
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002 - timm draws from it
    torch.manual_seed(seed)
    return torch.as_tensor(transform(picture))


def make_transform(options: Mapping[str, Any], shape: Sequence[int]) -> Any:
    """Return timm's transform of a training picture to uint8 (channels, height, width).

    Args:
        options: Arguments of timm's ``create_transform``, but for those that the data decide.
        shape: Channels, height and width.

    Raises:
        InvalidInputError: It does not take them.
    """
    from timm.data import create_transform

    given: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in options.items()}
    if ours := [k for k in given if k in _OURS]:
        raise InvalidInputError(f"timm_transform in [train] cannot have {ours[0]}, which [data] says; remove it")
    try:
        size: Any = tuple(shape)
        return create_transform(size, is_training=True, use_prefetcher=True, **given)
    except Exception as error:  # timm checks by assertions, look-ups and conversions
        raise InvalidInputError(f"timm_transform in [train] cannot be used: {first_line(error)}") from error


def original(source: Source, row: int) -> Image:
    """Return a picture of a source: as it was taken where it lies in a file, else as it lies in memory."""
    if hasattr(source, "original"):
        picture: Image = source.original(row)
        return picture
    from PIL import Image as pil

    pixels = source.take(torch.tensor([row]))[0].cpu().numpy()
    return pil.fromarray(pixels[0] if len(pixels) == 1 else np.ascontiguousarray(pixels.transpose(1, 2, 0)))


def transformed(splits: Splits, options: Mapping[str, Any]) -> Pictures:
    """Return the training pictures, as `Transformed`.

    Raises:
        InvalidInputError: Inputs are no pictures of one or three channels and 256 values.
    """
    x = _as_pictures(splits)
    workers = x.source.workers if isinstance(x.source, Streamed) else n_workers(None)
    return replace(x, source=Transformed(x.source, options, workers=workers))


def check_timm_transform(options: Mapping[str, Any], splits: Splits) -> None:
    """Check that training pictures can be transformed, by one of them.

    Raises:
        InvalidInputError: They cannot.
    """
    x = _as_pictures(splits)
    transform = make_transform(options, x.shape[1:])
    first = 0 if x.rows is None else int(x.rows[0])
    try:
        with foreign_streams(0), global_stream(0):
            found = torch.as_tensor(transform(original(x.source, first)))
    except InvalidInputError:
        raise
    except Exception as error:  # whatever a transform of another library thinks of a picture
        raise InvalidInputError(f"timm_transform in [train] cannot be used: {first_line(error)}") from error
    if found.shape != x.shape[1:] or found.dtype != torch.uint8:
        raise InvalidInputError(
            f"timm_transform in [train] must leave pictures of shape {tuple(x.shape[1:])}; it makes "
            f"{tuple(found.shape)} of {found.dtype}; change its arguments"
        )


def _as_pictures(splits: Splits) -> Pictures:
    """Return training inputs as pictures of whole grey values, whatever they are kept as.

    Raises:
        InvalidInputError: They are no such pictures.
    """
    x = splits.x_train
    if len(x.shape) == 4 and x.shape[1] in (1, 3):
        if isinstance(x, Pictures):
            if x.source.dtype == torch.uint8:
                return x
        elif is_one_float(x):
            sides = (1, -1, 1, 1)
            mean, std = (
                torch.tensor(v, device=x.device).view(sides) for v in (splits.mean or (0.0,), splits.std or (1.0,))
            )
            values = (x * std + mean).mul_(255)
            pixels = values.round()
            if (
                bool(((values - pixels).abs() < _NEAR).all())
                and float(pixels.min()) >= 0
                and float(pixels.max()) <= 255
            ):
                kept = InMemory(pixels.to(torch.uint8).cpu())
                return Pictures(kept, mean=splits.mean, std=splits.std, device=x.device)
    raise InvalidInputError(
        f"timm_transform in [train] needs pictures of 1 or 3 channels and 256 grey values, but data {splits.name!r} "
        f"has inputs of shape {tuple(x.shape[1:])} that are no such; remove it, or take transforms or augmentation"
    )
