"""Pictures that stay in their files: decoded when they are used, or once into a cache of this machine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
import torch

from ..core.errors import InvalidInputError
from ._images import Form, decoded
from ._pillow import opened, pillow, upright
from .cache_folder import cache_folder, max_cache_bytes
from .encoded import Encoded, digest_of
from .loading import Loader
from .pixel_cache import PixelCache
from .pixel_sources import Streamed

if TYPE_CHECKING:
    from PIL.Image import Image

_WORTH_PROCESSES = 512  # pictures to decode: to start processes takes as long as some hundred


@dataclass(frozen=True, eq=False)
class StoredPictures:
    """All pictures of a data set, and what they become.

    Attributes:
        encoded: The pictures.
        digests: (n, 16) uint8, which they were by content when the data were looked at.
        form: What they become.
    """

    encoded: Encoded
    digests: np.ndarray
    form: Form

    def opened(self, i: int) -> bytes:
        """Return a picture's file as it is.

        Raises:
            InvalidInputError: It cannot be read, or is another one by now.
        """
        content = self.encoded.read(i)
        if digest_of(content) != self.digests[i].tobytes():
            raise InvalidInputError(
                f"{self.encoded.source}: {self.encoded.name(i)} changed while it was in use; restore it, or start "
                "again: other data are another study"
            )
        return content


class PictureStream(Streamed):
    """Some of the pictures, a part of the data.

    Args:
        stored: All pictures.
        rows: Which of them (n,).
        workers: How many processes decode them.

    Attributes:
        stored: All pictures.
        rows: Which of them.
    """

    def __init__(self, stored: StoredPictures, rows: np.ndarray, *, workers: int) -> None:
        super().__init__(stored.form.shape, torch.uint8, workers=workers)
        self.stored, self.rows = stored, rows
        self._cache: PixelCache | None = None

    def __len__(self) -> int:
        """Return how many pictures there are."""
        return len(self.rows)

    def part(self, rows: np.ndarray) -> PictureStream:
        """Return some of the pictures as a part of its own."""
        return PictureStream(self.stored, self.rows[rows], workers=self.workers)

    def digests(self) -> np.ndarray:
        """Return which pictures they are by content, uint8 (n, 16)."""
        return self.stored.digests[self.rows]

    def original(self, row: int) -> Image:
        """Return a picture as it was taken, upright, in its own size, for transforms that crop before they resize.

        Raises:
            InvalidInputError: It cannot be read or has changed.
        """
        stored, i = self.stored, int(self.rows[row])
        with pillow(), opened(BytesIO(stored.opened(i)), stored.encoded.name(i), stored.encoded.source) as image:
            turned = upright(image)
            turned = turned if stored.form.mode is None else turned.convert(stored.form.mode)
            return turned.convert("L" if stored.form.is_grey else "RGB")

    def read(self, rows: np.ndarray) -> torch.Tensor:
        """Return some pictures, uint8 (k, channels, height, width): from the cache those that are in it.

        Raises:
            InvalidInputError: One cannot be read or has changed.
        """
        pixels = np.empty((len(rows), self.stored.form.n_bytes), dtype=np.uint8)
        lost = range(len(rows)) if (cache := self._pixel_cache()) is None else cache.read(rows, pixels).tolist()
        if len(lost):
            with pillow():
                for i in lost:
                    self._decode(int(rows[i]), pixels[i])
        return torch.from_numpy(pixels).view(len(rows), *self.shape)

    def batches(self, rows: Sequence[torch.Tensor], *, is_pinned: bool) -> Iterator[torch.Tensor]:
        """Return an iterator over batches; all pictures are decoded into the cache before, if they have room there.

        Raises:
            InvalidInputError: A picture cannot be read or has changed, or the cache cannot be written.
            NasSensError: A process ended.
        """
        return self._ahead(rows, workers=0 if self._keep() else self.workers, is_pinned=is_pinned)

    def _keep(self) -> bool:
        """Decode what is not in the cache.

        Returns:
            Whether all is there now.

        Raises:
            InvalidInputError: A picture cannot be read or has changed, or the cache cannot be written.
            NasSensError: A process ended.
        """
        if (cache := self._pixel_cache()) is None:
            return False
        missing = cache.missing()
        if not missing:
            return True
        if not cache.has_room(missing):
            return False
        n = sum(len(cache.rows_of(chunk)) for chunk in missing)
        jobs = [np.array([chunk]) for chunk in missing]
        workers = min(self.workers, len(missing)) if n >= _WORTH_PROCESSES else 0
        for _ in Loader(self._write, workers=workers).batches(jobs):
            pass
        return True

    def _write(self, chunk: np.ndarray) -> bool:
        cache = self._pixel_cache()
        assert cache is not None
        with pillow():
            cache.write(int(chunk[0]), self._decode)
        return True

    def _decode(self, row: int, into: np.ndarray) -> None:
        stored, i = self.stored, int(self.rows[row])
        name, source = stored.encoded.name(i), stored.encoded.source
        with opened(BytesIO(stored.opened(i)), name, source) as image:
            picture = decoded(image, stored.form, name, stored.encoded.name(0), source)
        into.reshape(self.shape)[:] = picture.transpose(2, 0, 1)

    def _pixel_cache(self) -> PixelCache | None:
        if self._cache is None and max_cache_bytes() > 0:
            from PIL import __version__  # another one may decode to other pixels

            form = f"{self.stored.form} Pillow {__version__}"
            self._cache = PixelCache(cache_folder(), self.digests(), form, self.stored.form.n_bytes)
        return self._cache
