"""Parts, groups and weights of samples that the user gives: columns of a table, or of a file beside pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..core.csv_reader import read_csv
from ..core.declarations import nearest
from ..core.errors import InvalidInputError
from ._folder_tree import listed, shown
from .part_names import PARTS, parts_of
from .samples import LoadOptions

if TYPE_CHECKING:
    import pandas as pd

FILE, PART = "file", "part"  # columns of a file beside pictures


@dataclass(frozen=True, eq=False)
class Given:
    """What is given of rows, in their order.

    Attributes:
        rows: Part to the numbers of its rows, "train" first; None where the parts are drawn.
        groups: Which group each row is in, int64 (n,); None where every row stands for itself.
        weights: How much each counts in training, float64 (n,); None for all alike.
    """

    rows: dict[str, np.ndarray] | None = None
    groups: np.ndarray | None = None
    weights: np.ndarray | None = None

    def of_train(self, n: int) -> tuple[np.ndarray | None, np.ndarray | None]:
        """Return groups and weights of the training part's rows, of ``n`` rows in all."""
        train = np.arange(n) if self.rows is None else self.rows["train"]
        return tuple(None if v is None else v[train] for v in (self.groups, self.weights))  # type: ignore[return-value]


def given_in(frame: pd.DataFrame, part: str | None, options: LoadOptions, source: str) -> Given:
    """Return what columns say of their rows.

    Args:
        frame: A row for each sample.
        part: The column with the parts; None for no such column.
        options: The columns with groups and weights.
        source: What the table is called in messages.

    Raises:
        InvalidInputError: There is no such column, or what it holds makes no sense.
    """
    for key, column in (("split", part), ("group", options.group), ("weight", options.weight)):
        if column is not None and column not in frame.columns:
            raise InvalidInputError(f"{source}: {key} in [data] must name a column; given {column!r}; "
                                    f"{nearest(column, frame.columns)}")  # fmt: skip
        if column is not None and frame[column].isna().any():
            raise InvalidInputError(
                f"{source}: the column {column!r} must have a value in every row, but "
                f"{int(frame[column].isna().sum())} are empty; fill them in"
            )
    rows = None if part is None else _parts(frame[part].astype(str).str.strip(), part, source)
    groups = None if options.group is None else frame[options.group].astype(str).to_numpy()
    if rows is not None and groups is not None:
        _check_apart(rows, groups, source)
    return Given(
        rows=rows,
        groups=None if groups is None else np.unique(groups, return_inverse=True)[1].reshape(-1),
        weights=None if options.weight is None else _weights(frame[options.weight], options.weight, source),
    )


def given_of_files(names: Sequence[str], options: LoadOptions, source: str) -> tuple[np.ndarray, Given, list[str]]:
    """Return which pictures the file ``[data] split`` names, what it says of them, and what the user is told.

    Args:
        names: Paths of all pictures from their folder.
        options: The file, and its columns with groups and weights.
        source: The data set's name, for messages.

    Raises:
        InvalidInputError: The file cannot be read, names pictures that are not there, or some twice.
    """
    import pandas as pd

    assert options.split is not None
    what = f"split {shown(options.split)}"
    frame = read_csv(options.split, source=what, dtype=str, keep_default_na=False, na_values=[""])
    frame.columns = [str(c).strip() for c in frame.columns]
    if FILE not in frame.columns:
        raise InvalidInputError(
            f"{what}: the column {FILE!r} is required, with paths from the folder of the pictures; given "
            f"{listed(frame.columns)}"
        )
    if PART not in frame.columns and options.group is None and options.weight is None:
        raise InvalidInputError(
            f"{what}: the column {PART!r} is required, with {listed(PARTS)}, unless group or weight in [data] name "
            "others"
        )
    files = frame[FILE].fillna("").str.strip().str.replace("\\", "/", regex=False).str.removeprefix("./")
    places = pd.Series(np.arange(len(names)), index=[name.replace("\\", "/") for name in names])
    if len(lost := files[~files.isin(places.index)]):
        raise InvalidInputError(
            f"{what}: {len(lost):,} of its {len(files):,} files are not in {source}, such as "
            f"{shown(str(lost.iloc[0]))}; paths must be as from that folder"
        )
    if files.duplicated().any():
        raise InvalidInputError(
            f"{what}: names {shown(files[files.duplicated()].iloc[0])} more than once; keep one row"
        )
    order = np.argsort(places[files].to_numpy())
    given = given_in(frame.iloc[order].reset_index(drop=True), PART if PART in frame.columns else None, options, what)
    left = len(names) - len(files)
    notes = [f"{left:,} pictures left out, as {shown(options.split)} does not name them"] if left else []
    return places[files].to_numpy()[order], given, notes


def _parts(values: pd.Series, column: str, source: str) -> dict[str, np.ndarray]:
    found = parts_of(values.unique())
    if unknown := [v for v in values.unique() if v not in found]:
        raise InvalidInputError(
            f"{source}: the column {column!r} must hold {listed(PARTS, 'or')}; given {listed(unknown)}; drop such rows "
            "or name their part"
        )
    parts = values.map(found).to_numpy()
    rows = {part: np.flatnonzero(parts == part) for part in PARTS if part in parts}
    if "train" not in rows:
        raise InvalidInputError(f"{source}: the column {column!r} names no row for training; given {listed(rows)}")
    return rows


def _check_apart(rows: dict[str, np.ndarray], groups: np.ndarray, source: str) -> None:
    seen: dict[str, str] = {}
    for part, members in rows.items():
        for group in np.unique(groups[members]).tolist():
            if group in seen:
                raise InvalidInputError(
                    f"{source}: the group {shown(group)} lies in {seen[group]} and in {part}; put all its rows into "
                    "one part"
                )
            seen[group] = part


def _weights(column: pd.Series, name: str, source: str) -> np.ndarray:
    import pandas as pd

    values = pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64)
    if (wrong := ~(np.isfinite(values) & (values >= 0))).any():
        raise InvalidInputError(
            f"{source}: the column {name!r} must hold weights, finite numbers from 0; given "
            f"{shown(str(column[wrong].iloc[0]))}"
        )
    if not values.any():
        raise InvalidInputError(f"{source}: the weights in the column {name!r} are all 0; some must be above it")
    return values
