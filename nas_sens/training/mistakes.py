"""What a trained classifier takes for what on the validation set, and what it is most certain of and wrong."""

from __future__ import annotations

import base64
import io
from typing import Any

import torch
from PIL import Image
from torch import nn

from ..core.mistakes import MOST_CLASSES, MOST_SHOWN, Mistake, Mistakes
from ..core.module_mode import evaluation_mode
from ..data import Splits
from .evaluation import outputs_of
from .limits import LIMITS, Limits

_LARGEST = 64  # pixels of a side of a picture that is kept


def can_have_mistakes(splits: Splits) -> bool:
    """Return whether data have one class an input, and few enough classes for a matrix that one can look at."""
    return splits.task == "classification" and splits.n_outputs <= MOST_CLASSES


@torch.inference_mode()
def find_mistakes(
    model: nn.Module, splits: Splits, *, is_logits: bool = True, temperature: float = 1.0, limits: Limits = LIMITS
) -> Mistakes:
    """Return what a network makes of the validation set; its weights and modes are left as they are.

    Args:
        model: The network, on the device of the data.
        splits: Data of one class an input, see :func:`can_have_mistakes`.
        is_logits: Whether its outputs are logits; else they are probabilities as far as they lie in [0, 1].
        temperature: What logits are divided by.
        limits: How many inputs a pass takes.
    """
    x, y = splits.x_val, splits.y_val
    with evaluation_mode(model):
        outputs = torch.cat([outputs_of(model, xs).float() for xs in x.split(limits.evaluated_at_once(x))])
    shares = (outputs / temperature).softmax(dim=1) if is_logits else outputs.clamp(0, 1)
    certainty, taken = shares.max(dim=1)
    n = splits.n_outputs
    confusion = torch.bincount(y * n + taken, minlength=n * n).reshape(n, n).cpu()
    wrong = (taken != y).nonzero().flatten()
    order = certainty[wrong].argsort(descending=True, stable=True)[:MOST_SHOWN]
    rows = wrong[order].cpu()
    pictures = _pictures(x, rows, splits)
    return Mistakes(
        confusion=tuple(tuple(row) for row in confusion.tolist()),
        class_names=splits.class_names,
        most_certain=tuple(
            Mistake(row=row, true=true, taken_for=label, certainty=round(share, 6), picture=picture)
            for row, true, label, share, picture in zip(
                rows.tolist(),
                *(values.cpu()[rows].tolist() for values in (y, taken, certainty)),
                pictures,
                strict=True,
            )
        ),
    )


def _pictures(x: Any, rows: torch.Tensor, splits: Splits) -> list[str]:
    """Return inputs as small PNG files in base64; "" for each where they are no pictures."""
    if not len(rows) or not x.is_floating_point() or x.ndim != 4 or x.shape[1] not in (1, 3) or min(x.shape[2:]) < 4:
        return [""] * len(rows)
    shown = x[rows.to(x.device)].float().cpu()
    if splits.mean:  # a channel each
        mean, std = (torch.tensor(values).view(-1, 1, 1) for values in (splits.mean, splits.std))
        shown = shown * std + mean
    low, high = float(shown.min()), float(shown.max())
    if low >= -1e-3 and high <= 1 + 1e-3:
        low, high = 0.0, 1.0
    pixels = ((shown - low) / max(high - low, 1e-12) * 255).round().clamp(0, 255).to(torch.uint8)
    return [_png(picture) for picture in pixels]


def _png(pixels: torch.Tensor) -> str:
    """Return a picture (1 or 3, height, width) of bytes as a PNG file in base64, its longer side at most 64 pixels."""
    array = pixels.permute(1, 2, 0).numpy()
    picture = Image.fromarray(array[:, :, 0] if array.shape[2] == 1 else array)
    picture.thumbnail((_LARGEST, _LARGEST))
    picture.save(buffer := io.BytesIO(), format="png", optimize=True)
    return base64.b64encode(buffer.getvalue()).decode("ascii")
