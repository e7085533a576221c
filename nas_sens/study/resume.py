"""What may change when a study is resumed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..core.errors import InvalidInputError
from ..core.identity import digest
from ..data import without_path
from .study_spec import StudySpec

# What may differ when a study is resumed: it only adds to what is there, or says where things lie.
# The contents of data and of a table are compared by their fingerprints.
_FREE = (
    "name",
    "description",
    "figures",
    "select",
    "search.n_candidates",
    "search.grow",
    "data.root",
    "data.download",
    "data.split",
    "data.load",
    "data.workers",
    "train.table",
    "train.checkpoint_seconds",
)


def check_resumable(stored: StudySpec, given: StudySpec, *, is_trained: bool, where: str) -> None:
    """Check that ``given`` only continues ``stored``.

    Args:
        stored: The study in the database.
        given: The study that was asked for.
        is_trained: Whether candidates were trained already, so that ``[train]`` may not change any more.
        where: The database, for the message.

    Raises:
        InvalidInputError: It has another search space or protocol; the message says what differs.
    """
    if stored.search_space.digest != given.search_space.digest:
        raise InvalidInputError(
            f"the study {given.name!r} in {where} was made with another search space: digest "
            f"{stored.search_space.digest} stored, {given.search_space.digest} given "
            f"({_differences(stored.search_space.to_dict(), given.search_space.to_dict(), ('name', 'description'))}); "
            "restore the space, or start a new study with --name"
        )
    free = (*_FREE, "search_space", *(() if is_trained else ("train",)))
    old, new = _protocol(stored), _protocol(given)
    if differences := _differences(old, new, free):
        digests = [digest({k: v for k, v in _flat(d).items() if not _is_free(k, free)}) for d in (old, new)]
        raise InvalidInputError(
            f"the study {given.name!r} in {where} was made with another protocol: digest {digests[0]} stored, "
            f"{digests[1]} given ({differences}); restore these values, or start a new study with --name"
        )


def _protocol(spec: StudySpec) -> dict[str, Any]:
    protocol = spec.to_dict()
    protocol["data"]["name"] = without_path(spec.data.name)
    return protocol


def _differences(old: Mapping[str, Any], new: Mapping[str, Any], free: tuple[str, ...]) -> str:
    a, b = _flat(old), _flat(new)
    keys = [k for k in sorted({*a, *b}) if a.get(k) != b.get(k) and not _is_free(k, free)]
    return "; ".join(f"{k}: {a.get(k, 'absent')!r} stored, {b.get(k, 'absent')!r} given" for k in keys)


def _is_free(key: str, free: tuple[str, ...]) -> bool:
    return any(key == f or key.startswith(f + ".") for f in free)


def _flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {prefix + key: value}
    return flat
