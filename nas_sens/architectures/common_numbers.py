"""Numbers that the weights of all candidates' untrained networks are taken from, so that their scores compare better.

Candidates that are probed with the same random numbers have the same luck: what one network owes to its weights, a
similar one owes, too, and it cancels in their difference. So the weight of a layer is the upper left corner of a matrix
of standard normals without end, of which there is one for each network of a probe and place of a layer, multiplied by
its standard deviation: a layer that is wider by a unit has one row more, and the next one column more. Layers of one
network have different matrices and share no number.

Matrices are drawn in tiles, each from a seed of its own: numbers are the same whichever candidate came first. What was
drawn is kept, as drawing takes several times as long as copying.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cached_property
from typing import Literal

import torch

from ..core.identity import make_generator

_ROWS, _COLUMNS = 128, 512  # of a tile
_BIAS = -1  # in place of a tile's column: of the numbers for biases, one for each row
_KEPT_BYTES = 2**28

Kind = Literal["normal", "uniform"]
Place = int  # of a layer in its network


class Numbers:
    """Where the parameters of one network are drawn from: a generator, anew.

    Args:
        generator: Source of randomness, on the parameters' device; torch's global generator if None.
    """

    def __init__(self, generator: torch.Generator | None) -> None:
        self._generator = generator

    @property
    def generator(self) -> torch.Generator | None:
        """What all else is drawn from."""
        return self._generator

    def normal_(self, tensor: torch.Tensor, std: float, place: Place) -> None:
        """Draw a weight or bias of a layer from N(0, std²), in place."""
        tensor.normal_(0.0, std, generator=self._generator)

    def uniform_(self, tensor: torch.Tensor, bound: float, place: Place) -> None:
        """Draw a weight or bias of a layer from U(−bound, bound), in place."""
        tensor.uniform_(-bound, bound, generator=self._generator)


class CommonNumbers:
    """Numbers for the untrained networks that all candidates of a study are probed with.

    Args:
        *key: What they depend on, see :func:`nas_sens.core.identity.derive_seed`.
        device: Where networks are.
        kept_bytes: Most memory for matrices; those that it does not suffice for are drawn whenever they are needed.
    """

    def __init__(self, *key: str | int, device: torch.device, kept_bytes: int = _KEPT_BYTES) -> None:
        self.key = key
        self.device = device
        self._kept: dict[tuple[int, Kind, Place, bool], torch.Tensor] = {}
        self._bytes_left = kept_bytes

    def network(self, i: int) -> Numbers:
        """Return what the parameters of the ``i``-th network of every candidate are taken from."""
        return _OfNetwork(self, i)

    def tiles(
        self, shape: tuple[int, int], i: int, kind: Kind, place: Place, *, is_bias: bool
    ) -> Iterator[tuple[slice, slice, torch.Tensor]]:
        """Yield the parts of the upper left corner of a matrix: rows, columns and float32 numbers.

        They are of N(0, 1), or of U(−1, 1) at the same quantiles. Biases have a column of their own.
        """
        kept = self._matrix(shape, i, kind, place, is_bias)
        if kept is not None:
            rows, columns = (slice(0, n) for n in shape)
            yield rows, columns, kept[rows, columns]
            return
        for r, rows in _parts(shape[0], _ROWS):
            for c, columns in _parts(shape[1], _COLUMNS):
                tile = self._tile(i, kind, place, r, _BIAS if is_bias else c)
                yield rows, columns, tile[: rows.stop - rows.start, : columns.stop - columns.start]

    def _matrix(self, shape: tuple[int, int], i: int, kind: Kind, place: Place, is_bias: bool) -> torch.Tensor | None:
        """Return a corner of a matrix that has at least this shape; None if there is no memory for it."""
        key = (i, kind, place, is_bias)
        old = self._kept.get(key)
        n_rows, n_columns = (0, 0) if old is None else old.shape
        if old is not None and n_rows >= shape[0] and n_columns >= shape[1]:
            return old
        width = 1 if is_bias else _COLUMNS
        rows, columns = (
            -(-max(a, b) // n) * n for a, b, n in ((n_rows, shape[0], _ROWS), (n_columns, shape[1], width))
        )
        n_bytes = 4 * (rows * columns - n_rows * n_columns)
        if n_bytes > self._bytes_left:
            return None
        with torch.inference_mode(False), torch.no_grad():
            new = torch.empty((rows, columns), device=self.device, dtype=torch.float32)
            if old is not None:
                new[:n_rows, :n_columns] = old
            for r, some in _parts(rows, _ROWS):
                for c, others in _parts(columns, width):
                    if some.stop > n_rows or others.stop > n_columns:
                        new[some, others] = self._tile(i, kind, place, r, _BIAS if is_bias else c)
        self._kept[key] = new
        self._bytes_left -= n_bytes
        return new

    def _tile(self, i: int, kind: Kind, place: Place, row: int, column: int) -> torch.Tensor:
        generator = make_generator(*self.key, i, place, row, column, device=self.device)
        shape = (_ROWS, 1 if column == _BIAS else _COLUMNS)
        tile = torch.randn(shape, generator=generator, device=self.device, dtype=torch.float32)
        return torch.erf(tile * math.sqrt(0.5)) if kind == "uniform" else tile


class _OfNetwork(Numbers):
    """The numbers of one network of a probe; what has no matrix is drawn from a generator that all candidates share."""

    def __init__(self, common: CommonNumbers, i: int) -> None:
        super().__init__(None)
        self._common, self._i = common, i

    @cached_property
    def _own(self) -> torch.Generator:
        return make_generator(*self._common.key, self._i, "own", device=self._common.device)

    @property
    def generator(self) -> torch.Generator:
        return self._own

    def normal_(self, tensor: torch.Tensor, std: float, place: Place) -> None:
        self._take_(tensor, "normal", std, place)

    def uniform_(self, tensor: torch.Tensor, bound: float, place: Place) -> None:
        self._take_(tensor, "uniform", bound, place)

    def _take_(self, tensor: torch.Tensor, kind: Kind, factor: float, place: Place) -> None:
        is_bias = tensor.ndim == 1
        matrix = tensor.unsqueeze(1) if is_bias else tensor.flatten(1)  # a copy where its memory has another order
        shape = (matrix.shape[0], matrix.shape[1])
        for rows, columns, numbers in self._common.tiles(shape, self._i, kind, place, is_bias=is_bias):
            # Products are rounded in float32 whatever the weight's type: networks in float64 have the same ones.
            torch.mul(numbers, factor, out=matrix[rows, columns])
        if not (is_bias or tensor.is_contiguous()):
            tensor.copy_(matrix.view(tensor.shape))


def _parts(n: int, size: int) -> Iterator[tuple[int, slice]]:
    """Yield the numbers of the tiles that ``n`` rows or columns take, each with the rows or columns that it gives."""
    for k, start in enumerate(range(0, n, size)):
        yield k, slice(start, min(n, start + size))
