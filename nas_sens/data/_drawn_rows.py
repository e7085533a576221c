"""Which rows become which part: held out, at most so many, equally many of every class; all by the split's seed."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..core.errors import InvalidInputError

if TYPE_CHECKING:
    from .data_spec import DataSpec
    from .samples import Samples


def hold_out(
    rows: np.ndarray, labels: np.ndarray | None, fraction: float, spec: DataSpec, key: str, samples: Samples
) -> tuple[np.ndarray, np.ndarray]:
    if samples.groups is not None:
        return _hold_out_groups(rows, labels, samples.groups[rows], fraction, spec, key)
    names = samples.class_names
    from sklearn.model_selection import train_test_split  # seconds to import, and not every command needs data

    stratify = None if labels is None else labels[rows]
    try:
        kept, held = train_test_split(rows, test_size=fraction, stratify=stratify, random_state=spec.seed)
    except ValueError as error:
        how = "" if labels is None else " with every class in both parts"
        reason = str(error) if stratify is None else _rarest(stratify, names) or str(error)
        raise InvalidInputError(
            f"data {spec.name!r}: {len(rows)} samples cannot be split by {key} = {fraction}{how} ({reason}); "
            "give more data or another fraction"
        ) from error
    return np.sort(kept), np.sort(held)


def _hold_out_groups(
    rows: np.ndarray, labels: np.ndarray | None, groups: np.ndarray, fraction: float, spec: DataSpec, key: str
) -> tuple[np.ndarray, np.ndarray]:
    """Return rows without and with those held out, no group in both; classes in proportion as far as groups allow.

    Raises:
        InvalidInputError: There are too few groups.
    """
    from sklearn.model_selection import GroupShuffleSplit, StratifiedGroupKFold

    n = len(np.unique(groups))
    if n < 2:
        raise InvalidInputError(
            f"data {spec.name!r}: group = {spec.group!r} in [data] puts all of {len(rows):,} samples into one group, "
            f"which {key} = {fraction} cannot part; give data of more groups, or another column"
        )
    least = min(fraction, 1 - fraction)
    if labels is None:
        held_share = min(max(fraction, 1 / n), 1 - 1 / n)
        folds = GroupShuffleSplit(1, test_size=held_share, random_state=spec.seed).split(rows, groups=groups)
        kept, held = next(folds)
        return rows[kept], rows[held]
    of_rows = labels[rows]
    kinds = StratifiedGroupKFold(min(n, max(2, round(1 / least))), shuffle=True, random_state=spec.seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of classes with fewer samples than folds
        folds = [f for f in kinds.split(rows, of_rows, groups) if len(f[0]) and len(f[1])]
    classes = len(np.unique(of_rows))

    def is_worse(fold: tuple[np.ndarray, np.ndarray]) -> tuple[int, float]:
        return classes - len(np.unique(of_rows[fold[0]])), abs(len(fold[1]) - least * len(rows))

    kept, held = min(folds, key=is_worse)
    return (rows[kept], rows[held]) if fraction <= 0.5 else (rows[held], rows[kept])


def _rarest(labels: np.ndarray, names: Sequence[str]) -> str:
    """Return which classes have too few samples for two parts, and what to do about it; "" if none has."""
    counts = np.bincount(labels)
    few = np.flatnonzero((counts > 0) & (counts < 2))
    if not len(few):
        return ""
    shown = ", ".join(repr(names[c]) if names else str(c) for c in few[:5]) + (", …" if len(few) > 5 else "")
    kind = f"the class {shown} has" if len(few) == 1 else f"the classes {shown} have"
    return f"{kind} 1 sample: remove or merge {'it' if len(few) == 1 else 'them'}"


def at_most(rows: np.ndarray, labels: np.ndarray | None, n: int | None, spec: DataSpec) -> np.ndarray:
    """Return ``n`` random rows with every class in proportion, nearly; ``rows`` if there are no more."""
    if n is None or n >= len(rows):
        return rows
    shuffled = np.random.default_rng(spec.seed).permutation(rows)
    if labels is None:
        return np.sort(shuffled[:n])
    position = np.empty(len(rows))  # of a row among those of its class, in (0, 1)
    for c in np.unique(labels[rows]):
        members = np.flatnonzero(labels[shuffled] == c)
        position[members] = (np.arange(len(members)) + 0.5) / len(members)
    return np.sort(shuffled[np.argsort(position, kind="stable")[:n]])


def balanced(rows: np.ndarray, labels: np.ndarray | None, n: int, spec: DataSpec) -> np.ndarray:
    """Return ``n`` rows with equally many of every class; the first classes get the remainder.

    Raises:
        InvalidInputError: There are too few rows, or of some class, or ``n`` is less than the number of classes.
    """
    rng = np.random.default_rng(spec.seed)
    if labels is None:
        if n > len(rows):
            raise InvalidInputError(
                f"data {spec.name!r}: train_samples = {n}, but the split leaves {len(rows)} training samples; "
                "lower train_samples"
            )
        return np.sort(rng.choice(rows, n, replace=False))
    classes = np.unique(labels)
    if n < len(classes):
        raise InvalidInputError(
            f"data {spec.name!r}: train_samples must be at least 1 for each of the {len(classes)} classes; given {n}"
        )
    chosen = []
    for i, c in enumerate(classes):
        quota = n // len(classes) + (i < n % len(classes))
        members = rows[labels[rows] == c]
        if len(members) < quota:
            raise InvalidInputError(
                f"data {spec.name!r}: train_samples = {n} needs {quota} training samples of every class, but class {c} "
                f"has {len(members)}; lower train_samples"
            )
        chosen.append(rng.choice(members, quota, replace=False))
    return np.sort(np.concatenate(chosen))
