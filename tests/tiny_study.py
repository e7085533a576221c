"""A study that takes a second, for tests of whole searches."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import nas_sens as ns

FC = {
    "depth": {"type": "int", "low": 1, "high": 3},
    "width": {"type": "int", "low": 4, "high": 24},
    "init": "he_normal",
}

STUDY = """
name = "study"
search_space = "space.toml"
[data]
name = "npz:data.npz"
[score]
n_inputs = 8
seeds = 1
[search]
n_candidates = 2
[select]
top_k = 1
control = 0
[train]
epochs = 1
seeds = 1
"""
SPACE = """
[fc]
depth = 1
width = { type = "int", low = 2, high = 8 }
"""


def tiny(**changes: object) -> ns.StudySpec:
    values = {
        "name": "tiny",
        "search_space": ns.SearchSpace(name="tiny", families={"fc": FC}),
        "data": ns.DataSpec(name="digits", train_samples=100),
        "score": ns.ScoreSpec(n_inputs=32, seeds=2),
        "search": ns.SearchSpec(n_candidates=8),
        "select": ns.SelectSpec(rule="pareto", top_k=2, control=1),
        "train": ns.TrainSpec(epochs=2, seeds=2),
    }
    return ns.StudySpec(**{**values, **changes})


def url(folder: Path, name: str = "a") -> str:
    return f"sqlite:///{folder / name}.db"


def comparable(result: ns.SearchResult) -> tuple[list[object], list[object]]:
    """Everything of a result that must not depend on when, where and in how many runs it came about."""
    candidates = [replace(c, number=None) for c in result.candidates]
    trials = [replace(t, number=None, seconds=None, candidate=0) for t in result.trials]
    return candidates, trials
