"""What a network was given in training, for those who give it something else: in timm's words, and as a module.

Pictures are turned upright, made grey or RGB, resized without regard to their aspect, divided by 255, then standardised
as ``[data]`` says. timm's transform does the same from a configuration; `FromPixels` does it in the exported program.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import nn

from ..core.inputs import InputShape, is_plain
from ..data.per_input import PER_INPUT
from ..data.resizing import CROP_MODE, CROP_PCT, INTERPOLATION, Mode, mode_of

WHITE = 255.0  # of pictures with 8 bits a channel
_UNIT = 2.0**22  # of which Pillow's weights are whole multiples


def picture_size(input_shape: InputShape) -> tuple[Mode, int, int] | None:
    """Return Pillow's mode, height and width of the pictures that are inputs; None if files hold no such pictures."""
    if not is_plain(input_shape) or len(input_shape) != 3:
        return None
    n_channels, height, width = cast("tuple[int, int, int]", input_shape)
    mode = mode_of(n_channels)
    return None if mode is None else (mode, height, width)


def timm_keys(
    input_shape: InputShape, *, mean: Sequence[float], std: Sequence[float], class_names: Sequence[str]
) -> dict[str, Any]:
    """Return the keys of timm's ``pretrained_cfg`` that say how inputs are prepared and what outputs are called.

    Args:
        input_shape: Shape of one input.
        mean: What is subtracted per channel or feature; empty for nothing.
        std: What they are divided by then; empty for nothing.
        class_names: Names of the classes, in the order of the outputs; empty where there are none.
    """
    n_channels = cast("tuple[int, ...]", input_shape)[0] if is_plain(input_shape) else 0
    resized = {"crop_mode": CROP_MODE, "crop_pct": CROP_PCT, "interpolation": INTERPOLATION}
    return {
        "mean": list(mean) or [0.0] * n_channels,
        "std": list(std) or [1.0] * n_channels,
        **(resized if picture_size(input_shape) else {"crop_pct": CROP_PCT}),
        **({"label_names": list(class_names)} if class_names else {}),
    }


def prepare_each_input(model: nn.Module, per_input: str) -> nn.Module:
    """Return the same network, which does to each input first what a key of `PER_INPUT` in ``[data]`` does.

    No transform of timm does that. Inputs to which it was done already stay as they are, but for rounding.

    Args:
        model: The network.
        per_input: The key; empty for nothing.
    """
    if per_input:
        model.register_forward_pre_hook(lambda _, inputs: (PER_INPUT[per_input](inputs[0]),))
    return model


class FromPixels(nn.Module):
    """A network with its preprocessing before it: pictures as decoders give them, of any size, a batch of one size.

    Args:
        model: The network.
        size: Height and width of its inputs.
        mean: What is subtracted from pixels in [0, 1] per channel.
        std: What they are divided by then.
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, model: nn.Module, size: tuple[int, int], mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.model, self.size = model, size
        self.register_buffer("mean", torch.tensor(mean).view(-1, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(-1, 1, 1))

    def forward(self, pixels: torch.Tensor) -> Any:
        """Return the network's outputs for pictures, uint8 (n, height, width, channels)."""
        return self.model(self.prepared(pixels))

    def prepared(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return inputs (n, channels, *size) from pictures, uint8 (n, height, width, channels).

        As Pillow does it, to the last bit: first across, then down, with whole numbers between. Where pictures shrink
        far more down than across, Pillow 13 goes down first, which makes a difference of 1 of 255 in a few pixels.
        Written as products of matrices, as runtimes differ in how they smooth; in float64, which holds these sums.
        """
        x = pixels.permute(0, 3, 1, 2).to(torch.float64)
        x = _rounded(x @ _weights(x[0, 0, 0, :], self.size[1]).transpose(0, 1))
        x = _rounded(_weights(x[0, 0, :, 0], self.size[0]) @ x)
        return (x.to(torch.float32) / WHITE - self.mean) / self.std


def _rounded(x: torch.Tensor) -> torch.Tensor:
    return (x + 0.5).floor()


def _weights(line: torch.Tensor, n_out: int) -> torch.Tensor:
    """Return the weights (n_out, n_in) of a triangular filter, by which Pillow resizes a line of pixels (n_in,).

    The triangle is as wide as two pixels of the result, or of the line where these are wider.
    """
    places = torch.arange(line.shape[0], device=line.device, dtype=torch.float64) + 0.5
    scale = (places[-1] + 0.5) / n_out
    centres = (torch.arange(n_out, device=line.device, dtype=torch.float64) + 0.5) * scale
    weights = (1.0 - (places - centres[:, None]).abs() / scale.clamp(min=1.0)).clamp(min=0.0)
    return _rounded(weights / weights.sum(dim=1, keepdim=True) * _UNIT) / _UNIT
