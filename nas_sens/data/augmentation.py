"""Augmentation of a batch of images on its device: translations, flips, rotations, all in one gathering of pixels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch

Augmentation = Literal["translation", "flip", "vertical_flip", "rotation"]


def augment(
    x: torch.Tensor,
    kinds: Sequence[Augmentation],
    *,
    max_translation: int,
    generator: torch.Generator,
    part: tuple[int, int] | None = None,
) -> torch.Tensor:
    """Return images that are moved, each by random amounts of its own (novak2018, A.3 and A.5.4).

    Images are translated first, then flipped, then rotated, as far as ``kinds`` says so, whatever its order. Without
    interpolation: every pixel of the result is one of the image.

    Args:
        x: Images (n, channels, height, width); not altered.
        kinds: ``translation`` by up to ``max_translation`` pixels up or down and left or right, where what leaves the
            image comes back on its other side; ``flip`` of left and right and ``vertical_flip`` of top and bottom, each
            with probability ½; ``rotation`` by 0°, 90°, 180° or 270°, of square images.
        max_translation: In pixels.
        generator: Source of the amounts, on the device of ``x``.
        part: Where the images are a part of a batch, for all of which amounts are drawn: the batch's size, and the
            number of the first image there, -1 for its last one, after which its first ones come; None for all of it.
    """
    n, _, height, width = x.shape
    n_drawn, first = (n, 0) if part is None else part
    rows = torch.arange(height, device=x.device).view(1, -1, 1)
    columns = torch.arange(width, device=x.device).view(1, 1, -1)

    def draw(low: int, high: int) -> torch.Tensor:
        drawn = torch.randint(low, high, (n_drawn, 1, 1), generator=generator, device=x.device)
        return drawn if n == n_drawn else drawn.roll(-first, 0)[:n]

    # From the last step to the first: which pixel of the image each pixel of the result is.
    if "rotation" in kinds:
        quarters = draw(0, 4)
        by_one = (
            columns,
            height - 1 - rows,
        )  # as torch.rot90: the result at (i, j) is the image at (j, height - 1 - i)
        by_two = (height - 1 - rows, width - 1 - columns)
        by_three = (width - 1 - columns, rows)
        turns = [by_one, by_two, by_three]
        for k, (turned_rows, turned_columns) in enumerate(turns, 1):
            rows = torch.where(quarters == k, turned_rows, rows)
            columns = torch.where(quarters == k, turned_columns, columns)
    if "vertical_flip" in kinds:
        rows = torch.where(draw(0, 2) == 1, height - 1 - rows, rows)
    if "flip" in kinds:
        columns = torch.where(draw(0, 2) == 1, width - 1 - columns, columns)
    if "translation" in kinds:
        rows = (rows - draw(-max_translation, max_translation + 1)) % height
        columns = (columns - draw(-max_translation, max_translation + 1)) % width
    pixels = (rows * width + columns).expand(n, height, width).reshape(n, 1, -1)
    return x.flatten(2).gather(2, pixels.expand(-1, x.shape[1], -1)).view_as(x)
