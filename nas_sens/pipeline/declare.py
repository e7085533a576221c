"""Declare: from a file or from Python to a study that is checked completely, without data or database."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..core.declarations import changed
from ..study.consistency import check_declaration
from ..study.load import read_study
from ..study.study_spec import StudySpec


def declare(
    study: str | Path | StudySpec,
    *,
    full: bool = False,
    n_candidates: int | None = None,
    top_k: int | None = None,
    control: int | None = None,
    seed: int | None = None,
    name: str | None = None,
    trainer: str | Callable[..., Any] | None = None,
) -> StudySpec:
    """Return a study with the given values in place of its own.

    Args:
        study: A bundled name, a TOML file or a StudySpec.
        full: Whether to take the study at the full size that its file declares in ``[full]``.
        n_candidates: In place of ``[search] n_candidates``; None for what is declared. So are the others.
        top_k: In place of ``[select] top_k``.
        control: In place of ``[select] control``.
        seed: In place of ``[search] seed``.
        name: In place of the study's name.
        trainer: In place of ``[train] trainer``.

    Raises:
        InvalidInputError: There is no such study, or its declaration or a value is wrong.
    """
    spec, source = read_study(study, full=full)
    changes: list[tuple[str, str, Any]] = [
        ("search", "n_candidates", n_candidates),
        ("search", "seed", seed),
        ("select", "top_k", top_k),
        ("select", "control", control),
        ("train", "trainer", trainer),
    ]
    for section, key, value in changes:
        if value is not None:
            spec = replace(spec, **{section: changed(getattr(spec, section), where=section, **{key: value})})
    spec = spec if name is None else changed(spec, where="", name=name)
    check_declaration(spec, source=source)
    return spec
