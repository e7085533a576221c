"""What MkDocs calls while it builds the site: pages that follow from the code join those that are written."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import concept_figures
import measured_figures
import paper_pages
import reference_pages
import repository_pages
import study_pages
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

_made: dict[str, str | bytes | Path] = {}  # path in the site to contents, or to a file that has them


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Make the pages, and put them where the navigation has a placeholder such as ``papers/*``.

    Returns:
        The settings with that navigation.
    """
    papers, figures = paper_pages.paper_pages()
    decisions, decided = repository_pages.decision_pages()
    notebooks, pictures = repository_pages.notebook_pages()
    families, data = reference_pages.family_pages(), reference_pages.data_pages()
    sections = {
        "Study's file": study_pages.key_pages(),
        "Commands": study_pages.command_pages(),
        "Metrics": reference_pages.metric_pages(),
        "Families": families,
        "Data": data,
        "More": reference_pages.named_pages(),
        "Python": study_pages.python_pages(),
    }
    index = "# Reference\n\nMade from the code when the site is built.\n\n" + "".join(
        f"- [{title}]({next(iter(pages)).removeprefix('reference/')})\n" for title, pages in sections.items()
    )
    _made.clear()
    _made.update({"reference/index.md": index, **papers, **figures, **decisions, **notebooks, **pictures})
    for pages in sections.values():
        _made.update(pages)
    _made.update(measured_figures.figures())
    _made.update(concept_figures.figures())
    contents: dict[str, Any] = {
        "papers/*": list(papers),
        "decisions/*": [*decisions, *decided],
        "notebooks/*": list(notebooks),
        "reference/*": ["reference/index.md", *({title: list(pages)} for title, pages in sections.items())],
    }
    config.nav = _filled(config.nav, contents)
    if "MIKE_DOCS_VERSION" in os.environ:  # mike builds: readers choose among versions, whose list lies beside the site
        config.extra["version"] = {"provider": "mike"}
    return config


def _filled(nav: Any, contents: dict[str, Any]) -> Any:
    if isinstance(nav, list):
        return [_filled(item, contents) for item in nav]
    if isinstance(nav, dict):
        return {title: _filled(item, contents) for title, item in nav.items()}
    return contents.get(nav, nav)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Return the files of the site, with what was made."""
    for uri, content in _made.items():
        if isinstance(content, Path):
            files.append(File.generated(config, uri, abs_src_path=str(content)))
        else:
            files.append(File.generated(config, uri, content=content))
    return files
