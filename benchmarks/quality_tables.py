"""The tables of search_quality.py: networks whose trainings were done once, with what is known before training.

Published ones are whole spaces (NAS-Bench-Macro, TransNAS-Bench-101 micro) or a part of one (NAS-Bench-201): a search
may come to any of their architectures. Those of trained_tables.py and optuna_tasks.py are samples of a space.
"""

from __future__ import annotations

import csv
import gzip
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import harness
import numpy as np

from nas_sens.selection import Candidate
from nas_sens.selection.features import choices_of
from nas_sens.selection.outcome_table import read_outcome_table

TRANSNAS = {"class_scene": -1.0, "segmentsemantic": -1.0, "autoencoder": -1.0}  # larger is better in all three
FIGURES = {"nasbench201": ("cifar10_test_accuracy_percent", -1.0), "macro": ("mean_acc", -1.0)}


@dataclass(frozen=True)
class Table:
    """Architectures with known outcomes.

    Attributes:
        name: Of the table.
        candidates: With features, families and choices.
        losses: Outcome of each, smaller being better, shape (n,).
        is_whole: Whether every architecture of the space is there.
        early: Outcome of each after a quarter of the epochs, shape (n,); None where it is not known.
    """

    name: str
    candidates: tuple[Candidate, ...]
    losses: np.ndarray
    is_whole: bool
    early: np.ndarray | None = None

    @cached_property
    def is_alive(self) -> np.ndarray:
        """Whether noise moves the outputs of each untrained network, so that a study would train it, shape (n,)."""
        return np.array([np.isfinite(c.features.get("log10_sensitivity", np.nan)) for c in self.candidates])

    @property
    def names(self) -> list[str]:
        """Names of the features that are there."""
        return sorted({name for c in self.candidates for name in c.features})


@dataclass(frozen=True)
class World:
    """One repeat: a table, the pool of a search, and what decides.

    Attributes:
        table: The table.
        pool: Numbers of the candidates that the search begins with.
        seed: Of the repeat.
    """

    table: Table
    pool: np.ndarray
    seed: int

    @property
    def alive(self) -> list[int]:
        """Numbers of those of the pool that a study would train."""
        return self.pool[self.table.is_alive[self.pool]].tolist()

    @property
    def reach(self) -> np.ndarray:
        """Numbers of all candidates that a search may come to."""
        return np.arange(len(self.table.losses)) if self.table.is_whole else self.pool


def trained_tables() -> list[Table]:
    """Return the tables that trained_tables.py wrote: validation error, or loss of a regression."""
    found = []
    for path in sorted(harness.RESULTS.glob("trained_*.csv")):
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        outcome = "val_error" if any(row["val_error"] for row in rows) else "val_loss"  # of a regression
        # By digests, since an architecture may have been trained in several ways.
        table = read_outcome_table(path, outcome=outcome, key="digest")
        candidates = [_as_in_a_study(c, row) for c, row in zip(table.candidates, rows, strict=True)]
        losses = np.array([table.outcomes[c.digest] for c in candidates])
        quarter = [row[f"{outcome}_quarter_after"] for row in rows]
        early = np.array([float(v) for v in quarter]) if all(quarter) else None
        found.append(Table(path.stem.removeprefix("trained_"), tuple(candidates), losses, False, early))
    return found


def _as_in_a_study(candidate: Candidate, row: Mapping[str, str]) -> Candidate:
    """Return a candidate with its choices, and the features that a study has whose declaration names no measures."""
    spec = json.loads(row["architecture"])
    features = {k: v for k, v in candidate.features.items() if k not in ("near", "zen")}
    return replace(candidate, features=features, family=spec["family"], choices=choices_of(spec, _training(row)))


def _training(row: Mapping[str, str]) -> dict[str, Any]:
    return {k.removeprefix("training_"): float(v) for k, v in row.items() if k.startswith("training_") and v}


def published_table(name: str, outcomes: Path, scores: Path, figure: str, sign: float) -> Table:
    """Return a published benchmark's architectures with their scores.

    Args:
        name: Of the table.
        outcomes: CSV with ``arch`` and figures, compressed.
        scores: CSV of cell_scores.py; architectures that it lacks are left out.
        figure: The column that decides.
        sign: What it is multiplied with, so that smaller is better.
    """
    with gzip.open(outcomes, "rt", encoding="utf-8") as file:
        known = {row["arch"]: sign * float(row[figure]) for row in csv.DictReader(file)}
    with gzip.open(scores, "rt", encoding="utf-8") if scores.suffix == ".gz" else scores.open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["arch"] in known]
    candidates = tuple(Candidate(row["arch"], _features(row), "cell", _choices(row["arch"])) for row in rows)
    is_whole = len(rows) == len(known) and name != "nasbench201"
    return Table(name, candidates, np.array([known[row["arch"]] for row in rows]), is_whole)


def _features(row: Mapping[str, str]) -> dict[str, float]:
    return {k: float(v) if v else math.nan for k, v in row.items() if k != "arch"}


def _choices(arch: str) -> dict[str, Any]:
    """Return the operation on each edge, or the digit at each place."""
    if "|" not in arch:
        return {f"op_{i}": digit for i, digit in enumerate(arch)}
    operations = [edge.split("~")[0] for node in arch.split("+") for edge in node.strip("|").split("|")]
    return {f"op_{i}": operation for i, operation in enumerate(operations)}


def tables(nasbench201: Path | None, macro: Path | None, transnas: Path | None) -> list[Table]:
    """Return all tables that there are files for."""
    found = trained_tables()
    for name, outcomes in (("nasbench201", nasbench201), ("macro", macro)):
        scores = _scores(name)
        if outcomes is not None and scores is not None:
            found.append(published_table(name, outcomes, scores, *FIGURES[name]))
    scores = _scores("transnas")
    if transnas is not None and scores is not None:
        found += [published_table(f"transnas_{t}", transnas, scores, t, s) for t, s in TRANSNAS.items()]
    return found


def _scores(name: str) -> Path | None:
    paths = [harness.RESULTS / f"{name}_cell_scores.csv{end}" for end in ("", ".gz")]
    return next((path for path in paths if path.exists()), None)
