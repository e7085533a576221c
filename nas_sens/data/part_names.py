"""Which names of folders and splits mean training, validation and test data, and which hold data for another task."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable

PARTS = ("train", "val", "test")

_WORDS = {
    **dict.fromkeys(("train", "training", "trainval"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "validate", "dev", "development", "eval", "evaluation"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}
_NEAR_PARTS = ("train", "test", "valid", "holdout", "predict", "unlabel", "unsorted", "unsupervised", "extra")
_GENERAL = r"(?:set|data|dataset|images?|imgs?|pictures|photos|split|folder)"
_PART = re.compile(rf"{_GENERAL}*({'|'.join(sorted(_WORDS, key=len, reverse=True))}){_GENERAL}*")
_GENERAL_ONLY = re.compile(rf"{_GENERAL}+")
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+|[^\W\d_]+|\d+")


def parts_of(names: Iterable[str]) -> dict[str, str]:
    """Return which of some names mean "train", "val" or "test", in the order of the names.

    A name means a part by itself (``Training``, ``valid``, ``test_set``, ``TrainImages``), or together with a name that
    differs from it in that word only (``seg_train`` beside ``seg_test``, ``train2017`` beside ``val2017``).
    """
    names = list(names)
    alone = {name: part for name in names if (part := _part_alone(name)) is not None}
    pairs: defaultdict[str, dict[str, str]] = defaultdict(dict)
    for name in names:
        words = [word.casefold() for word in _WORD.findall(name)]
        if name not in alone and (found := [word for word in words if word in _WORDS]):
            rest = " ".join(word for word in words if word != found[-1])
            pairs[rest][name] = _WORDS[found[-1]]
    together: dict[str, str] = {}
    for group in pairs.values():
        if "train" in group.values() and len(set(group.values())) > 1:
            together |= group
    return {name: part for name in names if (part := alone.get(name) or together.get(name))}


def mentions_part(name: str) -> bool:
    """Return whether a name has to do with parts: one of their words is in it, or one for pictures without labels."""
    squeezed = name.casefold()
    return any(word.casefold() in _WORDS for word in _WORD.findall(name)) or any(
        word in squeezed for word in _NEAR_PARTS
    )


def is_general(name: str) -> bool:
    """Return whether a name says only that there are data, such as ``images`` or ``dataset``."""
    return _GENERAL_ONLY.fullmatch(_squeezed(name)) is not None


def is_of_another_task(names: Iterable[str]) -> bool:
    """Return whether folders of these names hold pictures and boxes, masks or the like of each of them."""
    squeezed = {_squeezed(name) for name in names}
    return bool(squeezed & {"images", "image", "imgs", "img", "jpegimages"}) and bool(
        squeezed & {"labels", "label", "labelstxt", "annotations", "annotation", "masks", "mask", "bboxes", "xmls"}
    )


def _part_alone(name: str) -> str | None:
    match = _PART.fullmatch(_squeezed(name))
    return _WORDS[match[1]] if match else None


def _squeezed(name: str) -> str:
    return re.sub(r"[\W_]", "", name).casefold()
