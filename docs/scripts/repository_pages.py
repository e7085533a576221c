"""Pages of what lies elsewhere in the repository: decisions, notebooks."""

from __future__ import annotations

from pathlib import Path

import nbformat
from reference_pages import Pages

ROOT = Path(__file__).parents[2]


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
