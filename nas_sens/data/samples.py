"""Raw samples as a data set file returns them, checked once for all data sets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import torch

from ..core.errors import InvalidInputError
from ._labels import Labels, labels_from, labels_like, targets_from
from ._layout import Layout, inputs_from
from .csv_spec import CsvSpec

Task = Literal["classification", "regression", "multilabel", "other"]
Pair = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column of a table as it was understood.

    Attributes:
        name: Its name in the header line, or the one that it was given.
        kind: ``number``, ``truth value``, ``category``, ``date`` or ``left out``; of the target ``classes`` or
            ``quantity``.
        features: How many features it became.
        values: How many different values it has.
        missing: In how many rows it has no value.
        note: What is peculiar, such as the values that keep it from being used; "" if nothing is.
    """

    name: str
    kind: str
    features: int
    values: int
    missing: int = 0
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class LoadOptions:
    """What a data set file may need to load its samples.

    Attributes:
        argument: Text after the colon of the data set's name (a path), or "".
        target: Column that is to be predicted; None if it was not given.
        task: What is to be learnt, or "auto" to tell from the target.
        image_size: Height and width to resize images to; None to keep theirs.
        drop: Columns of a table to leave out.
        csv: How a CSV file is to be read; None to tell from the file.
        layout: Order of an array's axes, or "auto" to tell from its shape.
        split: Which row is in which part: a column of a table, or a file beside pictures.
        group: Column whose equal values stay in one part.
        weight: Column that says how much a row counts in training.
        load: Whether pictures are decoded at once or when they are used, or "auto" to tell from their size.
        workers: How many processes decode streamed pictures; None for one a core.
        root: Folder where downloaded data sets lie.
        download: Whether a data set may be downloaded into ``root``.
    """

    argument: str = ""
    target: str | None = None
    task: Literal["auto", "classification", "regression"] = "auto"
    image_size: tuple[int, int] | None = None
    drop: tuple[str, ...] = ()
    csv: CsvSpec | None = None
    layout: Layout = "auto"
    split: str | None = None
    group: str | None = None
    weight: str | None = None
    load: Literal["auto", "memory", "stream"] = "auto"
    workers: int | None = None
    root: str = "data"
    download: bool = False


@dataclass(frozen=True, kw_only=True)
class Samples:
    """A data set, in memory or streamed.

    Attributes:
        x: Inputs, float32 (n, channels, height, width), (n, channels, length) or (n, features); raw images in [0, 1];
            float64 features where float32 cannot tell them apart, until they are standardised. Of a user's function
            also whole numbers int64 (n, …), and several tensors in a tuple or a dict.
        y: Labels, int64 (n,), from 0 to ``n_outputs`` - 1; for regression targets, float32 (n, K), in their own units;
            for several labels at once 0 and 1, float32 (n, K); for other tasks any tensor (n, …).
        x_test: Inputs of the official test set; None if the data set has none.
        y_test: Labels or targets of the official test set.
        x_val: Inputs of the official validation set; None if the data set has none.
        y_val: Labels or targets of the official validation set.
        x_probe: Inputs that candidates are scored with; None to take some of the others. Where there is nothing to
            train on, ``x`` and ``y`` are without rows.
        n_outputs: Number of classes, of labels, or of numbers to predict.
        task: What is to be learnt.
        class_names: Name of every class, in the order of the labels; empty where labels are only numbers.
        feature_names: Name of every feature of a table; empty where there are no names.
        columns: The columns of a table as they were understood; empty if it was none.
        notes: What was left out, taken for something or looks strange, one line each: the user is told.
        groups: Which group each row of ``x`` is in, int64 (n,); None where every row stands for itself.
        weights: How much each row of ``x`` counts in training, float64 (n,); None for all alike.
        digests: Part ("train", "val", "test") to the digests of its files of pictures, uint8 (n, 16); empty of others.
    """

    x: Any
    y: torch.Tensor
    n_outputs: int
    x_test: Any = None
    y_test: torch.Tensor | None = None
    x_val: Any = None
    y_val: torch.Tensor | None = None
    x_probe: Any = None
    task: Task = "classification"
    class_names: tuple[str, ...] = ()
    feature_names: tuple[str, ...] = ()
    columns: tuple[Column, ...] = ()
    notes: tuple[str, ...] = ()
    digests: Mapping[str, np.ndarray] = field(default_factory=dict)
    groups: np.ndarray | None = None
    weights: np.ndarray | None = None

    def with_notes(self, notes: Sequence[str]) -> Samples:
        """Return the samples with more notes before their own."""
        return replace(self, notes=(*notes, *self.notes))


def make_samples(
    x: Any,
    y: np.ndarray,
    x_test: Any = None,
    y_test: np.ndarray | None = None,
    *,
    source: str,
    val: Pair | None = None,
    task: Task = "classification",
    class_names: Sequence[str] = (),
    feature_names: Sequence[str] = (),
    columns: Sequence[Column] = (),
    notes: Sequence[str] = (),
    layout: Layout = "auto",
) -> Samples:
    """Return checked samples from arrays.

    Args:
        x: (n, features), pictures or sequences, or pictures that are streamed; see
            :func:`nas_sens.data._layout.inputs_from`.
        y: Labels (n,); see :func:`nas_sens.data._labels.labels_from`; for regression numbers (n,) or (n, 1).
        x_test: As ``x``, of the official test set.
        y_test: As ``y``, of the official test set.
        source: The data set's name, for error messages.
        val: As ``x`` and ``y``, of the official validation set.
        task: What is to be learnt.
        class_names: Name of every class, whose labels are their places then; empty if they have none.
        feature_names: Name of every feature; empty if they have none.
        columns: The columns of a table as they were understood.
        notes: What the user is to be told.
        layout: Order of the axes of inputs.

    Raises:
        InvalidInputError: Shapes, types, labels or values cannot be used.
    """
    if (x_test is None) != (y_test is None):
        raise InvalidInputError(f"{source}: test inputs and test labels must be given together")
    given = [part for part in (x, x_test, val[0] if val else None) if part is not None]
    inputs, more = inputs_from(x, f"{source}: x", layout, beside=given)
    notes = [*notes, *more]
    labels = _train_labels(y, len(x), class_names, f"{source}: y") if task == "classification" else None
    targets = labels.y if labels else targets_from(y, len(x), f"{source}: y")
    if len(torch.unique(targets)) < 2:
        what = "classes" if labels else "different targets"
        raise InvalidInputError(f"{source}: at least 2 {what} are required, given 1; check the labels")
    n_outputs = max(int(targets.max()) + 1, len(class_names)) if labels else 1
    held_out: dict[str, Any] = {}
    for part, pair in (("test", (x_test, y_test)), ("val", val)):
        if pair is None or pair[0] is None or pair[1] is None:
            continue
        x_part, _ = inputs_from(pair[0], f"{source}: x_{part}", layout, beside=given)
        if x_part.shape[1:] != inputs.shape[1:]:
            raise InvalidInputError(
                f"{source}: training and {'test' if part == 'test' else 'validation'} inputs must have the same shape; "
                f"given {tuple(inputs.shape[1:])} and {tuple(x_part.shape[1:])}"
            )
        what = f"{source}: y_{part}"
        y_part = (
            labels_like(pair[1], len(pair[0]), what, labels, n_outputs)
            if labels
            else targets_from(pair[1], len(pair[0]), what)
        )
        held_out |= {f"x_{part}": x_part, f"y_{part}": y_part}
    names = tuple(class_names) or (labels.names if labels else ())
    return Samples(
        x=inputs,
        y=targets,
        n_outputs=n_outputs,
        task=task,
        class_names=names,
        feature_names=tuple(feature_names),
        columns=tuple(columns),
        notes=(*notes, *(labels.notes if labels else ()), *spelling_notes(names)),
        **held_out,
    )


def spelling_notes(names: Sequence[str], what: str = "classes") -> list[str]:
    """Return a line on names that differ in blanks and capitals only, of which some are perhaps meant to be one."""
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(" ".join(str(name).casefold().split()), []).append(name)
    alike = [", ".join(map(repr, group)) for group in groups.values() if len(group) > 1]
    if not alike:
        return []
    more = f" and {len(alike) - 3} more" if len(alike) > 3 else ""
    return [f"different {what} that differ only in blanks or capitals: {'; '.join(alike[:3])}{more}; spell them alike"]


def _train_labels(y: np.ndarray, n: int, class_names: Sequence[str], what: str) -> Labels:
    if not class_names:
        return labels_from(y, n, what)
    return Labels(y=labels_like(y, n, what, Labels(y=torch.empty(0)), len(class_names)))
