"""Code blocks of pages, and how they are run: one after the other, in one folder, as a reader would type them."""

from __future__ import annotations

import re
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import nas_sens as ns
from nas_sens.architectures import FAMILIES
from nas_sens.cli.main import main
from nas_sens.core.toml_reader import read_toml

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
FENCE = re.compile(
    r"^(?P<indent> *)```(?P<language>\w+)(?: title=\"(?P<title>[^\"]+)\")?\n(?P<text>.*?)^(?P=indent)```$",
    flags=re.DOTALL | re.MULTILINE,
)
MARK = re.compile(r"<!-- not run: ([^\n]+) -->\s*\Z")
SHOWN = ("text", "json", "html")  # what is printed, not typed
# What a fragment of a study lacks. A fragment of a space is one with a table of a family, or of constraints.
BASE = {
    "search_space": '[search_space.fc]\ndepth = { type = "int", low = 1, high = 3 }\nwidth = 8\ninit = "he_normal"\n',
    "data": '[data]\nname = "digits"\n',
}
STUDY_KEYS = {"name", "search_space", "data", "score", "search", "select", "train", "figures", "full", "description"}


@dataclass(frozen=True)
class Block:
    """One code block of a page; not_run: why it is not run, as the comment before it says."""

    page: Path
    line: int
    language: str
    title: str | None
    text: str
    not_run: str | None

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks_of(page: Path) -> list[Block]:
    """Return the blocks of a page that hold something to type."""
    source = page.read_text(encoding="utf-8")
    found = []
    for match in FENCE.finditer(source):
        indent, text = len(match["indent"]), match["text"]
        mark = MARK.search(source, 0, match.start())
        lines = "".join(line[indent:] or "\n" for line in text.splitlines(keepends=True))
        line = source.count("\n", 0, match.start()) + 1
        found.append(Block(page, line, match["language"], match["title"], lines, mark and mark[1]))
    return [block for block in found if block.language not in SHOWN]


def run(block: Block, names: dict[str, Any]) -> None:
    """Run one block in the working directory; ``names`` are those that the page's Python has."""
    if block.title:
        path = Path(block.title)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block.text, encoding="utf-8")
        if block.language != "toml":
            return
    if block.language == "python":
        exec(compile(block.text, str(block), "exec"), names)
    elif block.language == "toml":
        declare(block)
    elif block.language == "sh":
        for line in block.text.replace("\\\n", " ").splitlines():
            if words := shlex.split(line, comments=True):
                command(block, words)
    else:
        raise AssertionError(f"{block}: nothing runs {block.language!r}; give it a title, mark it, or take `text`")


def command(block: Block, words: list[str]) -> None:
    """Run one command of ours in this process."""
    if words[0] != "nas-sens" or {">", "|", "&&"} & {*words}:
        raise AssertionError(f"{block}: only nas-sens is run here, without redirections: mark the block; {words}")
    with pytest.raises(SystemExit) as end:
        main(words[1:])
    assert end.value.code == 0, f"{block}: {shlex.join(words)} ends with {end.value.code}"


def declare(block: Block) -> None:
    """Check what a block declares, completed by what it leaves out."""
    path = Path(block.title or f"fragment_{block.line}.toml")
    path.write_text(block.text, encoding="utf-8")
    table = read_toml(path)
    if not {*table} <= STUDY_KEYS or "families" in table:
        given = (
            block.text
            if {*table} - {"name", "constraints", "training"}
            else block.text + "\n[fc]\nwidth = 8\ndepth = 2\n"
        )
        path.write_text(given, encoding="utf-8")
        ns.load_space(path)
        return
    missing = "".join(text for key, text in BASE.items() if key not in table)
    path.write_text(f"{block.text}\n{missing}", encoding="utf-8")
    ns.load_study(path)


def forget_modules(folder: Path) -> None:
    """Forget modules that a page wrote, as another one may write one of the same name."""
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", None) or "").startswith(str(folder)):
            del sys.modules[name]
            for own in vars(module):
                FAMILIES.unregister(f"{name}:{own}")
