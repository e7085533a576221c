"""What was read, in a few lines: sizes, classes with their counts, and what the user should know of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from ..core.inputs import is_plain, n_rows, shape_text
from .splits import Splits

MAX_CLASSES = 12


def account_of(splits: Splits) -> list[str]:
    """Return what is said of data before anything runs: one line on all, then one for every note."""
    parts = {"train": splits.y_train, "validation": splits.y_val, "test": splits.y_test}
    sizes = "" if splits.has_only_probe else ", ".join(f"{part} {len(y):,}" for part, y in parts.items())
    if splits.x_probe is not None:
        sizes += ("; " if sizes else "") + f"{n_rows(splits.x_probe):,} inputs to score with"
    lines = [f"data {splits.name}: inputs {inputs_text(splits.input_shape)}; {_targets_text(splits)}; {sizes}"]
    return lines + [f"data {splits.name}: {note}" for note in splits.notes]


def _targets_text(splits: Splits) -> str:
    """Return what is to be learnt, in words."""
    y = torch.cat([splits.y_train, splits.y_val, splits.y_test])
    if splits.has_only_probe:
        return f"{splits.n_outputs} outputs, nothing to train on"
    if splits.task == "regression":
        several = f"{splits.n_outputs} " if splits.n_outputs > 1 else ""
        return f"{several}targets from {y.min():g} to {y.max():g}"
    if splits.task == "multilabel":
        return f"{splits.n_outputs} labels at once, {float(y.sum(1).mean()):.3g} of them true on average"
    if splits.task == "other":
        return f"targets of shape {tuple(y.shape[1:])} and type {str(y.dtype).removeprefix('torch.')}"
    return f"{splits.n_outputs} classes{counts_text(splits.class_names, class_counts(splits))}"


def class_counts(splits: Splits) -> list[int]:
    """Return how many samples every class has, in all parts together."""
    return torch.bincount(torch.cat([splits.y_train, splits.y_val, splits.y_test]), minlength=splits.n_outputs).tolist()


def counts_text(names: Sequence[str], counts: Sequence[int]) -> str:
    """Return how many samples every class has, as what follows "classes"; only some where there are many."""
    if min(counts) == max(counts):
        return f", {counts[0]:,} samples each"
    names = names or [str(i) for i in range(len(counts))]
    shown = [f"{_short(name)} ({n:,})" for name, n in zip(names, counts, strict=True)]
    if len(shown) <= MAX_CLASSES:
        return f": {', '.join(shown)}"
    few, many = min(range(len(counts)), key=counts.__getitem__), max(range(len(counts)), key=counts.__getitem__)
    return f": {', '.join(shown[:3])}, …; fewest {shown[few]}, most {shown[many]}"


def inputs_text(shape: Any) -> str:
    """Return the shape of one input, as text."""
    if not is_plain(shape) or not len(shape):
        return shape_text(shape)
    return f"{shape[0]:,} feature{'s' * (shape[0] > 1)}" if len(shape) == 1 else "×".join(map(str, shape))


def _short(name: str) -> str:
    return name if len(name) <= 40 else f"{name[:39]}…"
