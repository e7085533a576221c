"""Results of papers: verdicts at a glance, intervals that are counted, rows whose studies are there."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest

from tests.docs.blocks import ROOT

PAGES = sorted((ROOT / "studies").glob("*/RESULTS.md"))
ORDER = ["agrees", "in part", "disagrees", "cannot tell"]
INTERVAL = re.compile(r"\(−?[\d.]+\s+to\s+−?[\d.]+\)")


def table(text: str) -> list[list[str]]:
    """Return the cells of the rows of the table of results."""
    lines = text[text.index("| verdict |") :].split("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.parent.name)
def test_every_row_has_a_verdict_and_they_are_sorted_by_it(page: Path) -> None:
    rows = table(page.read_text(encoding="utf-8"))
    verdicts = [row[0] for row in rows]
    assert verdicts == sorted(verdicts, key=ORDER.index)
    assert all(len(row) == len(rows[0]) and all(row[:4]) for row in rows)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.parent.name)
def test_the_number_of_intervals_is_said_and_right(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    given = len(INTERVAL.findall(text))
    said = re.findall(r"(\d+) intervals", text)
    assert said == ([str(given)] if given else [])


def test_all_rows_of_the_papers_are_there_and_their_studies_too() -> None:
    with (ROOT / "studies" / "rows.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len({(row["paper"], row["item"]) for row in rows}) == len(rows) == 106
    assert all((ROOT / "studies" / f"{row['study']}.toml").is_file() for row in rows if row["study"])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.parent.name)
def test_every_study_of_a_paper_is_in_its_results_or_rows(page: Path) -> None:
    rows = (ROOT / "studies" / "rows.csv").read_text(encoding="utf-8")
    text = page.read_text(encoding="utf-8")
    for study in page.parent.glob("*.toml"):
        number = re.sub(r"^fig(\d+)([a-z]?)$", r"(figure|figs|fig)\\.? ?\1\2", study.stem)
        assert f"{page.parent.name}/{study.stem}" in rows or study.stem in text or re.search(number, text), study.stem
