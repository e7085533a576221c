"""Pages of the papers: what came out of their studies, and every figure, table, equation and experiment."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Mapping
from itertools import takewhile
from pathlib import Path

from keys_of_classes import cell
from measured import measured
from reference_pages import Pages

import nas_sens as ns

ROOT = Path(__file__).parents[2]
PAPERS = {  # folder of studies/ to what it is of
    "forouzesh2020": "Forouzesh et al.: Generalization Comparison of Deep Neural Networks via Output Sensitivity, 2020",
    "novak2018": "Novak et al.: Sensitivity and Generalization in Neural Networks: an Empirical Study, 2018",
    "fort2019": "Fort et al.: Stiffness: A New Perspective on Generalization in Neural Networks, 2019",
    "liao2019": "Liao et al.: A Surprising Linear Relationship Predicts Test Performance in Deep Networks, 2018",
}
VERDICTS = {  # first column of the table of a RESULTS.md, in this order, to the sign that pages have for it
    "agrees": "✓",
    "in part": "≈",
    "disagrees": "✗",
    "cannot tell": "?",
}
STATUSES = {  # of an experiment, as rows.csv has them, to what is meant
    "faithful": "by the paper's definition or protocol",
    "smaller": "by its protocol in kind, with fewer or smaller networks, less data or another data set",
    "differs": "by another protocol, in a way that may change the outcome",
    "missing": "not there",
    "nothing to measure": "a bound, a slip or a drawing",
}


def paper_pages() -> tuple[Pages, dict[str, Path]]:
    """Return a page a paper with its studies, figures and what came out, their list, and the figures' files.

    Raises:
        ValueError: A folder of studies has no title here.
    """
    folders = sorted(path.parent for path in (ROOT / "studies").glob("*/RESULTS.md"))
    if missing := {f.name for f in folders} ^ set(PAPERS):
        raise ValueError(
            f"PAPERS must name exactly the folders of studies/ with a RESULTS.md; look at {', '.join(missing)}"
        )
    text = (
        "# Papers\n\nExperiments of four papers, small enough for two cores; `nas-sens search forouzesh2020/fig2b` "
        "runs one, `--full` at the paper's size or near it. Each page says what came out, and what did not agree.\n\n"
    )
    links = "".join(f"- [{PAPERS[f.name]}]({f.name}/index.md)\n" for f in folders)
    with (ROOT / "studies" / "rows.csv").open(encoding="utf-8", newline="") as file:
        rows_of_papers = list(csv.DictReader(file))
    verdicts = {f.name: _verdicts(f / "RESULTS.md") for f in folders}
    signs = {name: f"{sign} {name}" for name, sign in VERDICTS.items()}
    counts = f"{_table_of_papers('what came out', signs, verdicts)}\n{_counts(rows_of_papers)}"
    items = "".join(_items(f.name, [row for row in rows_of_papers if row["paper"] == f.name]) for f in folders)
    pages: Pages = {"papers/index.md": f"{text}{links}\n{counts}{items}"}
    files: dict[str, Path] = {}
    for folder in folders:
        results = (folder / "RESULTS.md").read_text(encoding="utf-8")
        studies = [f"{folder.name}/{p.stem}" for p in sorted(folder.glob("*.toml")) if "[data]" in p.read_text("utf-8")]
        listed = _studies(studies)
        rows_at = f"[Every figure, table, equation and experiment](../index.md#{folder.name})"
        source = f"*{PAPERS[folder.name]}*. {rows_at} of it: what is done, and by which study."
        pages[f"papers/{folder.name}/index.md"] = f"{_with_signs(results)}\n{source}\n{listed}"
        files |= {f"papers/{folder.name}/{path.name}": path for path in folder.glob("*.svg")}
    return pages, files


def _studies(names: list[str]) -> str:
    """Return a table of studies: their commands, what they are of, and how large ``--full`` is.

    Raises:
        ValueError: What is said to have run has no full size, or a full size was not counted.
    """
    with (ROOT / "studies" / "full_runs.csv").open(encoding="utf-8", newline="") as file:
        ran = {row["study"]: row["ran"] for row in csv.DictReader(file)}
    counted = measured("full_sizes", "studies")
    full = {n for n in names if "\n[full" in (ROOT / "studies" / f"{n}.toml").read_text(encoding="utf-8")}
    if wrong := sorted((full ^ (counted.keys() & set(names))) | (ran.keys() & set(names)) - full):
        raise ValueError(f"studies/full_runs.csv, benchmarks/full_sizes.py: not as [full] is in {', '.join(wrong)}")
    sizes = {n: f"{counted[n]['gpu_hours']:g} h, {ran.get(n, 'not run')}" for n in full}
    lines = [f"| `nas-sens search {n}` | {cell(ns.load_study(n).description)} | {sizes.get(n, '')} |\n" for n in names]
    text = (
        "`--full` is counted in hours of one GPU at most, one training after the other, at "
        f"{measured('full_sizes', 'step_ms'):g} ms a step or {measured('full_sizes', 'tflops'):g} TFLOP/s "
        "(`benchmarks/full_sizes.py`)."
    )
    return f"\n## Its studies\n\n{text}\n\n| command | | `--full` |\n|---|---|---|\n{''.join(lines)}"


def _counts(rows: list[dict[str, str]]) -> str:
    """Return how many figures, tables, equations and experiments of each paper have which status.

    Raises:
        ValueError: A row has another status, paper or study than there are.
    """
    for row in rows:
        if row["status"] not in STATUSES or row["paper"] not in PAPERS:
            raise ValueError(f"studies/rows.csv: a status of {', '.join(STATUSES)} and a paper are needed; given {row}")
        if row["study"] and not (ROOT / "studies" / f"{row['study']}.toml").is_file():
            raise ValueError(f"studies/rows.csv: there is no study {row['study']}")
    found = {paper: Counter(row["status"] for row in rows if row["paper"] == paper) for paper in PAPERS}
    labels = {status: f"**{status}**: {meaning}" for status, meaning in STATUSES.items()}
    table = _table_of_papers("what is done", labels, found)
    return f"## Every figure, table, equation and experiment\n\n{table}"


def _verdicts(path: Path) -> Counter[str]:
    """Return how many rows of the table of results have which verdict.

    Raises:
        ValueError: A row has none, or they are not sorted by it.
    """
    lines = path.read_text(encoding="utf-8").splitlines()
    first = next((i for i, line in enumerate(lines) if line.startswith("| verdict |")), len(lines)) + 2
    rows = [line.split("|")[1].strip(" *") for line in takewhile(lambda line: line.startswith("|"), lines[first:])]
    if not rows or not set(rows) <= VERDICTS.keys() or rows != sorted(rows, key=list(VERDICTS).index):
        raise ValueError(
            f"{path.parent.name}/{path.name}: the table of results needs a first column verdict with "
            f"{', '.join(VERDICTS)}, sorted so; it has {rows}"
        )
    return Counter(rows)


def _table_of_papers(title: str, labels: Mapping[str, str], found: Mapping[str, Counter[str]]) -> str:
    """Return a table with a column a paper that counts what has which name, under the names' labels."""
    lines = [f"| {label} |" + "".join(f" {found[paper][name]} |" for paper in PAPERS) for name, label in labels.items()]
    head = "".join(f" {paper} |" for paper in PAPERS)
    return "\n".join([f"| {title} |{head}", "|---|" + "---|" * len(PAPERS), *lines]) + "\n"


def _with_signs(results: str) -> str:
    """Return a text of results whose verdicts can be told apart from afar."""
    for name, sign in VERDICTS.items():
        mark = f'<span class="verdict {name.replace(" ", "-")}">{sign} {name}</span>'
        results = results.replace(f"\n| {name} |", f"\n| {mark} |")
    return results


def _items(paper: str, rows: list[dict[str, str]]) -> str:
    lines = [
        f"| {cell(r['item'])} | {r['status']} | {r['study'].removeprefix(f'{paper}/')} | {cell(r['remark'])} |"
        for r in rows
    ]
    return f"\n## {paper}\n\n| of the paper | here | study | |\n|---|---|---|---|\n" + "\n".join(lines) + "\n"
