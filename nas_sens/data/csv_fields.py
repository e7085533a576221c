"""Lines of a CSV file as fields."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Sequence

SEPARATORS = ",;\t|"
NUMBER = re.compile(r"[+-]?(\d+([.,]\d*)*|[.,]\d+)([eE][+-]?\d+)?")


def fields_of(line: str, sep: str) -> list[str]:
    """Return the fields of a line, without blanks around them."""
    if sep == r"\s+":
        return [f[1:-1] if f[:1] == f[-1:] == '"' and len(f) > 1 else f for f in re.findall(r'"[^"]*"|\S+', line)]
    if len(sep) > 1:
        return [f.strip() for f in line.split(sep)]
    try:
        return [f.strip() for f in next(csv.reader([line], delimiter=sep[0], skipinitialspace=True), [])]
    except csv.Error:
        return [f.strip() for f in line.split(sep)]


def rows_of(body: Sequence[str], sep: str) -> list[list[str]]:
    """Return the fields of lines, of which a quotation may hold several."""
    if len(sep) > 1:
        return [fields_of(line, sep) for line in body]
    try:
        found = [[f.strip() for f in row] for row in
                 csv.reader([f"{line}\n" for line in body], delimiter=sep, skipinitialspace=True) if row]  # fmt: skip
    except csv.Error:  # a field beyond the limit
        return [fields_of(line, sep) for line in body]
    return found or [fields_of(body[0], sep)]


def whole_records(body: Sequence[str]) -> list[str]:
    """Return lines, without the last ones if a quotation begins there that ends below."""
    body = list(body)
    while len(body) > 1 and sum(line.count('"') for line in body) % 2:
        body.pop()
    return body


def told_apart(names: Sequence[str]) -> list[str]:
    """Return the names as pandas would make them: none empty, none twice."""
    filled = [name or f"Unnamed: {i}" for i, name in enumerate(names)]
    seen: Counter[str] = Counter()
    apart = []
    for name in filled:
        apart.append(f"{name}.{seen[name]}" if seen[name] else name)
        seen[name] += 1
    return apart
