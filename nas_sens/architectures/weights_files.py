"""Where pre-trained weights of timm's models lie on this machine; nothing is downloaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..core.errors import InvalidInputError
from ..core.messages import shown

_HUB_NAMES = ("model.safetensors", "open_clip_model.safetensors", "pytorch_model.bin")
_SUFFIXES = (".safetensors", ".pth", ".pt", ".bin")


def weights_file(model: str, pretrained: bool | str) -> Path:
    """Return the file that holds the weights of a model.

    Args:
        model: Name of a timm model, with or without a tag of weights.
        pretrained: The path of a file, or True for one of timm's caches: that of the Hugging Face hub or of PyTorch.

    Raises:
        InvalidInputError: There is none; the message says where to put it.
    """
    if isinstance(pretrained, str):
        path = Path(pretrained).expanduser()
        if not path.is_file() or path.suffix not in _SUFFIXES:
            raise InvalidInputError(
                f"pretrained must be true or the path of a file of weights ({', '.join(_SUFFIXES)}) on this machine; "
                f"given {shown(pretrained)}, " + ("which ends otherwise" if path.is_file() else "which is not there")
            )
        return path
    config = weights_config(model)
    if not (config.get("hf_hub_id") or config.get("url")):
        raise InvalidInputError(f"timm has no pre-trained weights for {model}; name a file of yours by pretrained")
    places = [*_in_hub_cache(config), own_place(config)]
    if url := config.get("url"):
        places.append(own_place(config).with_name(url.rpartition("/")[2]))
    for place in places:
        if place.is_file():
            return place
    name, repository = full_name(config), config.get("hf_hub_id")
    source = f"https://huggingface.co/{repository}/resolve/main/model.safetensors" if repository else url
    raise InvalidInputError(
        f"the pre-trained weights of timm's {name} are not on this machine: save {source} as {own_place(config)}, or "
        f"name a file of yours by pretrained; on a machine with a network timm.create_model({name!r}, pretrained=True) "
        "puts them into its cache"
    )


def weights_config(model: str) -> dict[str, Any]:
    """Return what timm knows of the pre-trained weights of a model: where they are, what inputs they expect.

    Raises:
        InvalidInputError: It knows no such weights.
    """
    import timm

    try:
        config = timm.get_pretrained_cfg(model)
    except Exception as error:  # of several kinds, for a tag that there is not
        raise InvalidInputError(f"timm has no pre-trained weights for {model}: {error}") from error
    return {} if config is None else dict(config.to_dict())


def full_name(config: dict[str, Any]) -> str:
    """Return a model's name with the tag of its weights."""
    return ".".join(part for part in (config["architecture"], config.get("tag")) if part)


def own_place(config: dict[str, Any]) -> Path:
    """Return where a file that somebody copies by hand is looked for: in PyTorch's cache (``TORCH_HOME``)."""
    import torch

    return Path(torch.hub.get_dir()) / "checkpoints" / f"{full_name(config)}.safetensors"


def _in_hub_cache(config: dict[str, Any]) -> list[Path]:
    if not (repository := config.get("hf_hub_id")):
        return []
    from huggingface_hub import try_to_load_from_cache

    names = [config["hf_hub_filename"]] if config.get("hf_hub_filename") else _HUB_NAMES
    found = [try_to_load_from_cache(repository.partition("@")[0], name) for name in names]
    return [Path(path) for path in found if isinstance(path, str)]
