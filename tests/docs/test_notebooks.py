"""The notebooks of ``examples/notebooks``: each is run, and still prints where it printed."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.docs.blocks import ROOT

pytest.importorskip("nbclient", reason="nbclient is missing: pip install 'nas-sens[dev]'")
sys.path.insert(0, str(ROOT / "docs" / "scripts"))
import nbformat
import notebooks

QUICK = "sensitivity"
PATHS = sorted(notebooks.FOLDER.glob("*.ipynb"))


@pytest.mark.parametrize(
    "path", [pytest.param(p, id=p.stem, marks=[] if p.stem == QUICK else [pytest.mark.slow]) for p in PATHS]
)
def test_a_notebook_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.delenv("OPTUNA_STORAGE", raising=False)
    kept = [c for c in nbformat.read(path, as_version=4).cells if c.cell_type == "code"]
    run = [c for c in notebooks.executed(path, str(tmp_path)).cells if c.cell_type == "code"]
    assert [c.source for c in run] == [c.source for c in kept]
    assert all(c.execution_count for c in kept), "make notebooks"
    assert [[o.output_type for o in c.outputs] for c in run] == [[o.output_type for o in c.outputs] for c in kept]
    assert any(c.outputs for c in run)


def test_one_is_in_the_default_suite() -> None:
    assert QUICK in {path.stem for path in PATHS}
    assert len(PATHS) >= 4
