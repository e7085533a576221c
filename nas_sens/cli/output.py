"""What several commands open and print."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import click

from ..core.candidates import STATUS_OK, TrainedCandidate
from ..core.compact import compact
from ..core.figures import HEADLINES, Direction
from ..core.short_names import short_names
from ..core.text import printable
from ..results.mistakes import read_mistakes
from ..results.report_file import report_path
from ..results.search_result import SearchResult
from ..storage.study_storage import StudyStorage
from ..storage.url import storage_url
from .display import cell, print_out, show_rows
from .long_table import GAP

ARCHITECTURE = "architecture"
WIDE = (ARCHITECTURE,)
WIDTH = 100  # characters: what tables of networks have
_FEWEST = 5  # columns that are shown in any case
_HEADS = {
    **{name: name.replace("_", "\n") for name in ("val_loss", "val_error", "test_loss", "test_error")},
    "log10_sensitivity_before": "log10 S\nbefore",
    "log10_sensitivity_after": "log10 S\nafter",
}
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


def write_report_of(result: SearchResult, path: Path | None, storage: StudyStorage | None = None) -> Path:
    """Write the report of a study to a file.

    Args:
        result: What the study found.
        path: The file; None for the one that is named after the study.
        storage: Where its networks are, of which the best one's mistakes are shown; None where they are not ours.

    Returns:
        The path of the file.
    """
    from ..report import write_report  # statistics and figures take a second to import, and few commands need them

    target = report_path(result.name) if path is None else path
    return write_report(
        target,
        name=result.name,
        protocol=result.protocol,
        candidates=result.candidates,
        trained=result.trials,
        mistakes="" if storage is None else read_mistakes(storage, result),
    )


def title_of(result: SearchResult) -> str:
    """Return the title of a table of trained candidates."""
    return f"Trained candidates of {result.name!r} by {result.ranked_by}, best first"


def show_trained(
    trials: Sequence[TrainedCandidate], form: str, title: str, *, by: str, full_names: bool = False
) -> None:
    """Print trained candidates in their ranking on stdout, own figure ``by`` first; what failed is said on stderr."""
    if form != "table":
        flat = [t.flat() for t in trials]
        columns = dict.fromkeys(k for row in flat for k in row)
        show_rows([{k: row.get(k) for k in columns} for row in flat], form=form)
        return
    ok = [t for t in trials if t.is_ok]
    own = sorted(dict.fromkeys(name for t in trials for name in t.figures), key=lambda name: name != by)
    usual = [f.name for f in HEADLINES if not own or any(t.figure(f.name) is not None for t in trials)]
    named = [(_HEADS.get(name, name), name) for name in [*own[:MOST_OWN], *usual]]
    names = [t.description for t in ok] if full_names else short_names(ok)
    rows: list[dict[str, Any]] = [
        {"#": i, ARCHITECTURE: name, "params": compact(t.params), "chosen by": t.chosen_by}
        | {head: cell(key, t.figure(key)) for head, key in named}
        for i, (t, name) in enumerate(zip(ok, names, strict=True), 1)
    ]
    n_left_out = max(0, len(own) - MOST_OWN)
    if not full_names:
        rows, n_dropped = _fitting(rows)
        n_left_out += n_dropped if own else 0
    show_rows(rows, form=form, title=title, wide=WIDE, right=[head for head, _ in named] + ["params"])
    if n_left_out:
        click.echo(f"{n_left_out} more figures are in --format csv and json", err=True)
    for t in trials:
        if not t.is_ok:
            click.echo(printable(f"{'' if t.is_pruned else 'failed: '}{t.description}: {t.status}"), err=True)


def _fitting(rows: Sequence[dict[str, Any]]) -> tuple[list[dict[str, Any]], int]:
    """Return rows without the last columns, as far as they do not fit beside the others, and how many these are."""
    if not rows:
        return [], 0
    kept: list[str] = []
    used = -len(GAP)
    for name in rows[0]:
        head = max(map(len, name.split("\n")))
        used += len(GAP) + max(head, *(len(cell(name, row[name])) for row in rows))
        if used > WIDTH and len(kept) > _FEWEST:
            break
        kept.append(name)
    return [{name: row[name] for name in kept} for row in rows], len(rows[0]) - len(kept)


def show_scored(result: SearchResult, form: str, n: int | None = None, *, full_names: bool = False) -> None:
    """Print scored candidates on stdout, smallest sensitivity first."""
    ok = sorted((c for c in result.candidates if c.is_ok), key=lambda c: (c.log10_sensitivity, c.digest))[:n]
    columns = ("architecture", "params", "flops", "log10_sensitivity", "stderr", "estimator", "digest")
    rows: Iterable[dict[str, Any]] = ({k: getattr(c, k) for k in columns} for c in ok)
    right: list[str] = []
    if form == "table":
        names = [c.description for c in ok] if full_names else short_names(ok)
        right = ["params", "flops"]
        rows = [
            {
                ARCHITECTURE: name,
                "params": compact(c.params),
                "flops": compact(c.flops),
                "log10 S": c.log10_sensitivity,
                "stderr": c.stderr,
                "estimator": c.estimator,
                "digest": c.digest,
            }
            for c, name in zip(ok, names, strict=True)
        ]
    left_out = sum(c.status != STATUS_OK for c in result.candidates)
    title = f"Candidates of {result.name!r} by sensitivity, smallest first"
    show_rows(rows, form=form, title=title, wide=WIDE, right=right)
    n_grown = sum(c.grown_for is not None for c in ok)
    grown = f", {n_grown} of them proposed between trainings, half or more near good ones" if n_grown else ""
    click.echo(f"{len(ok)} candidates shown{grown}; {left_out} infeasible or failed ones are not ranked", err=True)


def show_answer(result: SearchResult, form: str, *, more: str = "") -> None:
    """Print what a study came to in a few lines, beside a table; JSON and CSV are for programs."""
    from ..report import answer  # see `write_report_of`

    if form == "table":
        found = answer(result.name, result.protocol, result.candidates, result.trials)
        print_out("\n".join(["", *found.lines(more=more), ""]))
