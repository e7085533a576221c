"""Names and texts that would act where they are shown: terminals, tables, notes, model cards, reports."""

from __future__ import annotations

import json
import re
import unicodedata
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

import nas_sens as ns
from nas_sens.cli.display import TerminalProgress, show_rows
from nas_sens.core.text import markdown_code, markdown_text, printable
from nas_sens.dashboard.notes import notes
from nas_sens.models import model_folder
from nas_sens.models.card import render_card
from nas_sens.report import render_report
from nas_sens.results.search_result import SearchResult
from tests.cases.test_dashboard_door import started
from tests.dashboard.browser import CHROMIUM, browse
from tests.tiny_study import tiny, url

HOSTILE = (
    *("<img src=x onerror=document.title='acted'>", "<script>document.title='acted'</script>", "a\x1b[31mred\x1b[0m"),
    *("\x1b]0;title\x07", "\x1b]8;;http://evil.example\x07link\x1b]8;;\x07", "a\nb: c\n---\nd"),
    *("a\r\b\x00\x7f\x9b31m", "[/x]", "![x](http://evil.example/x.png)"),
    *("[red]x[/red]", "[x](javascript:document.title='acted')", "`a` **b** $x^2$ ~~c~~"),
    *("\u202egnp.exe", "a\u2066b\u2069", "\u200bzero", "a|b|c", "# head", "&lt;b&gt;", "```", "` `` "),
    *("yes", "null", "1.0", "{a: b}"),
    *("\u2028line", "https://evil.example www.evil.example", "--- ", "étude ☃ \N{WOMAN}\u200d\N{PERSONAL COMPUTER}"),
)  # fmt: skip


def acts(text: str) -> list[str]:
    return [c for c in text if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp") and c != "\n"]


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_what_is_printable_is_one_line_and_says_the_same(text: str) -> None:
    shown = printable(text)
    assert not acts(shown)
    assert "\n" not in shown
    assert printable(shown) == shown
    assert not set(filter(str.isprintable, text)) - set(shown)


@given(st.text(alphabet=st.characters(codec="ascii")))
def test_markdown_has_no_markup_left(text: str) -> None:
    shown = re.sub(r"&#\d+;", " ", markdown_text(text))
    assert not re.search(r"[<>*\[\]`|\\$~!@#]", shown)
    assert not re.search(r"(?<![^\W_])_|_(?![^\W_])", shown), "only underscores within words stay"
    code = markdown_code(text)
    fence = re.match("`+", code)[0]  # type: ignore[index]
    assert code.endswith(fence)
    inner = code.removeprefix(fence).removesuffix(fence)
    assert fence not in re.findall("`+", inner)


@pytest.mark.parametrize("text", HOSTILE)
def test_terminals_are_told_nothing(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    progress = TerminalProgress()
    progress.message(f"study {text}")
    with progress.stage(text.replace("\n", ""), 1) as stage:
        stage.advance(1, text)
    rows = [{"name": text, "n": 1}] * 2
    show_rows(rows, form="table", title=text, wide=("name",))
    out, err = capsys.readouterr()
    assert not acts(out + err)
    if "[" in text and len(text) < 20:
        assert printable(text) in out, "no markup of rich"
    show_rows(rows * 500, form="table", title=text, wide=("name",))
    assert not acts(capsys.readouterr().out)


@pytest.mark.parametrize("text", HOSTILE)
def test_cards_are_what_they_were_meant_to_be(text: str) -> None:
    figures = {"chosen_by": text, "reason": text}
    config = model_folder.model_config(
        ns.FCSpec(depth=1, width=2),
        input_shape=(1, 2, 2),
        n_outputs=2,
        provenance={"figures": figures, "study": {"name": text, "data": {"name": text}}, "version": text},
    )
    card = render_card(config, licence=text)
    assert not acts(card)
    _, front, body = card.split("---\n", 2)
    found = yaml.safe_load(front)
    assert found["license"] == text
    assert set(found) == {"license", "library_name", "tags"}
    body = re.sub(r"(`+).*?\1", "", body.partition("## Loading")[0])
    assert not re.search(r"<img|<script|\]\(|\*\*|\|b\|", body)


OWN_SCRIPTS = render_report(name="a", protocol={}, candidates=[], trained=[]).count("<script")


def test_reports_and_notes_hold_texts_only() -> None:
    for text in HOSTILE:
        page = render_report(name=text, protocol={"data": {"name": text}}, candidates=[], trained=[])
        assert "<img" not in page
        assert page.count("<script") == OWN_SCRIPTS
        protocol = {s: {"name": text} for s in ("search_space", "data", "score", "search", "select", "train")}
        result = SearchResult(name=text, protocol={**protocol, "description": text}, candidates=(), trials=())
        note = notes(result)[None]
        assert not acts(note)
        assert not re.search(r"<img|<script|\]\(|\[red", note)


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium (apt-get install chromium)")
def test_a_browser_runs_nothing_of_a_name(tmp_path: Path) -> None:
    name = "".join(HOSTILE[:2]) + HOSTILE[8] + HOSTILE[10]
    short = ns.TrainSpec(epochs=1, seeds=1)
    ns.search(tiny(name=name, description=name, train=short), storage=url(tmp_path))
    process, address = started(url(tmp_path))
    try:
        page = browse(f"{address.scheme}://{address.netloc}/dashboard/studies/1/note", tmp_path)
    finally:
        process.terminate()
        process.communicate(timeout=30)
    assert "Scored candidates" in page
    assert "onerror" in page, "it is shown"
    assert "<title>acted" not in page
    assert not re.search(r"<img[^>]*src=\"?(x|http://evil)", page)
    assert not re.search(r"href=\"?javascript", page)
    assert json.dumps("acted") not in page
