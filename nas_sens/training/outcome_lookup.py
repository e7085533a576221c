"""Outcomes that are looked up instead of trained: ``[train] table``."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..architectures import ArchitectureSpec
from ..architectures.tables import identity_of, key_of, number_in, read_rows
from ..core.candidates import TrainedCandidate
from ..core.declarations import nearest
from ..core.errors import InvalidInputError
from ..core.figures import FIGURES, OUTCOMES, sd_name
from ..core.identity import digest

COLUMNS = (*(f.name for f in FIGURES if f.may_be_looked_up), *map(sd_name, OUTCOMES), "n_seeds")


@dataclass(frozen=True)
class TrainingTable:
    """Figures of trained architectures.

    Attributes:
        path: Where they come from.
        fingerprint: Digest of all that is used of the file.
        rows: Digest of an architecture, or of the name that its family has for it, to the figures that are known.
    """

    path: str
    fingerprint: str
    rows: Mapping[str, Mapping[str, float]]

    def find(self, architecture: ArchitectureSpec) -> Mapping[str, float] | None:
        """Return the figures of an architecture; None if the table lacks it."""
        names = (architecture.digest, *map(digest, architecture.known_as))
        return next((self.rows[name] for name in names if name in self.rows), None)


def read_training_table(path: str | Path, *, required: Sequence[str] = ()) -> TrainingTable:
    """Return the table in a CSV file with a header line, plain or compressed (``.gz``).

    Architectures stand in a column ``architecture`` as canonical JSON, or in a column ``arch`` under the name that
    their family has for them: the benchmark's own strings for cells of NAS-Bench-201. Of the other columns those with
    names of figures of a trained candidate are read: ``val_loss``, ``test_error_sd``, ``n_seeds``, …. An empty cell is
    a figure that is not known; ``inf`` says that the training failed.

    Args:
        path: The file.
        required: Figures that every row must have.

    Raises:
        InvalidInputError: The file cannot be read, lacks a required figure, names an architecture twice or one that is
            no architecture, or a figure is no number.
    """
    header, lines = read_rows(Path(path))
    key = key_of(header)
    for column in (key, *required):
        if column not in header:
            raise InvalidInputError(f"{path}: a column {column!r} is required; {nearest(column, header)}")
    rows: dict[str, dict[str, float]] = {}
    for line, row in lines:
        where = f"{path}, line {line}"
        name, _ = identity_of(row, key, where)
        if name in rows:
            raise InvalidInputError(f"{where}: {row[key]!r} is there already; an architecture must have one row")
        numbers = {c: number_in(row[c], c, where) for c in COLUMNS if c in header}
        rows[name] = {c: v for c, v in numbers.items() if not math.isnan(v)}
        for column in required:
            if rows[name].get(column, -math.inf) == -math.inf:
                raise InvalidInputError(
                    f"{where}: {column} must be a number, or inf if the training failed; given {row[column]!r}"
                )
    content = {name: {c: str(v) for c, v in figures.items()} for name, figures in rows.items()}
    return TrainingTable(str(path), digest(content), rows)


def with_figures(record: TrainedCandidate, figures: Mapping[str, float]) -> TrainedCandidate:
    """Return the record with the figures of a table; failed if one of them is infinite."""
    values: dict[str, Any] = {k: v for k, v in figures.items() if k != "n_seeds"}
    values["n_seeds"] = int(figures.get("n_seeds", 1))
    if infinite := [k for k, v in figures.items() if not math.isfinite(v)]:
        status = f"failed in the table: {', '.join(sorted(infinite))} not finite"
        return replace(record, n_seeds=values["n_seeds"], status=status)
    if {"test_error", "train_error"} <= values.keys():
        values["generalization_gap"] = values["test_error"] - values["train_error"]
    return replace(record, **values)
