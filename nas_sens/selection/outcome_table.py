"""Tables of architectures with known outcomes, so that selection can be tried out without training anything."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..architectures import load_spec
from ..architectures.tables import identity_of, key_of, number_in, read_rows
from ..core.declarations import nearest
from ..core.errors import InvalidInputError
from .candidates import Candidate
from .features import choices_of

_MOST_KINDS = 32  # words in a column that choices may be of; more are texts of their own
_MOST_PLACES = 64  # in a name that is a code
_MOST_SIGNS = 8  # at one place, where places are single characters: numbers and digests have more

_AFTER_TRAINING = re.compile(r"((train|val|test)_(loss|error|accuracy)(_sd)?|n_seeds|.*_after)")


@dataclass(frozen=True, kw_only=True)
class OutcomeTable:
    """Architectures with features and a known outcome.

    Attributes:
        key: The column that names the architectures.
        outcome: The column of the outcome.
        candidates: The architectures in the order of the table, with their features.
        outcomes: Digest to outcome; smaller is better, infinite if the training failed.
        names: Digest to what the key column says.
    """

    key: str
    outcome: str
    candidates: tuple[Candidate, ...]
    outcomes: Mapping[str, float]
    names: Mapping[str, str]


def read_outcome_table(
    path: str | Path,
    *,
    outcome: str = "val_error",
    key: str | None = None,
    features: Sequence[str] | None = None,
) -> OutcomeTable:
    """Return the table in a CSV file with a header line, plain or compressed (``.gz``).

    In a column ``architecture`` stand specs as canonical JSON: the digest is then that of the architecture, and the
    family its own, so that candidates of a study find their outcomes here. Any other key is a name of its own, its
    digest that of the text; the family is then that of a column ``family``, if there is one. An empty cell of a
    feature is a missing value.

    What was chosen in the search space is read from the specs; elsewhere from the names, where these are codes of
    equal length, such as ``0123`` or ``conv|skip|conv``, every place of which is a choice. A column of at most 32
    different words is a choice as well.

    Args:
        path: The file.
        outcome: The column of the outcome; smaller is better, ``inf`` for a training that failed.
        key: The column that names the architectures; None for ``architecture`` or else ``arch``.
        features: The columns of the features; None for all others that hold numbers and nothing else, but those of
            figures that only training can tell (``val_loss``, ``test_error_sd``, …).

    Raises:
        InvalidInputError: The file cannot be read, is empty, lacks a column, names an architecture twice or one that is
            no architecture, or holds a cell that is no number where one must be.
    """
    header, rows = read_rows(Path(path))
    key = key_of(header) if key is None else key
    for column in (key, outcome, *(features or ())):
        if column not in header:
            raise InvalidInputError(f"{path}: a column {column!r} is required; {nearest(column, header)}")
    others = [c for c in header if c not in (key, outcome, "family") and not _AFTER_TRAINING.fullmatch(c)]
    chosen = [c for c in others if _is_numeric(rows, c)] if features is None else list(features)
    words = [c for c in others if c not in chosen and _is_choice(rows, c)] if features is None else []
    codes = _choices_of_names([row[key] for _, row in rows], key) if key != "architecture" else {}
    candidates, outcomes, names = [], {}, {}
    for line, row in rows:
        where = f"{path}, line {line}"
        identity, family = identity_of(row, key, where)
        if identity in names:
            raise InvalidInputError(f"{where}: {row[key]!r} is there already; an architecture must have one row")
        value = number_in(row[outcome], outcome, where)
        if math.isnan(value) or value == -math.inf:
            raise InvalidInputError(f"{where}: {outcome} must be a number, or inf if it failed; given {row[outcome]!r}")
        numbers = {c: number_in(row[c], c, where) for c in chosen}
        chosen_in_row = {c: row[c] for c in words if row[c].strip()}
        of_name = (
            codes[row[key]] if key != "architecture" else choices_of(load_spec(json.loads(row[key])).to_dict(), {})
        )
        candidates.append(Candidate(identity, numbers, family, {**of_name, **chosen_in_row}))
        outcomes[identity], names[identity] = value, row[key]
    return OutcomeTable(key=key, outcome=outcome, candidates=tuple(candidates), outcomes=outcomes, names=names)


def _is_numeric(rows: Sequence[tuple[int, Mapping[str, str]]], column: str) -> bool:
    """Return whether all cells of a column are numbers or empty, and some are numbers."""
    cells = [row[column] for _, row in rows if row[column].strip()]
    try:
        return bool([float(cell) for cell in cells])
    except ValueError:
        return False


def _is_choice(rows: Sequence[tuple[int, Mapping[str, str]]], column: str) -> bool:
    """Return whether the cells of a column are a few different words."""
    return len({row[column] for _, row in rows}) <= min(_MOST_KINDS, len(rows) // 2)


def _choices_of_names(names: Sequence[str], key: str) -> dict[str, dict[str, str]]:
    """Return what every architecture's name says of the choices that made it; nothing if it is no code."""
    by_words = [re.findall(r"[\w.]+", name) for name in names]
    for places, most in ((by_words, _MOST_KINDS), ([list(name) for name in names], _MOST_SIGNS)):
        n, fewest = max(map(len, places)), min(map(len, places))
        if n == fewest and 2 <= n <= _MOST_PLACES:
            kinds = [{tokens[i] for tokens in places} for i in range(n)]
            if all(len(words) <= min(most, len(names) // 2) for words in kinds):
                found = ({f"{key}.{i}": word for i, word in enumerate(tokens)} for tokens in places)
                return dict(zip(names, found, strict=True))
    return {name: {} for name in names}
