"""The section of the page with the best network's confusion matrix and what it is most certain of and wrong."""

from __future__ import annotations

from typing import Any

from ..core.mistakes import Mistakes
from .numbers_as_text import count, percent
from .part_of_page import part_of_page

_MOST_NUMBERED = 20  # classes of a matrix whose numbers can be read
_DEEPEST = 0.45  # opacity of a colour under a number that must be read


def mistakes_section(mistakes: Mistakes | str) -> str:
    """Return the section as HTML; "" if there is nothing to say.

    Args:
        mistakes: What the best network takes for what, or why nobody knows.
    """
    if mistakes == "":
        return ""
    told = {"missing": mistakes} if isinstance(mistakes, str) else _told(mistakes)
    return part_of_page("mistakes.html.j2", mistakes=told)


def _told(mistakes: Mistakes) -> dict[str, Any]:
    names = [mistakes.name_of(i) for i in range(len(mistakes.confusion))]
    rows = []
    for i, row in enumerate(mistakes.confusion):
        total = max(1, sum(row))
        cells = [
            {
                "text": count(n) if n and len(names) <= _MOST_NUMBERED else "",
                "title": f"{count(n)} of class {names[i]} taken for {names[j]}",
                "is_right": i == j,
                "depth": round(_DEEPEST * (n / total) ** 0.5, 3),
            }
            for j, n in enumerate(row)
        ]
        rows.append({"name": names[i], "cells": cells, "n": count(sum(row)), "share": percent(row[i] / total)})
    return {
        "missing": "",
        "names": names,
        "rows": rows,
        "n_inputs": count(mistakes.n_inputs),
        "n_wrong": count(mistakes.n_wrong),
        "shown": [
            {
                "picture": m.picture,
                "row": count(m.row),
                "true": mistakes.name_of(m.true),
                "taken_for": mistakes.name_of(m.taken_for),
                "certainty": f"{100 * m.certainty:.1f} %",
            }
            for m in mistakes.most_certain
        ],
    }
