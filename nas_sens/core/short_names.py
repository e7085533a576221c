"""Short names of architectures that are shown together, such as ``cnn-3x29-k3-pool``: what matters and what varies."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from .boundary import reading
from .candidates import SHAPE
from .errors import StorageError
from .messages import shown

LONGEST = 34  # characters: with as many, a table of networks fits a terminal of 100
_DIGITS = 3  # of numbers, as many as tell them apart
_WIDTHS = ("width", "channels", "embed_dim")
_MATTER = (*SHAPE, "kernel", "max_pool")  # always said, if there
_ABBREVIATED = {
    **{"kernel": "k", "padding": "p", "stride": "s", "hidden_units": "h", "max_pool": "pool", "batch_norm": "bn"},
    **{"dropout": "drop", "learning_rate": "lr", "weight_decay": "wd", "batch_size": "b", "width_factor": "w"},
    **{
        "embed_dim": "d",
        "heads": "h",
        "patch": "p",
        "depth": "d",
        "width": "w",
        "channels": "c",
        "init_scale": "scale",
    },
}
_SELF_EXPLAINING = ("model", "configuration", "init", "activation", "optimizer")  # whose values need no key


class Named(Protocol):
    """What has an architecture and what was searched with it: a scored or a trained candidate."""

    @property
    def architecture(self) -> str:
        """Canonical JSON text of the architecture."""

    @property
    def training(self) -> Mapping[str, Any]:
        """What was searched of its training."""


def short_names(items: Sequence[Named]) -> list[str]:
    """Return a short name for each of the architectures that are shown together; different ones have different names.

    A name has the family, the size, and what varies within the family among those shown. Where that is too long, or
    not enough, a digest is part of it.

    Args:
        items: In the order of the names.

    Raises:
        StorageError: An architecture is no JSON, as somebody altered it where it is stored.
    """
    read = [_values(item) for item in items]
    by_family: dict[str, list[int]] = defaultdict(list)
    for i, values in enumerate(read):
        by_family[str(values["family"])].append(i)
    names = [""] * len(read)
    for places in by_family.values():
        for i, name in zip(places, _of_family([read[i] for i in places]), strict=True):
            names[i] = name
    return _told_apart(names, [json.dumps(values, sort_keys=True) for values in read])


def _values(item: Named) -> dict[str, Any]:
    with reading(f"the architecture {shown(item.architecture)} cannot be read", kind=StorageError):
        values = dict(json.loads(item.architecture))
    return values | {f"{key} " if key in values else key: value for key, value in item.training.items()}


def _of_family(items: Sequence[Mapping[str, Any]]) -> list[str]:
    keys = list(dict.fromkeys(key for values in items for key in values if key != "family"))
    texts = {key: _texts([values.get(key) for values in items]) for key in keys}
    varying = {key for key in keys if len(set(texts[key])) > 1}
    told = [k for k in _MATTER if k in keys] + sorted(k for k in keys if k in varying and k not in _MATTER)
    return [_name(values, i, told, texts, varying) for i, values in enumerate(items)]


def _name(
    values: Mapping[str, Any], i: int, told: Iterable[str], texts: Mapping[str, Sequence[str]], varying: set[str]
) -> str:
    parts, told = [str(values["family"])], list(told)
    width = next((key for key in _WIDTHS if key in values), None)
    if "depth" in values and width is not None:
        parts.append(f"{texts['depth'][i]}x{texts[width][i]}")
        told = [key for key in told if key not in ("depth", width)]
    parts += [text for key in told if (text := _part(key, values.get(key), texts[key][i], key in varying))]
    return "-".join(parts)


def _part(key: str, value: Any, text: str, is_varying: bool) -> str:
    name = _ABBREVIATED.get(key, key.strip().replace("_", ""))
    if isinstance(value, bool):
        return name if value else f"no{name}" if is_varying else ""
    if value is None or (not is_varying and value in (0, 0.0, "", "{}")):
        return ""
    return text if key in _SELF_EXPLAINING else f"{name}{text}"


def _texts(values: Sequence[Any]) -> list[str]:
    """Return a text for each value, of numbers as few digits as tell them apart."""
    exact = [json.dumps(value, sort_keys=True) for value in values]
    n = len(set(exact))
    rounded = [[_text(value, digits) for value in values] for digits in (_DIGITS, 5, 8, 17)]
    return next((texts for texts in rounded if len(set(texts)) == n), exact)


def _text(value: Any, digits: int) -> str:
    if isinstance(value, (list, tuple)):
        return "_".join(_text(v, digits) for v in value)
    return f"{value:.{digits}g}" if isinstance(value, float) else str(value)


def _told_apart(names: Sequence[str], identities: Sequence[str]) -> list[str]:
    """Return the names, with a digest in those that are too long or stand for several."""
    of_name: dict[str, set[str]] = defaultdict(set)
    for name, identity in zip(names, identities, strict=True):
        of_name[name].add(identity)
    digests = {
        identity: hashlib.sha256(identity.encode("utf-8", "surrogatepass")).hexdigest() for identity in identities
    }
    n_digits = 4
    while len({digest[:n_digits] for digest in digests.values()}) < len(digests):
        n_digits += 2
    cut = LONGEST - n_digits - 1
    return [
        f"{name[:cut]}~{digests[identity][:n_digits]}" if len(name) > LONGEST or len(of_name[name]) > 1 else name
        for name, identity in zip(names, identities, strict=True)
    ]
