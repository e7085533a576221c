"""Pages are run: what they show typed is typed here, in order, in an empty folder. A new page needs no entry."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from nas_sens.core.user_code import FOLDERS
from tests.docs.blocks import PAGES, ROOT, Block, blocks_of, forget_modules, run

BLOCKS = {page: blocks_of(page) for page in PAGES}
MOST_NOT_RUN = 14  # of all pages; a block more needs a reason, and this number


def cases() -> list[object]:
    found = []
    for page, blocks in BLOCKS.items():
        if any(block.not_run is None for block in blocks):
            is_slow = "<!-- slow" in page.read_text(encoding="utf-8")
            name = str(page.relative_to(ROOT))
            found.append(pytest.param(blocks, id=name, marks=[pytest.mark.slow] if is_slow else []))
    return found


# The plots of Optuna on matplotlib are experimental by its own word.
@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
@pytest.mark.parametrize("blocks", cases())
def test_what_a_page_shows_typed_can_be_typed(
    blocks: list[Block], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delenv("OPTUNA_STORAGE", raising=False)
    monkeypatch.setenv(FOLDERS, "")  # folders of a page's own code are forgotten with it
    names: dict[str, object] = {"__name__": "page"}
    n_run = 0
    try:
        for block in blocks:
            if block.not_run is None:
                try:
                    run(block, names)
                except Exception as error:
                    raise AssertionError(f"{block} fails: {type(error).__name__}: {error}") from error
                n_run += 1
    finally:
        forget_modules(tmp_path)
        logging.captureWarnings(False)
    assert n_run > 0


def test_few_blocks_are_not_run_and_each_says_why() -> None:
    left_out = [block for blocks in BLOCKS.values() for block in blocks if block.not_run is not None]
    assert len(left_out) <= MOST_NOT_RUN, "\n".join(f"{block}: {block.not_run}" for block in left_out)
    assert all(len(block.not_run or "") > 15 for block in left_out)
    n_run = sum(block.not_run is None for blocks in BLOCKS.values() for block in blocks)
    assert n_run > 2 * len(left_out)


def test_every_fence_is_seen() -> None:
    for page in PAGES:
        n_fences = sum(line.lstrip().startswith("```") for line in page.read_text(encoding="utf-8").splitlines())
        assert n_fences % 2 == 0, page
        shown = page.read_text(encoding="utf-8").count("```text") + page.read_text(encoding="utf-8").count("```json")
        assert len(BLOCKS[page]) + shown == n_fences // 2, (
            f"{page}: a block has no language, or options besides a title"
        )
