"""CSV files of benchmarks, read and written row by row."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ACCURACY = "cifar10_test_accuracy_percent"  # of the cells of NAS-Bench-201, beside their column "arch"


def read_rows(path: Path) -> list[dict[str, str]]:
    """Return the rows of a file, which may be compressed; none if there is no such file."""
    if not path.exists():
        return []
    with (gzip.open if path.suffix == ".gz" else open)(path, "rt", newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def append_row(path: Path, row: Mapping[str, Any], columns: list[str] | None = None) -> None:
    """Append a row with floats of six digits; a new file gets a line of columns before it."""
    is_new = not path.exists()
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns or list(row))
        if is_new:
            writer.writeheader()
        writer.writerow({k: f"{v:.6g}" if isinstance(v, float) else v for k, v in row.items()})


def accuracies(rows: list[dict[str, str]]) -> dict[str, float]:
    """Return the accuracy of every cell, by its string."""
    return {row["arch"]: float(row[ACCURACY]) for row in rows}
