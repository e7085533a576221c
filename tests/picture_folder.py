"""Small folders of pictures, of mixed sizes and formats."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from nas_sens.data import DataSpec, Splits, load_data

SIZE = 12


def make_folder(
    root: Path, n: int = 12, *, mode: str = "RGB", classes: tuple[str, ...] = ("cat", "dog", "eel")
) -> Path:
    """Write ``n`` pictures a class, of mixed sizes and formats, the classes of different brightness."""
    rng = np.random.default_rng(len(classes) + n)
    for label, name in enumerate(classes):
        (root / name).mkdir(parents=True, exist_ok=True)
        for i in range(n):
            height, width = rng.integers(SIZE, 3 * SIZE, 2)
            pixels = rng.integers(40 * label, 120 + 60 * label, (height, width, 3), dtype=np.uint8)
            ending = ("png", "jpg", "bmp")[i % 3]
            Image.fromarray(pixels).convert(mode).save(root / name / f"{i}.{ending}")
    return root


def load(path: Path, how: str, **options: object) -> Splits:
    """Return a folder's pictures in memory or streamed, without processes."""
    workers = {"workers": 0} if how == "stream" else {}
    return load_data(DataSpec(**{"name": f"folder:{path}", "image_size": SIZE, "load": how} | workers | options))
