"""The front page of a study in the dashboard: its answer, its best networks and where to look next, in Markdown."""

from __future__ import annotations

from ..core.text import markdown_code, markdown_text
from ..report.answer import Answer, answer
from ..report.outcomes import in_order
from ..report.shown_figures import shown_figures
from ..report.tables import winner_rows
from ..results.search_result import SearchResult
from ..study.select_spec import ranking_figure

_ROWS = 5


def front_page(result: SearchResult) -> list[str]:
    """Return the paragraphs of the front page; none before anything is trained."""
    if not any(t.is_ok for t in result.trials):
        return []
    found = answer(result.name, result.protocol, result.candidates, result.trials)
    return [*_answer(found), _table(result)]


def _answer(found: Answer) -> list[str]:
    if found.hero is None:
        return []
    figures = markdown_text(found.hero.reached)
    lines = [f"## {figures} — {markdown_text(found.hero.name)}", markdown_text(found.hero.on)]
    if found.hero.export is not None:
        lines.append(f"Take it: {markdown_code(found.hero.export)}")
    lights = [
        f"- {markdown_text(light.question)} **{light.verdict}** {markdown_text(light.answer)}"
        + (f" {markdown_code(f'nas-sens {light.command}')}" if light.command else "")
        for light in found.lights
    ]
    return [*lines, *map(markdown_text, found.refinement), "\n".join(lights)]


def _table(result: SearchResult) -> str:
    shown = shown_figures(result.protocol, in_order(result.trials))
    rows = winner_rows(result.candidates, result.trials, ranking_figure(result.protocol), shown.columns)[:_ROWS]
    numbers: list[int | None] = [t.number for t in result.trials if t.is_ok][:_ROWS]
    heads = ["rank", "trial", "network", "parameters", "chosen by", *(figure.label for figure in shown.columns)]
    cells = [
        [r["rank"], n, r["name"], r["params"], r["chosen_by"], *r["figures"]]
        for r, n in zip(rows, numbers, strict=True)
    ]
    lines = [heads, ["---"] * len(heads), *cells]
    return "\n".join(f"| {' | '.join(_cell(text) for text in line)} |" for line in lines)


def _cell(text: object) -> str:
    return "---" if text == "---" else markdown_text(str(text)).replace("|", "&#124;")
