"""Networks of timm that start from pre-trained weights."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import PlainValidator
from pydantic_core import PydanticCustomError
from torch import nn

from ..core.errors import InfeasibleArchitectureError, first_line
from ..core.messages import shown
from ..core.random_state import global_stream
from .timm_built import TimmNetwork
from .timm_models import Created
from .weights_files import weights_config, weights_file


def _weights(value: Any) -> Any:
    if isinstance(value, bool) or (isinstance(value, str) and value):
        return value
    raise PydanticCustomError("pretrained", "Input should be true, false or the path of a file of weights")


Pretrained = Annotated[bool | str, PlainValidator(_weights)]


class InputNormalization(nn.Module):
    """Subtracts a mean from the channels of images and divides by a standard deviation, as weights were trained with.

    Args:
        mean: Of every channel, of pixels in [0, 1].
        std: Of every channel.
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean)[:, None, None])
        self.register_buffer("std", torch.tensor(std)[:, None, None])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return normalised images (n, channels, height, width) for pixels ``x`` in [0, 1]."""
        return (x - self.mean) / self.std


class PretrainedNetwork(TimmNetwork):
    """A network of timm behind the normalisation of inputs that its weights expect.

    Args:
        make: Returns the untrained network, on the current default device.
        weights: Returns the pre-trained weights by their names in it, without those that there are none for.
        mean: What inputs are normalised by, by channel.
        std: See ``mean``.
    """

    def __init__(
        self,
        make: Callable[[], nn.Module],
        weights: Callable[[], Mapping[str, torch.Tensor]],
        mean: Sequence[float],
        std: Sequence[float],
    ) -> None:
        super().__init__(lambda: nn.Sequential(InputNormalization(mean, std), make()))
        self._weights = weights

    def draw_(self, generator: torch.Generator | None) -> None:
        """Draw all parameters as the untrained network does, in place."""
        super().reset_(generator)

    @torch.no_grad()
    def reset_(self, generator: torch.Generator | None) -> None:
        """Put the pre-trained weights back, and draw what there are none for: the read-out, mostly.

        Raises:
            InvalidInputError: The file of weights is not on this machine.
            InfeasibleArchitectureError: The weights are of another network.
        """
        weights = self._weights()
        super().reset_(generator)
        own = self.net[1].state_dict(keep_vars=True)  # type: ignore[index]
        for name, tensor in weights.items():
            own[name].copy_(tensor)


def normalization(model: str, n_channels: int) -> tuple[list[float], list[float]]:
    """Return mean and standard deviation by channel of the inputs that a model's pre-trained weights expect.

    Of one channel they are the means of those of the colours, and so of any other number than three.
    """
    config = weights_config(model)
    mean, std = list(config["mean"]), list(config["std"])
    if len(mean) == n_channels:
        return mean, std
    return [sum(mean) / len(mean)] * n_channels, [sum(std) / len(std)] * n_channels


def make_pretrained(create: Created, pretrained: bool | str) -> PretrainedNetwork:
    """Return a network of timm that starts from pre-trained weights.

    Args:
        create: What makes timm's network.
        pretrained: See :func:`~nas_sens.architectures.weights_files.weights_file`.
    """
    mean, std = normalization(create.model, create.input_shape[0])
    return PretrainedNetwork(create, lambda: read_weights(create, pretrained), mean, std)


def read_weights(create: Created, pretrained: bool | str) -> Mapping[str, torch.Tensor]:
    """Return pre-trained weights by their names in a network, without those of a read-out that it does not take.

    They are read once. For the arguments see :func:`make_pretrained`.

    Raises:
        InvalidInputError: There is no such file.
        InfeasibleArchitectureError: The weights are of another network.
    """
    file = weights_file(create.model, pretrained)
    return _read_once(create, str(file), file.stat().st_mtime_ns)


@lru_cache(maxsize=8)
def _read_once(create: Created, path: str, changed: int) -> Mapping[str, torch.Tensor]:
    try:
        return _read(create, Path(path), create.n_outputs)
    except Exception as error:  # whatever a damaged file makes of its readers
        raise InfeasibleArchitectureError(
            f"the weights in {shown(path)} do not fit timm's {create.model}: {_reason(error):.300}"
        ) from error


def _reason(error: Exception) -> str:
    """Return the line of an error that says what is wrong; PyTorch's first one announces those behind it."""
    lines = [line.strip() for line in str(error.__cause__ or error).splitlines() if line.strip()]
    found = lines[1] if len(lines) > 1 and lines[0].endswith(":") else first_line(error)
    return found.removesuffix(".")


@contextmanager
def _without_warnings() -> Iterator[None]:
    """Keep timm from warning of names that it has no use for: what does not fit is an error here."""
    logger = logging.getLogger("timm.models._builder")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


def _read(create: Created, file: Path, n_outputs: int) -> Mapping[str, torch.Tensor]:
    """Return the weights of a file by their names in the network, without those that it has none for.

    Raises:
        InfeasibleArchitectureError: They are of another network.
    """
    from timm.models import load_state_dict

    there = {k: t for k, t in load_state_dict(str(file), weights_only=True).items() if isinstance(t, torch.Tensor)}
    overlay: dict[str, Any] = {"file": None, "source": None, "hf_hub_id": None, "url": None, "custom_load": False}
    with torch.device("cpu"):
        with global_stream(0):
            plain = create()
        heads = classifier_names(plain)
        sizes = {t.shape[0] for name, t in there.items() if name.rpartition(".")[0] in heads and t.ndim}
        if len(sizes) == 1:
            overlay["num_classes"] = sizes.pop()
        drawn = []
        for seed in (1, 2):
            with global_stream(seed), _without_warnings():
                given = {**overlay, "state_dict": dict(there)}  # timm removes a read-out from it
                drawn.append(create(pretrained=True, pretrained_cfg_overlay=given).state_dict())
    # timm takes weights that fit in part. What still depends on chance was not in the file.
    missing = [k for k, t in drawn[0].items() if not torch.equal(t, drawn[1][k])]
    if lacking := [k for k in missing if k.rpartition(".")[0] not in heads]:
        raise InfeasibleArchitectureError(f"they lack {lacking[0]!r}")
    own = {k for k in drawn[0] if k.rpartition(".")[0] not in heads}
    if own <= there.keys() and (extra := sorted(k for k in there.keys() - own if k.rpartition(".")[0] not in heads)):
        raise InfeasibleArchitectureError(f"they have {extra[0]!r}, which it does not")
    is_head_there = overlay.get("num_classes") == n_outputs
    return {k: t for k, t in drawn[0].items() if is_head_there or k.rpartition(".")[0] not in heads}


def classifier_names(model: nn.Module) -> set[str]:
    """Return the names of the modules of one of timm's networks that are its read-out."""
    found = model.get_classifier()  # type: ignore[operator]
    heads = list(found) if isinstance(found, (tuple, list)) else [found]
    return {name for name, module in model.named_modules() if any(module is head for head in heads)}
