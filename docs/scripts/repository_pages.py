"""Pages of what lies elsewhere in the repository: results of papers' studies, decisions, notebooks."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Mapping
from itertools import takewhile
from pathlib import Path

import nbformat
from keys_of_classes import cell
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
        rows = "".join(f"| `nas-sens search {s}` | {cell(ns.load_study(s).description)} |\n" for s in studies)
        listed = f"\n## Its studies\n\n| command | |\n|---|---|\n{rows}"
        rows_at = f"[Every figure, table, equation and experiment](../index.md#{folder.name})"
        source = f"*{PAPERS[folder.name]}*. {rows_at} of it: what is done, and by which study."
        pages[f"papers/{folder.name}/index.md"] = f"{_with_signs(results)}\n{source}\n{listed}"
        files |= {f"papers/{folder.name}/{path.name}": path for path in folder.glob("*.svg")}
    return pages, files


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


def decision_pages() -> tuple[Pages, list[str]]:
    """Return the list of decisions, and the paths of their pages, which lie in ``docs/``."""
    paths = sorted((ROOT / "docs" / "decisions").glob("*.md"))
    titles = [path.read_text(encoding="utf-8").partition("\n")[0].lstrip("# ") for path in paths]
    links = "".join(f"- [{t.replace('. ', ' · ', 1)}]({p.name})\n" for t, p in zip(titles, paths, strict=True))
    text = "# Decisions\n\nWhy things are as they are, and what was tried and not taken.\n\n"
    return {"decisions/index.md": text + links}, [f"decisions/{path.name}" for path in paths]


def notebook_pages() -> tuple[Pages, dict[str, bytes]]:
    """Return a page a notebook of ``examples/notebooks``, their list, and their pictures."""
    pages: Pages = {"notebooks/index.md": ""}
    pictures: dict[str, bytes] = {}
    links = ""
    for path in sorted((ROOT / "examples" / "notebooks").glob("*.ipynb")):
        notebook = nbformat.read(path, as_version=4)
        parts = []
        for cell_ in notebook.cells:
            parts.append(cell_.source if cell_.cell_type == "markdown" else f"```python\n{cell_.source}\n```")
            parts += [f"```text\n{text}\n```" for text in _texts(cell_) if text]
            for index, svg in enumerate(_svgs(cell_)):
                name = f"{path.stem}_{len(pictures)}_{index}.svg"
                pictures[f"notebooks/{name}"] = svg.encode()
                parts.append(f"![Output]({name})")
        title = parts[0].partition("\n")[0].lstrip("# ")
        links += f"- [{title}]({path.stem}.md): `examples/notebooks/{path.name}`\n"
        pages[f"notebooks/{path.stem}.md"] = "\n\n".join(parts) + "\n"
    text = "# Notebooks\n\nThe notebooks of `examples/notebooks`, as tests run them.\n\n"
    pages["notebooks/index.md"] = text + links
    return pages, pictures


def _texts(cell_: nbformat.NotebookNode) -> list[str]:
    outputs = cell_.get("outputs", [])
    streams = [o.text.rstrip() for o in outputs if o.output_type == "stream" and o.name == "stdout"]
    values = [o.data for o in outputs if o.output_type in ("execute_result", "display_data")]
    return [*streams, *(d["text/plain"] for d in values if "text/plain" in d and "image/svg+xml" not in d)]


def _svgs(cell_: nbformat.NotebookNode) -> list[str]:
    outputs = [o.data for o in cell_.get("outputs", []) if "data" in o]
    return ["".join(d["image/svg+xml"]) for d in outputs if "image/svg+xml" in d]
