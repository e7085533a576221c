"""What several commands open and print."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import click

from ..core.candidates import STATUS_OK, TrainedCandidate
from ..core.figures import HEADLINES, Direction
from ..core.text import printable
from ..results.report_file import report_path
from ..results.search_result import SearchResult
from ..storage.study_storage import StudyStorage
from ..storage.url import storage_url
from .display import show_rows

WIDE = ("architecture",)
MOST_OWN = 8  # columns of figures of a trainer of the user's own, in a table


def open_storage(storage: str | None, artifacts: str | None) -> StudyStorage:
    """Return the storage of a command's options, which must be there."""
    return StudyStorage(storage_url(storage), artifacts=artifacts, must_exist=True)


def result_of_optuna(
    name: str, storage: str | None, *, by: str | None = None, direction: Direction | None = None
) -> SearchResult:
    """Return what somebody's own Optuna study found; nothing is written to it."""
    from ..own_study.as_records import read_optuna_study

    return read_optuna_study(storage_url(storage), name, by=by, direction=direction)


def write_report_of(result: SearchResult, path: Path | None) -> Path:
    """Write the report of a study to a file; None for the one that is named after it.

    Returns:
        The path of the file.
    """
    from ..report import write_report  # statistics and figures take a second to import, and few commands need them

    target = report_path(result.name) if path is None else path
    return write_report(
        target, name=result.name, protocol=result.protocol, candidates=result.candidates, trained=result.trials
    )


def title_of(result: SearchResult) -> str:
    """Return the title of a table of trained candidates."""
    return f"Trained candidates of {result.name!r} by {result.ranked_by}, best first"


def show_trained(trials: Sequence[TrainedCandidate], form: str, title: str, *, by: str) -> None:
    """Print trained candidates in their ranking on stdout, own figure ``by`` first; what failed is said on stderr."""
    if form != "table":
        flat = [t.flat() for t in trials]
        columns = dict.fromkeys(k for row in flat for k in row)
        show_rows([{k: row.get(k) for k in columns} for row in flat], form=form)
        return
    own = sorted(dict.fromkeys(name for t in trials for name in t.figures), key=lambda name: name != by)
    usual = [f.name for f in HEADLINES if not own or any(t.figure(f.name) is not None for t in trials)]
    shown = [*own[:MOST_OWN], *usual]
    rows = [
        {"rank": i, "architecture": t.description, "params": t.params, "chosen_by": t.chosen_by}
        | {name.replace("log10_sensitivity", "log10 S"): t.figure(name) for name in shown}
        for i, t in enumerate((t for t in trials if t.is_ok), 1)
    ]
    show_rows(rows, form=form, title=title, wide=WIDE)
    if len(own) > MOST_OWN:
        click.echo(f"{len(own) - MOST_OWN} more figures are in --format csv and json", err=True)
    for t in trials:
        if not t.is_ok:
            click.echo(printable(f"{'' if t.is_pruned else 'failed: '}{t.description}: {t.status}"), err=True)


def show_scored(result: SearchResult, form: str, n: int | None = None) -> None:
    """Print scored candidates on stdout, smallest sensitivity first."""
    ok = sorted((c for c in result.candidates if c.is_ok), key=lambda c: (c.log10_sensitivity, c.digest))[:n]
    columns = ("architecture", "params", "flops", "log10_sensitivity", "stderr", "estimator", "digest")
    rows: Iterable[dict[str, Any]] = ({k: getattr(c, k) for k in columns} for c in ok)
    if form == "table":
        rows = [{**r, "architecture": c.description} for r, c in zip(rows, ok, strict=True)]
    left_out = sum(c.status != STATUS_OK for c in result.candidates)
    show_rows(rows, form=form, title=f"Candidates of {result.name!r} by sensitivity, smallest first", wide=WIDE)
    n_grown = sum(c.grown_for is not None for c in ok)
    grown = f", {n_grown} of them proposed between trainings, half or more near good ones" if n_grown else ""
    click.echo(f"{len(ok)} candidates shown{grown}; {left_out} infeasible or failed ones are not ranked", err=True)
